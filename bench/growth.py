"""What a long history costs: the same commands with 10, 1,000 and 10,000 versions and as many events.

Two kinds of store: the embedded one, and an `mlflow server` on PostgreSQL. `workshop status` and `workshop history` are
whole processes. A swap (`workshop promote`, the model's loading and answering included) and a follower's look are
measured inside a process that has done one of each before. The peer of each is the same with 10 versions.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.postgres import postgres

from bench.measure import Command, Result, Row, Spread, Target, Tell, compared, environment, timed, workplace
from databricks_local.mlflow_server import mlflow_server

SIZES = (10, 1_000, 10_000)
EMBEDDED, POSTGRESQL = "SQLite", "PostgreSQL"
COMMANDS = ("status", "history")
INSIDE = ("swap", "look")
SWAPS = 5
FLAT = Target("≤", 1.2)
MILLISECONDS = "{:,.0f}"


@dataclass
class Filled:
    """A store of so many versions and events, and what was measured in it."""

    kind: str
    size: int
    variables: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in (*COMMANDS, *INSIDE)})
    counted: dict[str, int] = field(default_factory=dict)


def measure(rounds: int, tell: Tell) -> Result:
    """Measure all sizes in both kinds of store, taking turns."""
    with workplace() as place, ExitStack() as running:
        stores = []
        for kind in (EMBEDDED, POSTGRESQL):
            for size in SIZES:
                tell(f"growth: {size:,} versions and events in {kind}")
                stores.append(running.enter_context(_filled(place / f"{kind}-{size}", kind, size)))
        for number in range(rounds):
            for store in stores:
                tell(f"growth: round {number + 1} of {rounds}, {store.size:,} in {store.kind}")
                _measure(store)
    rows = [
        _row(name, small, large)
        for name in (*COMMANDS, *INSIDE)
        for kind in (EMBEDDED, POSTGRESQL)
        for small, *larger in [[store for store in stores if store.kind == kind]]
        for large in larger
    ]
    return Result(
        "growth: with 1,000 and 10,000 versions and events, against the same with 10",
        "milliseconds; whole processes for commands, and inside one for a swap and a follower's look",
        [*rows, *(_calls(store) for store in stores if store.size == SIZES[-1])],
    )


@contextmanager
def _filled(place: Path, kind: str, size: int) -> Iterator[Filled]:
    """A store of `size` versions and events."""
    place.mkdir()
    with ExitStack() as running:
        if kind == EMBEDDED:
            variables, database = environment(place), f"sqlite:///{(place / 'mlflow.db').as_posix()}"
        else:
            database = running.enter_context(postgres())
            uri = running.enter_context(mlflow_server(place, database, hands_out_artifacts=False))
            variables = environment(place, MLFLOW_TRACKING_URI=uri)
        timed([sys.executable, "-m", "bench.growth_steps", "fill", str(size), database], variables)
        yield Filled(kind, size, variables)


def _measure(store: Filled) -> None:
    for name in COMMANDS:
        command: Command = [Path(sys.executable).with_name("workshop"), name]
        store.seconds[name].append(timed(command, store.variables).seconds)
    done = timed([sys.executable, "-m", "bench.growth_steps", "measure", str(SWAPS)], store.variables)
    found = json.loads(done.output.splitlines()[-1])
    for name in INSIDE:
        store.seconds[name].append(found[name])
    store.counted = {name: found[name] for name in ("calls", "requests")}


def _row(name: str, small: Filled, large: Filled) -> Row:
    shown = "{:,.1f}" if name == "look" else MILLISECONDS
    figures, peers = (
        (spread.shown(shown, "ms"), spread)
        for spread in (Spread([1000 * each for each in store.seconds[name]]) for store in (large, small))
    )
    what = f"workshop {name}" if name in COMMANDS else {"swap": "a swap", "look": "a follower's look"}[name]
    target = FLAT if large.size == SIZES[-1] else None
    return compared(f"{what}, {large.size:,} in {large.kind}", figures, f"{small.size} in it", peers, target)


def _calls(store: Filled) -> Row:
    calls, requests = store.counted["calls"], store.counted["requests"]
    figure = f"{calls} calls" if store.kind == EMBEDDED else f"{calls} calls\n{requests} requests"
    return Row(f"calls to the registry in one swap, {store.kind}", figure)
