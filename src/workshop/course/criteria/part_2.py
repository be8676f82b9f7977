"""Part 2: without a person at the keyboard, by a pipeline, and on another machine."""

import re

from workshop.course.criterion import Criterion, Finding, a_branch, met, not_yet, written_otherwise
from workshop.course.facts import PREPARATION, Facts, KitRun, PipelineRun, Unseen

SUBMIT, UNIT_TEST = "part_2_submit.yml", "workshop_unit_test.yml"
_NOT_OVER = {"interrupted"}
_WITH_WORKSPACE = "workshop databricks local --folder .workshop/databricks -- workshop run --target databricks"
"""With a folder, the next command finds the tables that the one before has made."""
_SUBMITTED = re.compile(r"Run \d+ is submitted")
_NO_NOTEBOOKS_FAULT = re.compile(
    r"(?:Attribute|Connection|Import|Indentation|Key|ModuleNotFound|Name|Syntax|Type|Value)Error\b.*"
    r"|(?:Unauthenticated|PermissionDenied|NotFound)\b.*"
)
"""Errors of the script itself, or of the way to the workspace, after it has submitted the notebook."""


def _headless(facts: Facts) -> Finding:
    name, home = a_branch(facts), facts.home
    own = [run for run in _own(facts) if run.target == "local"]
    if done := [run for run in own if run.status not in {"failed", *_NOT_OVER}]:
        return met(f"The run {done[-1].run_id} has ended: {done[-1].status}.")
    if own:
        return not_yet(
            f"The run {own[-1].run_id} has ended as {own[-1].status}: open its report, mend the cause, and run "
            f"`workshop run --run-name {name}`."
        )
    if home.unfinished & facts.person.run_names:
        return not_yet(f"A run named {name} has no summary, since it still runs or was killed: wait, or run it again.")
    names = sorted({run.run_name for run in home.runs})
    if written := written_otherwise(set(names), name):
        return not_yet(
            f"A run has the name {written}, as {name} with capital letters gives: run `workshop run --run-name {name}`."
        )
    found = f"The runs have the run name {', '.join(names)}, not {name}" if names else "No run has ended yet"
    return not_yet(f"{found}: run `workshop run --run-name {name}`.")


def _sample(facts: Facts) -> Finding:
    name = a_branch(facts)
    command = f"`workshop run --notebooks 1_1 --run-name {name} -p sample=0.1`"
    own = [run for run in _own(facts) if "sample" in run.parameters]
    small = [run for run in own if _share(run) < 1]
    if done := [run for run in small if run.notebooks.get(PREPARATION) == "succeeded"]:
        return met(f"The run {done[-1].run_id} prepared a share of {_share(done[-1]):g} of the wines.")
    if small:
        return not_yet(f"1_1 did not succeed in the run {small[-1].run_id}, which has a sample: run {command}.")
    if own:
        return not_yet(f"The sample of the run {own[-1].run_id} is 1, which is all wines: run {command}.")
    if any(_share(run) < 1 for run in facts.home.runs):
        return not_yet(f"A run with a sample exists, but not under the run name {name}: run {command}.")
    return not_yet(f"No run named {name} has set the parameter sample: run {command}.")


def _by_hand(facts: Facts) -> Finding:
    name = a_branch(facts)
    command = f"`workshop pipelines run {UNIT_TEST} --branch {name}`"
    by_hand = [run for run in _runs(facts) if run.by_hand]
    own = [run for run in by_hand if run.branch in facts.person.branches]
    if ended := [run for run in own if run.ended]:
        return met(f"Run {ended[-1].number} of {ended[-1].pipeline}, started by hand on {name}, has ended.")
    if own and own[-1].result == "canceled":
        return not_yet(f"Run {own[-1].number}, started by hand, was canceled: run {command}.")
    if own:
        return not_yet(
            f"Run {own[-1].number} of {own[-1].pipeline} is {own[-1].state}: run `workshop devops watch --until-idle`."
        )
    if by_hand:
        return not_yet(f"Run {by_hand[-1].number} was started by hand on {by_hand[-1].branch}: run {command}.")
    if pushed := [run for run in _runs(facts) if run.branch in facts.person.branches]:
        return not_yet(f"Run {pushed[-1].number} on {name} was started by a push, not by hand: run {command}.")
    return not_yet(f"No pipeline has run on {name} yet: run {command}.")


def _remote(facts: Facts) -> Finding:
    name = a_branch(facts)
    command = f"`{_WITH_WORKSPACE} --notebooks 0`, then `{_WITH_WORKSPACE} --run-name {name}`"
    remote = [run for run in facts.home.runs if run.target == "databricks"]
    own = [run for run in remote if run.run_name in facts.person.run_names]
    done = [run for run in own if run.run_page and run.status not in {"failed", *_NOT_OVER}]
    if as_principal := [run for run in done if run.submitted_by and "@" not in run.submitted_by]:
        last = as_principal[-1]
        return met(f"The run {last.run_id} has ended as the service principal {last.submitted_by}: {last.status}.")
    if done and not done[-1].submitted_by:
        raise Unseen(f"The summary of the run {done[-1].run_id} does not name its identity: run {command}.")
    if done:
        return not_yet(f"The run {done[-1].run_id} was submitted by the user {done[-1].submitted_by}: run {command}.")
    if own and not own[-1].run_page:
        return not_yet(f"The run {own[-1].run_id} has not reached the workspace: run {command}.")
    if own:
        return not_yet(f"The run {own[-1].run_id} in the workspace has ended as {own[-1].status}: run {command}.")
    if remote:
        return not_yet(f"{remote[-1].run_name} has run in a workspace, and {name} has not: run {command}.")
    return not_yet(f"Each of the {len(facts.home.runs)} runs in {facts.home.path} was on this machine: run {command}.")


def _waits(facts: Facts) -> Finding:
    name = a_branch(facts)
    command = f"`workshop databricks local -- workshop pipelines run {SUBMIT}` on {name}"
    every = [run for run in _runs(facts) if run.pipeline == SUBMIT]
    own = [run for run in every if run.branch in facts.person.branches]
    failed = [run for run in own if run.result == "failed"]
    for run in reversed(failed):
        submitted, end = _SUBMITTED.search(run.log_end), run.log_end.strip()
        if submitted and not _NO_NOTEBOOKS_FAULT.search(end, submitted.end()):
            return met(f"Run {run.number} of {SUBMIT} waited for what it had submitted, and failed with it.")
    if failed:
        fault = _NO_NOTEBOOKS_FAULT.search(failed[-1].log_end)
        reason = fault[0].rstrip(".") if fault else failed[-1].reason_of_failure
        return not_yet(
            f"Run {failed[-1].number} failed, but not because of a notebook ({reason}): correct the script, "
            f"and run {command}."
        )
    if going := [run for run in own if run.state != "completed"]:
        return not_yet(f"Run {going[-1].number} has not ended: run `workshop devops watch --until-idle`.")
    if own:
        return not_yet(
            f"Run {own[-1].number} of {SUBMIT} {own[-1].result}, so it did not wait for a notebook that fails: "
            f"let the script wait, commit, and run {command}."
        )
    if every:
        return not_yet(f"{SUBMIT} ran on {every[-1].branch}, not on {name}: run {command}.")
    return not_yet(f"{SUBMIT} has not run on {name} yet: run {command}.")


def _own(facts: Facts) -> list[KitRun]:
    return [run for run in facts.home.runs if run.run_name in facts.person.run_names]


def _runs(facts: Facts) -> tuple[PipelineRun, ...]:
    return facts.team.runs if facts.team else ()


def _share(run: KitRun) -> float:
    share = run.parameters.get("sample", 1)
    return float(share) if isinstance(share, int | float) else 1.0


CRITERIA = (
    Criterion(
        "headless",
        "A `workshop run` under your run name has ended.",
        _headless,
        "The same notebooks run without a person at the keyboard; the report keeps what they showed.",
        (
            "One command runs 1_1, 1_2 and 1_3 in order. `workshop run --help` lists its options.",
            "The run name is an option: it goes into each notebook's parameters.",
            "workshop run --run-name dev-ana",
        ),
        ("kit runs",),
    ),
    Criterion(
        "sample",
        "A run under your run name has prepared a sample of the wines.",
        _sample,
        "A test asks whether a notebook still runs: a part of the rows answers that in less time.",
        (
            "1_1 has a parameter for the share of the wines. What is its default?",
            "Set a parameter with `-p NAME=VALUE`; a share below 1 takes a sample.",
            "workshop run --notebooks 1_1 --run-name dev-ana -p sample=0.1",
        ),
        ("kit runs",),
    ),
    Criterion(
        "by_hand",
        "A pipeline, started by hand on your branch, has ended.",
        _by_hand,
        "A pipeline is a file in the repository. It runs from a commit, not from uncommitted files.",
        (
            "A pipeline does not need a trigger to run. `workshop pipelines run --help` shows how to start one.",
            "Name the file and your branch, which must have a commit with this file.",
            f"workshop pipelines run {UNIT_TEST} --branch dev-ana",
        ),
        ("runs",),
    ),
    Criterion(
        "remote",
        "A run in a Databricks workspace has ended, as a service principal.",
        _remote,
        "A service principal has only the rights that the team gave it, and stays when a person leaves the team.",
        (
            "The notebooks may run elsewhere: `workshop run` has an option for the target.",
            "`workshop databricks local -- COMMAND` runs a command against a workspace on this machine.",
            f"{_WITH_WORKSPACE} --notebooks 0\n{_WITH_WORKSPACE} --run-name dev-ana",
        ),
        ("kit runs",),
    ),
    Criterion(
        "waits",
        "A pipeline that submits a notebook waits for it: the run failed because its notebook failed.",
        _waits,
        "A pipeline that does not wait is green even if the notebook fails.",
        (
            "What does the script do after it has submitted the run?",
            "`run.result()` returns when the run has ended, successful or not: "
            "check its state, and fail if it is not SUCCESS.",
            f"# in .azure_pipelines/{SUBMIT}, below the line that prints, with the same indent:\n"
            'if run.result().state.result_state.value != "SUCCESS":\n'
            '    raise SystemExit("The notebook failed: its page shows why.")\n'
            '# then\ngit commit -am "Wait for the notebook"\nworkshop databricks '
            f"local -- workshop pipelines run {SUBMIT}",
        ),
        ("runs",),
    ),
)
