"""Acting on a judgement: the champion may have changed since, and the disk may be full."""

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, Gallery, refusal
from tests.support.promotions import AGAIN, BETTER, FIRST, RIVAL, contest, pending, run, slots_now
from workshop.core.promotion import evaluate, manual
from workshop.core.promotion.evaluate import Contest, act, judge
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.outcome import Outcome
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, Slots, open_slots

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_the_candidate_is_compared_with_a_new_champion_before_it_replaces_it(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    assert judgement.decision.verdict == "better"
    first_in_production.assign(Slot.PRODUCTION, "4")  # another run promotes the rival
    outcome = act(opened, judgement)
    assert (outcome.status, outcome.champion_version) == ("not better", "4")
    assert outcome.decision.auc_champion != judgement.decision.auc_champion
    assert first_in_production.holder(Slot.PRODUCTION) == "4"


def test_a_candidate_better_than_the_new_champion_is_promoted_over_it(first_in_production: Slots) -> None:
    opened = contest(BETTER)
    judgement = judge(opened)
    first_in_production.assign(Slot.PRODUCTION, "2")
    outcome = act(opened, judgement)
    assert (outcome.status, outcome.champion_version) == ("promoted", "2")
    assert first_in_production.holders() == {"production": "3", "staging": None, "previous": "2"}
    assert "2" in first_in_production.archived()


def test_the_second_of_two_baselines_is_compared(registry: MlflowClient) -> None:
    opened = contest(AGAIN)
    judgement = judge(opened)
    assert judgement.decision.verdict == "baseline"
    run(FIRST)
    assert act(opened, judgement).status == "not better"
    assert slots_now().holder(Slot.PRODUCTION) == "1"


def test_of_two_simultaneous_baselines_one_is_promoted(kind: str, registry: MlflowClient) -> None:
    opened = [contest(entrant) for entrant in (FIRST, AGAIN)]
    judged = [(each, judge(each)) for each in opened]
    together = threading.Barrier(2)

    def act_together(each: tuple[Contest, Judgement]) -> Outcome:
        together.wait()
        return act(*each)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(act_together, judged))
    assert sorted(outcome.status for outcome in outcomes) == ["not better", "promoted"]
    (winner,) = (outcome for outcome in outcomes if outcome.status == "promoted")
    assert slots_now().holders() == {"production": winner.candidate_version, "staging": None, "previous": None}
    assert slots_now().archived() == []


def test_a_champion_that_changes_at_each_comparison_is_one_sentence(
    champion: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare, others = evaluate.compare, cycle("21")

    def compare_while_another_run_promotes(*contest_and_champion: Any) -> Judgement:
        judgement = compare(*contest_and_champion)
        champion.assign(Slot.PRODUCTION, next(others))
        return judgement

    monkeypatch.setattr(evaluate, "compare", compare_while_another_run_promotes)
    opened = contest(BETTER)
    with refusal("Production has changed", "run again"):
        act(opened, judge(opened))
    assert champion.holder(Slot.PRODUCTION) in ("1", "2")


def test_a_version_that_another_machine_has_just_promoted_is_archived(
    first_in_production: Slots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No lock reaches another machine, which shares only the registry: it swaps right before this machine does.
    better, rival = contest(BETTER), contest(RIVAL)
    better_judged, rival_judged = judge(better), judge(rival)
    swap = better.slots.assign

    def overtaken(slot: Slot, version: str) -> None:
        if slot is Slot.PRODUCTION:
            with monkeypatch.context() as elsewhere:
                elsewhere.setenv("WORKSHOP_HOME", str(tmp_path / "another machine"))
                assert act(rival, rival_judged).status == "promoted"
        swap(slot, version)

    monkeypatch.setattr(better.slots, "assign", overtaken)
    outcome = act(better, better_judged)
    assert first_in_production.holder(Slot.PRODUCTION) == outcome.slots_after["production"] == "3"
    assert "4" in first_in_production.archived()
    assert pending() == []


@pytest.fixture
def disk(home: Path, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small file system, on which the home is, with the gallery's models."""
    place = home.parent / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a file system")
    try:
        monkeypatch.setenv("WORKSHOP_HOME", str(place / "home"))
        gallery.hang_in(place / "home")
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_leaves_production_as_it_was_and_the_next_run_works(disk: Path) -> None:
    slots = open_slots(mlflow_store.connect(), MODEL)
    manual.override(slots, FIRST[1], "To begin with.")
    opened = contest(BETTER)
    judgement = judge(opened)
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with refusal("disk", "full"):
        act(opened, judgement)
    assert slots.holder(Slot.PRODUCTION) == "1"
    ballast.unlink()
    assert act(opened, judgement).status == "promoted"
    assert slots.holders() == {"production": "3", "staging": None, "previous": "1"}
