import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.conftest import isolated
from tests.support.models import MODEL, Gallery, refusal
from tests.support.promotions import BETTER, FIRST, RENAMED, events, register_odd, run
from workshop.core.data.schemas import FEATURES
from workshop.core.errors import WorkshopError
from workshop.core.promotion import evaluate, manual, swap
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import load_version
from workshop.core.registry.slots import Slot, Slots, open_slots
from workshop.core.settings import current_settings

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def overridden(tmp_path_factory: pytest.TempPathFactory, user_home: Path, gallery: Gallery) -> Callable[[str], Gallery]:
    """A function that returns the gallery after an override to version 1 and one to 3, made once per form of slots."""

    @cache
    def made(kind: str) -> Gallery:
        home = tmp_path_factory.mktemp("overridden") / "home"
        gallery.hang_in(home)
        with isolated(home, user_home), pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluate, "illustrate", lambda *_: None)
            patch.setenv("WORKSHOP_SLOTS", kind)
            slots = open_slots(mlflow_store.connect(), MODEL)
            for version in ("1", "3"):
                manual.override(slots, version, "To begin with.")
        return Gallery(home, gallery.classifiers)

    return made


@pytest.fixture
def slots(home: Path, overridden: Callable[[str], Gallery]) -> Slots:
    """Slots after version 1 held Production and 3 was promoted over it."""
    overridden(os.environ.get("WORKSHOP_SLOTS", "alias")).hang_in(home)
    return open_slots(mlflow_store.connect(), MODEL)


def answers_in_production(slots: Slots, wines: pd.DataFrame) -> bytes:
    found: np.ndarray = mlflow.pyfunc.load_model(slots.uri(Slot.PRODUCTION)).predict(wines[FEATURES])
    return found.tobytes()


def test_after_a_rollback_production_answers_byte_for_byte_as_before(
    kind: str, registry: MlflowClient, production: pd.DataFrame
) -> None:
    slots = open_slots(registry, MODEL)
    run(FIRST)
    before = answers_in_production(slots, production)
    run(BETTER)
    assert answers_in_production(slots, production) != before
    event = manual.roll_back(slots, reason="The panel disagrees.")
    assert answers_in_production(slots, production) == before
    assert event is not None
    assert (event.kind, event.version, event.champion) == ("rollback", "1", "3")
    assert slots.holders() == {"production": "1", "staging": None, "previous": "3"}
    assert slots.archived() == ["3"]


def test_a_rollback_is_recorded_with_its_author_and_reason(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILD_REQUESTEDFOR", "Ana Lima")
    manual.roll_back(slots, reason="The panel disagrees.")
    recorded = events()[-1]
    assert (recorded.kind, recorded.who, recorded.reason) == ("rollback", "Ana Lima", "The panel disagrees.")
    entry = slots.client.get_model_version(MODEL, "1")
    assert entry.tags["workshop.status"] == "rolled back to"
    assert "rollback from version 3 to 1 by Ana Lima: The panel disagrees." in (entry.description or "")


def test_a_rollback_of_a_rollback_restores_the_promotion(kind: str, slots: Slots) -> None:
    manual.roll_back(slots)
    manual.roll_back(slots)
    assert slots.holders() == {"production": "3", "staging": None, "previous": "1"}


def test_a_rollback_may_name_any_earlier_holder(slots: Slots) -> None:
    manual.override(slots, "4", "For a day.")
    manual.roll_back(slots, to="1")
    assert slots.holders() == {"production": "1", "staging": None, "previous": "4"}


def test_a_rollback_to_a_version_that_never_held_production_is_refused(slots: Slots) -> None:
    with refusal("never held Production", "roll back to version 1, or override", "workshop promote 2 --reason"):
        manual.roll_back(slots, to="2")
    assert slots.holder(Slot.PRODUCTION) == "3"


def test_a_rollback_works_after_the_version_in_production_was_deleted(slots: Slots) -> None:
    slots.client.delete_model_version(MODEL, "3")
    event = manual.roll_back(slots)
    assert event is not None and event.title == "rollback to version 1"
    assert slots.holder(Slot.PRODUCTION) == "1"


def test_a_rollback_or_override_to_the_holder_of_production_changes_and_records_nothing(slots: Slots) -> None:
    before = len(events())
    assert manual.roll_back(slots, to="3") is None
    assert manual.override(slots, "3", "Once more.") is None
    assert len(events()) == before


def test_a_rollback_without_an_earlier_holder_is_refused(registry: MlflowClient) -> None:
    with refusal("no earlier holder"):
        manual.roll_back(open_slots(registry, "never_registered"))
    slots = open_slots(registry, MODEL)
    with refusal("no earlier holder", "--to VERSION"):
        manual.roll_back(slots)
    with refusal("never held Production", "workshop promote"):
        manual.roll_back(slots, to="1")
    assert slots.holder(Slot.PRODUCTION) is None
    assert events() == []
    for slot in (Slot.PRODUCTION, Slot.PREVIOUS):
        slots.assign(slot, "3")
    with refusal("no earlier holder", "--to VERSION"):
        manual.roll_back(slots)


@pytest.mark.parametrize("version", ["17", "0", "latest", "3; drop table"])
def test_a_missing_version_is_refused(slots: Slots, version: str) -> None:
    with refusal(f"no version {version}: it has versions 1, 2, 3, 4."):
        manual.roll_back(slots, to=version)
    with refusal(f"no version {version}: it has versions 1, 2, 3, 4."):
        manual.override(slots, version, "I like it.")
    assert slots.holder(Slot.PRODUCTION) == "3"


def test_an_override_needs_a_reason_and_is_recorded_with_it(slots: Slots) -> None:
    for reason in ("", "  \n"):
        with refusal("needs a reason", "--reason"):
            manual.override(slots, "2", reason)
    event = manual.override(slots, "2", "The cellar master likes it.")
    assert event is not None and event.kind == "override"
    assert slots.holder(Slot.PRODUCTION) == "2"
    assert events()[-1].reason == "The cellar master likes it."
    assert events()[-1].decision is None


@pytest.mark.parametrize(
    ("answers", "columns", "signed", "words"),
    [
        ("a constant", RENAMED, True, "other input columns"),
        ("a constant", None, False, "without its input columns"),
        ("nothing", None, True, "the cork is stuck"),
        ("NaN", None, True, "NaN"),
        ("more than certain", None, True, "0 to 1"),
    ],
    ids=["renamed", "unsigned", "raising", "NaN", "out of range"],
)
def test_an_override_can_not_break_callers(
    registry: MlflowClient, answers: str, columns: dict[str, str] | None, signed: bool, words: str
) -> None:
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    version = register_odd(answers, columns, signed=signed)
    with refusal(f"version {version}", words):
        manual.override(slots, version, "I like it all the same.")
    assert slots.holders() == {"production": "1", "staging": None, "previous": None}
    assert events() == []


def test_a_rollback_to_a_version_with_missing_artifacts_is_refused(slots: Slots) -> None:
    version = register_odd("a constant")
    (artifacts,) = {
        path.parent for path in (current_settings().home / "artifacts").rglob("MLmodel")
    }  # the gallery's artifacts are elsewhere
    for path in artifacts.iterdir():
        path.unlink() if path.is_file() else None
    slots.archive(version)
    with refusal(f"version {version} can't take Production"):
        manual.roll_back(slots, to=version)
    assert slots.holder(Slot.PRODUCTION) == "3"


def test_a_rollback_works_if_the_model_in_production_can_not_be_loaded(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(client: MlflowClient, model_name: str, version: str) -> Any:
        if version == "3":
            raise WorkshopError("Its artifacts are gone.")
        return load_version(client, model_name, version)

    monkeypatch.setattr(swap, "load_version", broken)
    manual.roll_back(slots)
    assert slots.holder(Slot.PRODUCTION) == "1"
