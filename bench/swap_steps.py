"""What `bench.swap` does in a process of its own: one writer here, and two readers in processes that this one starts.

`python -m bench.swap_steps WAY SWAPS` in an environment that names the server; the last line printed is JSON.
"""

import json
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from workshop.core.registry.slots import AliasSlots, Slot, StageSlots

READERS = 2
ALIAS, STAGE = Slot.PRODUCTION.value, Slot.PRODUCTION.value.capitalize()
SECONDS_TO_START = 60

Swap = Callable[[MlflowClient, str, str, str], None]
Lookup = Callable[[MlflowClient, str], bool]


def alias_in_one_call(client: MlflowClient, model: str, _: str, new: str) -> None:
    """As the kit does it."""
    AliasSlots(client, model).assign(Slot.PRODUCTION, new)


def alias_in_two_calls(client: MlflowClient, model: str, _: str, new: str) -> None:
    """Take the slot from the old one, then give it to the new one."""
    client.delete_registered_model_alias(model, ALIAS)
    client.set_registered_model_alias(model, ALIAS, new)


def stage_in_one_call(client: MlflowClient, model: str, _: str, new: str) -> None:
    """As the kit does it for a team whose registry lives by stages."""
    StageSlots(client, model).assign(Slot.PRODUCTION, new)


def stage_in_two_calls(client: MlflowClient, model: str, old: str, new: str) -> None:
    """As the original workshop does it: archive the old one, then promote the new one."""
    client.transition_model_version_stage(model, old, "Archived")
    client.transition_model_version_stage(model, new, STAGE)


def found_by_alias(client: MlflowClient, model: str) -> bool:
    """Whether somebody who loads `models:/NAME@production` would find a version."""
    try:
        client.get_model_version_by_alias(model, ALIAS)
    except MlflowException as error:
        if "alias production not found" not in str(error):
            raise
        return False
    return True


def found_by_stage(client: MlflowClient, model: str) -> bool:
    """Whether somebody who loads `models:/NAME/Production` would find a version."""
    return bool(client.get_latest_versions(model, [STAGE]))


WAYS: dict[str, tuple[Swap, Lookup]] = {
    "alias_in_one_call": (alias_in_one_call, found_by_alias),
    "alias_in_two_calls": (alias_in_two_calls, found_by_alias),
    "stage_in_one_call": (stage_in_one_call, found_by_stage),
    "stage_in_two_calls": (stage_in_two_calls, found_by_stage),
}


def measure(way: str, swaps: int) -> dict[str, float]:
    """Swap between two versions that many times while readers look Production up as fast as they can."""
    client, (swap, _) = MlflowClient(), WAYS[way]
    old, new = _prepared(client, way)
    processes = multiprocessing.get_context("spawn")
    begin, end = processes.Barrier(READERS + 1), processes.Event()
    answers = []
    for _ in range(READERS):
        answer, telling = processes.Pipe(duplex=False)
        processes.Process(target=_look, args=(way, begin, end, telling), daemon=True).start()
        telling.close()
        answers.append(answer)
    begin.wait(SECONDS_TO_START)
    started = time.perf_counter()
    for _ in range(swaps):
        swap(client, way, old, new)
        old, new = new, old
    seconds = time.perf_counter() - started
    end.set()
    seen = [answer.recv() for answer in answers]
    return {
        "lookups": sum(lookups for lookups, _ in seen),
        "empty": sum(empty for _, empty in seen),
        "seconds": seconds,
    }


def _prepared(client: MlflowClient, way: str) -> tuple[str, str]:
    """Two versions of a model of that name, the first of which holds Production."""
    try:
        client.create_registered_model(way)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    # Nobody loads them, so there need not be anything to load.
    old, new = (str(client.create_model_version(way, "s3://nowhere/model").version) for _ in range(2))
    slots = AliasSlots if WAYS[way][1] is found_by_alias else StageSlots
    slots(client, way).assign(Slot.PRODUCTION, old)
    return old, new


def _look(way: str, begin: Barrier, end: Event, telling: Connection) -> None:
    """Count lookups, and those that find nobody in Production, from one signal to the other."""
    warnings.simplefilter("ignore", FutureWarning)
    client, (_, found) = MlflowClient(), WAYS[way]
    lookups = empty = 0
    found(client, way)
    begin.wait(SECONDS_TO_START)
    while not end.is_set():
        lookups += 1
        empty += not found(client, way)
    telling.send((lookups, empty))


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
