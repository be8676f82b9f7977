"""A follower of a slot: it always holds a loaded model, and replaces it when the slot's holder changes.

A process that loads a model by its slot's URI keeps that version until a restart. A follower checks the slot every few
seconds instead. It loads the next version and has it answer its own input example first, then replaces one reference:
so no request waits, and no answer comes from two versions. If the registry or the next version fails, the present
model continues to answer, and the state contains the problem.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError
from workshop.core.registry.model import LoadedModel, load_version
from workshop.core.registry.slots import Slot, Slots

SECONDS_BETWEEN_LOOKS = 5.0
_LONGEST_PAUSE = 64
_SECONDS_TO_STOP = 2.0


@dataclass(frozen=True)
class Following:
    """The state of a follower: its model, and the result of its last look at the registry; times are UTC."""

    model: LoadedModel
    """The present model; its `version` and its `pyfunc` belong together."""
    since: datetime
    """Time at which the model took over."""
    looked: datetime
    """Time of the last look."""
    in_step: datetime
    """Time of the last look that found the model in the slot."""
    problem: str | None = None
    """Why the last look failed, in one sentence; None if it succeeded."""
    swaps: int = 0
    """Number of replacements."""
    failed_loads: int = 0
    """Number of versions that could not be loaded, or did not answer their own input example."""


@dataclass(frozen=True)
class _Failure:
    """A version that could not take over, and the number of looks before the next attempt."""

    version: str
    attempts: int
    looks_left: int
    sentence: str


class Follower:
    """A loaded model that is replaced when another version takes the slot.

    To answer from one version, read `model` once and use that object; the next read may return another. Safe for any
    number of threads.
    """

    def __init__(self, slots: Slots, slot: Slot = Slot.PRODUCTION, every: float = SECONDS_BETWEEN_LOOKS) -> None:
        """Load the version that holds the slot now.

        Args:
            slots: the slots of the registered model.
            slot: the slot to follow.
            every: seconds between two looks.

        Raises:
            WorkshopError: the slot is empty, its version can't be loaded, or the registry does not answer.
        """
        if not 0 < every <= threading.TIMEOUT_MAX:
            raise WorkshopError(f"The interval between looks is {every} seconds: choose a number above 0.")
        self.slots = slots
        self.slot = slot
        version = self._holder()
        if version is None:
            raise WorkshopError(
                f"No version holds {slot} of {slots.model_name}: promote one first, with `workshop run --action "
                "deployment`."
            )
        model = self._loaded(version)
        now = datetime.now(UTC)
        self._state = Following(model, since=now, looked=now, in_step=now)
        self._failure: _Failure | None = None
        self._every = every
        self._one_look = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, name=f"follow-{slot}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def model(self) -> LoadedModel:
        """The present model."""
        return self._state.model

    @property
    def state(self) -> Following:
        """The present model, and the result of the last look."""
        return self._state

    def close(self) -> None:
        """Stop looking; the present model can still answer.

        A look that hangs in the registry ends with the process.
        """
        self._closed.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_SECONDS_TO_STOP)

    def look(self) -> Following:
        """Look once at the slot, load its version if it has changed, and return the new state."""
        with self._one_look:
            held = self._state.model
            try:
                model = self._model_to_hold(held)
            except WorkshopError as error:
                problem = f"{str(error).removesuffix('.')}; version {held.version} continues to answer."
                self._state = replace(self._state, looked=datetime.now(UTC), problem=problem)
            else:
                now = datetime.now(UTC)
                state = replace(self._state, looked=now, in_step=now, problem=None)
                swapped = model is not held
                self._state = replace(state, model=model, since=now, swaps=state.swaps + 1) if swapped else state
            return self._state

    def _keep_looking(self) -> None:
        while not self._closed.wait(self._every):
            self.look()

    def _model_to_hold(self, held: LoadedModel) -> LoadedModel:
        version = self._holder()
        if version is None:
            raise WorkshopError(f"No version holds {self.slot} of {self.slots.model_name} any more: promote one.")
        if version == held.version:
            self._failure = None
            return held
        failed_before = self._failure if self._failure is not None and self._failure.version == version else None
        if failed_before is not None and failed_before.looks_left > 0:
            self._failure = replace(failed_before, looks_left=failed_before.looks_left - 1)
            raise WorkshopError(failed_before.sentence)
        try:
            model = self._loaded(version)
        except WorkshopError as error:
            attempts = failed_before.attempts + 1 if failed_before is not None else 1
            self._failure = _Failure(version, attempts, min(2 ** (attempts - 1), _LONGEST_PAUSE), str(error))
            self._state = replace(self._state, failed_loads=self._state.failed_loads + 1)
            raise
        self._failure = None
        return model

    def _holder(self) -> str | None:
        with _in_one_sentence(f"look up the version in {self.slot} of {self.slots.model_name}", "look at the registry"):
            return self.slots.holder(self.slot)

    def _loaded(self, version: str) -> LoadedModel:
        name = f"{self.slots.model_name} version {version}"
        with _in_one_sentence(f"load {name}", "look at how it was logged"):
            model = load_version(self.slots.client, self.slots.model_name, version)
        with _in_one_sentence(f"let {name} answer its own input example", "look at its training code"):
            if model.pyfunc.input_example is not None:
                model.pyfunc.predict(model.pyfunc.input_example)
        return model


@contextmanager
def _in_one_sentence(doing: str, advice: str) -> Iterator[None]:
    """Turn every exception into one sentence, so that the thread that looks survives."""
    try:
        yield
    except WorkshopError:
        raise
    except (Exception, SystemExit) as error:  # a registry and a model's code can raise anything
        raise WorkshopError(
            f"Could not {doing} ({type(error).__name__}: {first_sentence(error)}): {advice}."
        ) from error
