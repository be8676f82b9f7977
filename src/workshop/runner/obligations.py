"""The results that each notebook must hand over, checked before the next notebook starts."""

from collections.abc import Mapping
from typing import Any

from kit_common.sanitize import printable
from workshop.core.errors import WorkshopError
from workshop.core.notebook_result import HandedOver
from workshop.core.parameters import Parameters, safe_run_name
from workshop.core.promotion.outcome import Outcome, status_for
from workshop.core.registry.backends import open_client
from workshop.core.registry.mlflow_store import explained
from workshop.core.registry.model import RUN_ID_TAG, RUN_NAME_TAG
from workshop.core.settings import PREPARATION, TRAINING, current_settings
from workshop.runner.notebooks import EVALUATION, SCORING
from workshop.runner.target import Plan

_OWED = {
    PREPARATION: ("prepared", "the table that it has prepared"),
    TRAINING: ("candidate", "the version that it has registered"),
    EVALUATION: ("", "its decision"),
    SCORING: ("batch", "the batch that it has scored"),
}
"""For each notebook with an obligation: the name of the result in hand_over, and its description."""
_LEAVE_IT_IN = (
    "it stopped before its last cell, or that cell does not call hand_over: keep the call, and remove what stops "
    "the notebook before it."
)


class Obligations:
    """The checks of one run's notebooks, in the order in which they end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._candidate: str | None = None
        self.outcome: Outcome | None = None
        """The decision that the run has made, once it has been checked."""
        self.scored = ""
        """Which version scored how many wines, and where the predictions are; empty before the scoring."""

    def check(self, name: str, returned: HandedOver | None, run_id: str) -> None:
        """Check what a notebook handed over against what the run requires.

        Args:
            name: the notebook's name.
            returned: the notebook's result, or None.
            run_id: the run's id in the notebook.

        Raises:
            WorkshopError: a result is missing or wrong; the sentence does not contain the notebook's name.
        """
        if returned is None and name not in _OWED:
            return
        key, thing = _OWED.get(name, ("", ""))
        if returned is None or (key and not returned.said.get(key)) or (name == EVALUATION and not returned.outcome):
            raise WorkshopError(f"it ended without handing over {thing}: {_LEAVE_IT_IN}")
        if name != EVALUATION and returned.outcome is not None:
            raise WorkshopError(
                f"it hands over a decision, which only {EVALUATION} makes: take it out of its hand_over."
            )
        self._check_parameters(name, returned.parameters)
        if name == TRAINING:
            self._check_candidate(returned.said["candidate"], run_id)
        elif name == EVALUATION and returned.outcome is not None:
            self._check_decision(returned.outcome)
            self.outcome = returned.outcome
        elif name == SCORING and "rows" in returned.said:
            self.scored = self._scoring(returned.said)

    def _scoring(self, said: Mapping[str, str]) -> str:
        name = f"predictions/{safe_run_name(self._plan.request.run_name)}"
        place = f" ({current_settings().data / name})" if self._plan.request.target == "local" else ""
        by = f"Version {said['version']}" if "version" in said else "The model"
        return f"{by} scored {said['rows']} wines; the predictions are in the table {name}{place}."

    def _check_parameters(self, name: str, read: Mapping[str, Any]) -> None:
        given = self._plan.parameters.get(name, {})
        expected = Parameters(**given).model_dump(mode="json") if name in _OWED else {}
        for each in given:
            if each in expected and printable(str(read.get(each))) != printable(str(expected[each])):
                raise WorkshopError(
                    f"it received {expected[each]!r} for the parameter {each} but used {read.get(each)!r}: "
                    "pass that parameter to read_parameters, and assign it only in the cell tagged parameters."
                )

    def _check_candidate(self, version: str, run_id: str) -> None:
        tags = self._tags_of(version)
        if tags.get(RUN_ID_TAG) != run_id:
            raise WorkshopError(
                f"version {version}, which it hands over as this run's candidate, was not registered in this run: "
                "hand over what log_candidate returns."
            )
        self._candidate = version

    def _check_decision(self, outcome: Outcome) -> None:
        plan, version, status = self._plan, outcome.candidate_version, outcome.status
        run_name = Parameters(run_name=plan.request.run_name).run_name
        if outcome.model_name != plan.model_name:
            raise WorkshopError(
                f"it decided about {outcome.model_name}, and the run is about {plan.model_name}: leave the "
                "parameter model_name as it was given."
            )
        if self._candidate is not None and version != self._candidate:
            raise WorkshopError(
                f"it decided about version {version}, and this run's candidate is version {self._candidate}: judge "
                "what open_contest finds."
            )
        if self._candidate is None and self._tags_of(version).get(RUN_NAME_TAG) != run_name:
            raise WorkshopError(
                f"it decided about version {version}, which is not a candidate of the run name {run_name}: judge what "
                "open_contest finds."
            )
        allowed = status_for("better", plan.request.action.slot, compare_only=plan.request.compare_only)
        if status in {"promoted", "staged"} - {allowed}:
            purpose = "only to compare" if plan.request.compare_only else f"for {plan.request.action.value}"
            raise WorkshopError(
                f"version {version} is {status}, and the run was {purpose}: look at `workshop history`, give the slot "
                "back with `workshop rollback`, and leave the parameters as they were given."
            )

    def _tags_of(self, version: str) -> Mapping[str, str]:
        with explained(f"read {self._plan.model_name} version {version}"):
            return dict(open_client().get_model_version(self._plan.model_name, version).tags)
