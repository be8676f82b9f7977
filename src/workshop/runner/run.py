"""A run: executes the notebooks in order on a target, and writes the results on this machine."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workshop.core.errors import UsageError, WorkshopError, explain_os_error
from workshop.core.parameters import Parameters, safe_run_name
from workshop.core.promotion.outcome import MEANINGS, RunStatus
from workshop.core.provenance import find_commit
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slots, open_slots
from workshop.core.settings import PREPARATION, TRAINING, Settings, current_settings
from workshop.runner import interruption, notebooks, report
from workshop.runner.notebooks import Notebook
from workshop.runner.summary import Summary
from workshop.runner.target import Executed, Plan, Progress, Request, Target

_DECLARED = {
    PREPARATION: {"run_name"},
    TRAINING: {"run_name", "model_name"},
    notebooks.EVALUATION: {"run_name", "model_name", "devops_action", "compare_only"},
    notebooks.SCORING: {"run_name", "model_name", "slot"},
}
"""Parameters that each of the kit's notebooks must declare: without one, it would silently ignore the run's value."""
_OPTIONS = {"run_name": "--run-name", "devops_action": "--action", "compare_only": "--compare-only"}


def run(target: Target, request: Request, progress: Progress) -> Summary:
    """Execute the notebooks on a target; put them, the report and `summary.json` into the run's folder.

    Returns:
        The summary; a failed notebook or an interruption is part of it and is not raised.

    Raises:
        WorkshopError: nothing could be run, because of a wrong parameter, a missing store or a full disk.
    """
    chosen = request.chosen()
    parameters = _parameters(request, chosen)
    model_name = str(request.parameters.get("model_name", Parameters().model_name))
    commit, problem = find_commit()
    if problem:
        progress.said(problem)
    target.reach(progress)
    if request.decides:
        mlflow_store.require_shared_history()
    slots = open_slots(mlflow_store.connect(), model_name)
    target.get_ready(chosen)
    return carry_out(target, request, chosen, parameters, slots, commit, progress, problem)


def carry_out(  # noqa: PLR0913, PLR0917  # all parts of a run
    target: Target,
    request: Request,
    chosen: list[Notebook],
    parameters: dict[str, dict[str, Any]],
    slots: Slots,
    commit: str,
    progress: Progress,
    commit_problem: str = "",
) -> Summary:
    """Execute a checked plan and write its results; see `run`."""
    started, clock = datetime.now(UTC), time.monotonic()
    before = slots.holders()
    folder = _make_folder(current_settings(), started, safe_run_name(request.run_name))
    plan = Plan(request, chosen, parameters, slots.model_name, commit, folder, commit_problem)
    # The results are written even if the user presses Ctrl-C again.
    with target.executed(plan, progress) as executed, interruption.undisturbed():
        return _write_down(plan, executed, slots, before, started, clock)


def _write_down(  # noqa: PLR0913, PLR0917  # the fields of a summary
    plan: Plan,
    executed: Executed,
    slots: Slots,
    before: dict[str, str | None],
    started: datetime,
    clock: float,
) -> Summary:
    request, folder = plan.request, plan.folder
    before = executed.slots_before or before
    after = _holders_or(before, slots) if executed.over and _may_have_moved_a_slot(executed) else before
    status, sentence = _status_and_sentence(executed, before, after)
    summary = Summary(
        run_id=folder.name,
        run_name=safe_run_name(request.run_name),
        action=request.action.value,
        target=request.target,
        model=slots.model_name,
        status=status,
        sentence=sentence,
        exit_code=MEANINGS[status].exit_code,
        started=(executed.started or started).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - clock, 2) if executed.seconds is None else executed.seconds,
        git_commit=plan.commit,
        commit_problem=plan.commit_problem,
        parameters=plan.parameters,
        data_version=executed.data_version,
        notebooks=executed.results,
        outcome=executed.outcome,
        slots_before=before,
        slots_after=after,
        report=str(folder / "report.html"),
        run_page=executed.run_page,
        submitted_by=executed.submitted_by,
    )
    try:
        report.write(summary, Path(summary.report))
        summary.write(folder / "summary.json")
    except OSError as error:
        where = f" ({summary.run_page})" if summary.run_page else ""
        raise WorkshopError(
            f"{sentence.rstrip('.')}{where}; but its results could not be kept: {explain_os_error(error)}"
        ) from error
    return summary


def _status_and_sentence(
    executed: Executed, before: dict[str, str | None], after: dict[str, str | None]
) -> tuple[RunStatus, str]:
    """Return the run's status and its sentence."""
    status, sentence = executed.status, executed.sentence
    if status == "done" and executed.outcome is not None:
        return executed.outcome.status, executed.outcome.sentence
    for slot in ("production", "staging"):
        if status in ("failed", "interrupted") and after[slot] != before[slot]:
            sentence = f"{sentence} Before that, version {after[slot]} took {slot.capitalize()}."
    return status, sentence


def _may_have_moved_a_slot(executed: Executed) -> bool:
    """Return whether the slots must be read again: not after a stop before 1_3, which would wait for the registry."""
    evaluated = any(each.name == notebooks.EVALUATION and each.status != "not run" for each in executed.results)
    return executed.status != "interrupted" or evaluated


def _parameters(request: Request, chosen: list[Notebook]) -> dict[str, dict[str, Any]]:
    """Return each notebook's parameters: the given ones, and the run's own where the notebook declares them."""
    for name, option in _OPTIONS.items():
        if name in request.parameters:
            raise UsageError(f"The parameter {name} has an option of its own: use {option} instead of -p.")
    values = dict(request.parameters)
    if request.target == "local" and values.get("source_folder"):
        values["source_folder"] = str(Path(values["source_folder"]).absolute())  # kernels run in another folder
    given = notebooks.check_parameters(chosen, values)
    own = {
        "run_name": request.run_name,
        "devops_action": request.action.value,
        "compare_only": request.compare_only,  # passed even if off: a cell may turn it on
        # A deployment must score with Production only, even before the first promotion.
        **({"slot": request.action.slot} if request.action.slot == "production" else {}),
    }
    declared = {notebook.name: set(notebook.declared()) for notebook in chosen}
    parameters = {
        notebook.name: {
            **{name: value for name, value in own.items() if name in declared[notebook.name]},
            **given[notebook.name],
        }
        for notebook in chosen
    }
    for notebook in chosen:
        if missing := sorted(_DECLARED.get(notebook.name, set()) - declared[notebook.name]):
            raise UsageError(
                f"The notebook {notebook.name} declares no parameter {missing[0]}, which a run sets: add it to "
                "the cell tagged `parameters`, and restore the tag if the cell has lost it."
            )
        notebook.require_kept(parameters[notebook.name])
    return parameters


def _holders_or(before: dict[str, str | None], slots: Slots) -> dict[str, str | None]:
    """Return the slots' holders now, or the earlier ones if the store no longer answers."""
    try:
        return slots.holders()
    except WorkshopError:
        return before


def _make_folder(settings: Settings, started: datetime, run_name: str) -> Path:
    """Create the run's folder, named after its start; a second run within the same second gets the next number."""
    stem = f"{started:%Y%m%dT%H%M%SZ}-{run_name}"
    for number in range(1, 1000):
        folder = settings.runs / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise explain_os_error(error) from error
        return folder
    raise WorkshopError(f"A thousand runs named {run_name} have started within this second: start fewer.")
