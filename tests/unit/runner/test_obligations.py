"""What a notebook has returned, against what the run has asked it for."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.models import refusal
from tests.unit.core.promotion.test_outcome import outcome
from workshop.core.notebook_result import HandedOver
from workshop.core.parameters import DevopsAction
from workshop.core.promotion.outcome import Status
from workshop.core.settings import current_settings
from workshop.runner import obligations
from workshop.runner.notebooks import EVALUATION, SCORING, select
from workshop.runner.obligations import Obligations
from workshop.runner.target import Plan, Request

PREPARATION, TRAINING = "part_1_1_data_prep", "part_1_2_training"
GIVEN = {"run_name": "dev-ana"}
TAGS = {
    "1": {"workshop.run_id": "earlier", "workshop.run_name": "dev-ana"},
    "2": {"workshop.run_id": "of another", "workshop.run_name": "dev-bob"},
    "3": {"workshop.run_id": "this", "workshop.run_name": "dev-ana"},
}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    client = SimpleNamespace(get_model_version=lambda name, version: SimpleNamespace(tags=TAGS[version]))
    monkeypatch.setattr(obligations, "open_client", lambda: client)


def of(
    action: DevopsAction = DevopsAction.DEPLOYMENT, *, compare_only: bool = False, given: Mapping[str, Any] = GIVEN
) -> Obligations:
    request = Request(action, "dev-ana", compare_only=compare_only)
    parameters = dict.fromkeys((PREPARATION, TRAINING, EVALUATION, SCORING), given)
    return Obligations(Plan(request, select(), parameters, "wine_quality", "abc", Path("this")))


def returned(decided: Status | None = None, version: str = "3", said: dict[str, str] | None = None) -> HandedOver:
    made = replace(outcome(decided), candidate_version=version) if decided else None
    return HandedOver(outcome=made, said=said or {}, data_version={}, parameters={**GIVEN, "seed": 42})


@pytest.mark.parametrize(
    ("name", "said", "owed"),
    [
        (PREPARATION, {"candidate": "3"}, "the table that it has prepared"),
        (TRAINING, {"prepared": "x"}, "the version that it has registered"),
        (EVALUATION, {"candidate": "3"}, "its decision"),
        (SCORING, {"rows": "1"}, "the batch that it has scored"),
    ],
)
def test_a_notebook_owes_what_the_run_goes_on_with(name: str, said: dict[str, str], owed: str) -> None:
    for nothing in (None, returned(), returned(said=said)):
        with refusal("ended without handing over", owed, "hand_over"):
            of().check(name, nothing, "this")


def test_a_notebook_of_a_teams_own_owes_nothing() -> None:
    of().check("part_9_anything", None, "this")
    with refusal("hands over a decision", EVALUATION):
        of().check("part_9_anything", returned("promoted"), "this")


def test_a_run_of_all_notebooks_has_a_decision_about_its_own_candidate() -> None:
    run = of()
    run.check(PREPARATION, returned(said={"prepared": "prepared/dev-ana@0"}), "this")
    run.check(TRAINING, returned(said={"candidate": "3"}), "this")
    assert run.outcome is None
    decided = returned("promoted")
    run.check(EVALUATION, decided, "this")
    run.check(SCORING, returned(said={"batch": "1"}), "this")
    assert run.outcome == decided.outcome


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_candidate_of_another_run_is_refused(version: str) -> None:
    with refusal(f"version {version}", "was not registered in this run"):
        of().check(TRAINING, returned(said={"candidate": version}), "this")


def test_a_decision_is_about_the_candidate_of_this_run() -> None:
    run = of()
    run.check(TRAINING, returned(said={"candidate": "3"}), "this")
    with refusal("decided about version 1", "candidate is version 3"):
        run.check(EVALUATION, returned("promoted", "1"), "this")
    assert run.outcome is None


def test_a_decision_of_a_run_that_does_not_train_is_about_a_candidate_of_its_run_name() -> None:
    of().check(EVALUATION, returned("promoted", "1"), "this")
    with refusal("version 2", "not a candidate of the run name dev-ana"):
        of().check(EVALUATION, returned("promoted", "2"), "this")


def test_a_decision_is_about_the_model_of_this_run() -> None:
    decided = returned("promoted")
    assert decided.outcome is not None
    decided = decided.model_copy(update={"outcome": replace(decided.outcome, model_name="cheese_quality")})
    with refusal("cheese_quality", "wine_quality"):
        of().check(EVALUATION, decided, "this")


@pytest.mark.parametrize(
    ("action", "compare_only", "status"),
    [
        (DevopsAction.INTEGRATION, False, "promoted"),
        (DevopsAction.DEPLOYMENT, False, "staged"),
        *((action, True, status) for action in list(DevopsAction)[:2] for status in ("promoted", "staged")),
    ],
)
def test_a_slot_that_the_run_was_not_to_move_is_a_failure(
    action: DevopsAction, compare_only: bool, status: Status
) -> None:
    with refusal(f"version 3 is {status}", "workshop rollback"):
        of(action, compare_only=compare_only).check(EVALUATION, returned(status), "this")


@pytest.mark.parametrize(("name", "value"), [("seed", 7), ("compare_only", True), ("run_name", "dev-bob")])
def test_a_parameter_that_was_set_back_is_a_failure(name: str, value: object) -> None:
    with refusal(f"for the parameter {name}", repr(value), "read_parameters"):
        of(given={**GIVEN, name: value}).check(PREPARATION, returned(said={"prepared": "x"}), "this")


def test_a_scoring_names_the_version_the_number_of_wines_and_the_place_of_the_predictions() -> None:
    run = of()
    run.check(SCORING, returned(said={"batch": "2026-11-24", "rows": "1300", "version": "3"}), "this")
    place = current_settings().data / "predictions/dev-ana"
    assert run.scored == (
        f"Version 3 scored 1300 wines; the predictions are in the table predictions/dev-ana ({place})."
    )
