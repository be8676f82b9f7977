import threading
import warnings
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, refusal
from workshop.core.registry.slots import AliasSlots, Slot, Slots, StageSlots, open_slots
from workshop.core.settings import current_settings

NOWHERE = "file:///nowhere/model"


@pytest.fixture(params=["alias", "stage"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both forms of slots, in `make test` as well."""
    monkeypatch.setenv("WORKSHOP_SLOTS", request.param)
    return str(request.param)


@pytest.fixture
def slots(kind: str, empty_registry: MlflowClient) -> Slots:
    """The slots of a model with eleven versions, which have no artifacts."""
    empty_registry.create_registered_model(MODEL)
    for _ in range(11):
        empty_registry.create_model_version(MODEL, source=NOWHERE)
    return open_slots(empty_registry, MODEL)


@pytest.mark.parametrize(("setting", "expected"), [("alias", AliasSlots), ("stage", StageSlots), (None, AliasSlots)])
def test_the_setting_decides_how_slots_are_kept(
    setting: str | None, expected: type[Slots], empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    if setting is not None:
        monkeypatch.setenv("WORKSHOP_SLOTS", setting)
    assert current_settings().slots == (setting or "alias")
    assert type(open_slots(empty_registry, MODEL)) is expected


def test_before_the_first_version_nothing_is_held(kind: str, empty_registry: MlflowClient) -> None:
    slots = open_slots(empty_registry, MODEL)
    assert slots.holders() == {"production": None, "staging": None, "previous": None}
    assert slots.archived() == []
    assert slots.version_in(Slot.PRODUCTION) is None


@pytest.mark.parametrize("slot", list(Slot))
def test_a_slot_is_held_by_the_version_that_was_assigned_last(slots: Slots, slot: Slot) -> None:
    for version in ("3", "10", "2"):
        slots.assign(slot, version)
        assert slots.holder(slot) == version
        assert slots.holders() == {each.value: version if each is slot else None for each in Slot}


def test_assigning_again_changes_nothing(slots: Slots) -> None:
    slots.assign(Slot.PRODUCTION, "3")
    slots.assign(Slot.PRODUCTION, "3")
    assert slots.holder(Slot.PRODUCTION) == "3"
    assert slots.archived() == []


def test_slots_do_not_disturb_each_other(slots: Slots) -> None:
    slots.assign(Slot.PRODUCTION, "1")
    slots.assign(Slot.STAGING, "2")
    slots.assign(Slot.PREVIOUS, "3")
    assert slots.holders() == {"production": "1", "staging": "2", "previous": "3"}


def test_slots_of_two_models_do_not_disturb_each_other(slots: Slots) -> None:
    slots.client.create_registered_model("other")
    slots.client.create_model_version("other", source=NOWHERE)
    slots.assign(Slot.PRODUCTION, "5")
    other = open_slots(slots.client, "other")
    assert other.holder(Slot.PRODUCTION) is None
    other.assign(Slot.PRODUCTION, "1")
    assert slots.holder(Slot.PRODUCTION) == "5"


def test_the_entry_of_a_holder_has_its_tags(slots: Slots) -> None:
    slots.tag("4", {"workshop.run_name": "dev-ann", "workshop.status": "promoted"})
    slots.assign(Slot.PRODUCTION, "4")
    entry = slots.version_in(Slot.PRODUCTION)
    assert entry is not None
    assert str(entry.version) == "4"
    assert entry.tags["workshop.run_name"] == "dev-ann"
    assert entry.tags["workshop.status"] == "promoted"


def test_archived_versions_are_listed_oldest_first(slots: Slots) -> None:
    for version in ("10", "2", "9"):
        slots.archive(version)
    assert slots.archived() == ["2", "9", "10"]


def test_archiving_again_changes_nothing(slots: Slots) -> None:
    slots.archive("2")
    slots.archive("2")
    assert slots.archived() == ["2"]


def test_a_version_that_comes_back_to_production_is_archived_no_more(slots: Slots) -> None:
    slots.archive("2")
    slots.assign(Slot.PRODUCTION, "2")
    assert slots.archived() == []


def test_a_version_that_only_held_staging_is_not_archived(slots: Slots) -> None:
    # Archived means: it held Production and no longer does.
    slots.assign(Slot.STAGING, "1")
    slots.assign(Slot.STAGING, "2")
    assert slots.archived() == []


@pytest.mark.parametrize("slot", list(Slot))
def test_a_slot_that_was_released_is_empty(slots: Slots, slot: Slot) -> None:
    for version, each in enumerate(Slot, 1):
        slots.assign(each, str(version))
    before = slots.holders()
    slots.release(slot)
    assert slots.holder(slot) is None
    assert slots.holders() == {**before, slot.value: None}
    slots.assign(slot, "9")
    assert slots.holder(slot) == "9"


@pytest.mark.parametrize("slot", list(Slot))
def test_releasing_an_empty_slot_changes_nothing(slots: Slots, slot: Slot) -> None:
    slots.release(slot)
    assert slots.holders() == {each.value: None for each in Slot}


def test_a_first_holder_that_is_released_can_be_archived(slots: Slots) -> None:
    slots.assign(Slot.PRODUCTION, "1")
    slots.release(Slot.PRODUCTION)
    slots.archive("1")
    assert slots.archived() == ["1"]
    assert slots.holder(Slot.PRODUCTION) is None


def add_to_description(slots: Slots, version: str, line: str) -> None:
    entry = slots.entry(version)
    assert entry is not None
    slots.add_to_description(entry, line)


def test_a_description_grows_by_a_line_and_repeats_none(slots: Slots) -> None:
    def described() -> str | None:
        return slots.client.get_model_version(MODEL, "3").description

    add_to_description(slots, "3", "promoted: it is better")
    assert described() == "promoted: it is better"
    for _ in range(2):
        add_to_description(slots, "3", "rolled back: it was corked")
    add_to_description(slots, "3", "promoted: it is better")
    assert described() == "promoted: it is better\n\nrolled back: it was corked"
    assert not slots.client.get_model_version(MODEL, "2").description


def test_what_the_team_has_written_into_a_description_stays(slots: Slots) -> None:
    slots.client.update_model_version(MODEL, "3", "Ana's favourite")
    add_to_description(slots, "3", "promoted")
    assert slots.client.get_model_version(MODEL, "3").description == "Ana's favourite\n\npromoted"


@pytest.mark.parametrize("slot", [Slot.PRODUCTION, Slot.STAGING])
def test_a_version_that_is_not_there_can_hold_nothing(slots: Slots, slot: Slot) -> None:
    slots.assign(slot, "1")
    with refusal(slot.value, "version 99"):
        slots.assign(slot, "99")
    assert slots.holder(slot) == "1"


def test_a_version_that_was_deleted_holds_nothing(slots: Slots) -> None:
    slots.assign(Slot.PREVIOUS, "3")
    slots.client.delete_model_version(MODEL, "3")
    assert slots.holder(Slot.PREVIOUS) is None
    assert slots.version_in(Slot.PREVIOUS) is None


def test_a_registry_that_is_gone_is_explained(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise mlflow.MlflowException("API request failed\nMax retries exceeded")

    monkeypatch.setattr(slots.client, "get_model_version_by_alias", gone)
    monkeypatch.setattr(slots.client, "search_model_versions", gone)
    with refusal("MLflow could not", "API request failed"):
        slots.holder(Slot.PRODUCTION)


def test_whoever_asked_for_stages_is_not_warned_at_every_swap(slots: Slots) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for version in ("1", "2"):
            slots.assign(Slot.STAGING, version)
            slots.assign(Slot.PRODUCTION, version)
        slots.archive("1")
        assert slots.holder(Slot.PRODUCTION) == "2"


def test_production_is_held_by_exactly_one_version_at_every_look(slots: Slots) -> None:
    slots.assign(Slot.PRODUCTION, "1")
    looked, looking, done = [], threading.Event(), threading.Event()

    def look() -> None:
        while not done.is_set():
            looked.append(slots.holder(Slot.PRODUCTION))
            looking.set()

    reader = threading.Thread(target=look)
    reader.start()
    assert looking.wait(timeout=60)
    for version in ("2", "1", "3", "2", "3", "1", "2", "1"):
        slots.assign(Slot.PRODUCTION, version)
    done.set()
    reader.join()
    assert set(looked) <= {"1", "2", "3"}


def test_the_uri_of_a_slot_loads_what_holds_it(kind: str, registry: MlflowClient) -> None:
    slots = open_slots(registry, MODEL)
    for slot, version in ((Slot.PRODUCTION, "3"), (Slot.STAGING, "2"), (Slot.PREVIOUS, "1")):
        slots.assign(slot, version)
    for slot, version in ((Slot.PRODUCTION, "3"), (Slot.STAGING, "2"), (Slot.PREVIOUS, "1")):
        loaded = mlflow.pyfunc.load_model(slots.uri(slot))
        assert loaded.metadata.run_id == registry.get_model_version(MODEL, version).run_id


def test_the_uris_are_the_ones_that_consumers_are_told(empty_registry: MlflowClient) -> None:
    assert AliasSlots(empty_registry, MODEL).uri(Slot.PRODUCTION) == f"models:/{MODEL}@production"
    assert StageSlots(empty_registry, MODEL).uri(Slot.PRODUCTION) == f"models:/{MODEL}/Production"


def test_a_description_that_is_full_keeps_its_last_lines(registry: MlflowClient) -> None:
    slots = open_slots(registry, MODEL)
    for number in range(12):
        add_to_description(slots, "1", f"{number}: " + 1000 * "x")
    said = registry.get_model_version(MODEL, "1").description or ""
    assert len(said) <= 5000
    assert [line.split(":")[0] for line in said.split("\n\n")] == ["8", "9", "10", "11"]


@pytest.mark.parametrize("version", ["0", "01", "-1", "²", "x", "", "12", "9" * 30])
def test_a_version_exists_under_its_own_number_only(slots: Slots, version: str) -> None:
    assert slots.exists("11")
    assert not slots.exists(version)
