"""`workshop run --target databricks` over real HTTP, without executing a task: results and failures."""

import re
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import ANY

import pytest
from databricks.sdk import WorkspaceClient

from databricks_local.workspace import Workspace
from tests.support.databricks_runs import (
    FIRST,
    SECOND,
    THIRD,
    looks,
    nothing_is_left,
    run,
    submissions,
    summaries,
    when,
)
from tests.unit.core.promotion.test_outcome import outcome
from workshop.core.notebook_result import HandedOver
from workshop.core.promotion.outcome import Status
from workshop.runner import obligations

pytestmark = pytest.mark.integration


ENDS = {
    "FAILED": "part_1_1_data_prep, on Databricks: .+",
    "TIMEDOUT": "part_1_1_data_prep, on Databricks: it exceeded its time limit",
    "CANCELED": "part_1_1_data_prep was cancelled in the workspace",
    "SKIPPED": "Not all notebooks ran on Databricks",
    "INTERNAL_ERROR": "part_1_1_data_prep, on Databricks: .+: see its page",
}


@pytest.mark.parametrize("ends_as", ENDS)
def test_a_run_is_green_only_if_each_task_has_succeeded(workspace: Workspace, ends_as: str, home: Path) -> None:
    workspace.outcomes[FIRST] = ends_as
    ended = run()
    assert ended.code == 1, ended.out
    (made,) = workspace.runs.values()
    assert made.life_cycle_state == "TERMINATED" or ends_as == "INTERNAL_ERROR"
    (summary,) = summaries(home)
    assert re.match(ENDS[ends_as], summary["sentence"]), summary["sentence"]
    assert summary["sentence"] in ended.out
    assert [each["name"] for each in summary["notebooks"]] == [FIRST, SECOND, THIRD]
    assert [each["status"] for each in summary["notebooks"]][1:] == ["not run", "not run"]
    assert "Traceback" not in ended.out + ended.err
    nothing_is_left(workspace)


def test_tasks_that_had_not_begun_when_a_run_was_cancelled_are_not_run(workspace: Workspace, home: Path) -> None:
    workspace.hold(FIRST)

    def cancel() -> None:
        for active in workspace.active_runs():
            WorkspaceClient().jobs.cancel_run(active.run_id)

    with when(lambda: looks(workspace) > 1, cancel):
        ended = run()
    assert ended.code == 1
    (summary,) = summaries(home)
    assert summary["status"] == "interrupted"
    assert summary["sentence"] == f"{FIRST} was cancelled in the workspace; run it again when you like."
    assert [(each["status"], each["seconds"]) for each in summary["notebooks"]] == [("not run", None)] * 3
    assert f"{FIRST}: started" not in ended.out
    nothing_is_left(workspace)


def test_a_run_that_the_service_loses_is_red(workspace: Workspace, home: Path) -> None:
    workspace.execution.failed_runs_end_as = "INTERNAL_ERROR"
    workspace.outcomes[FIRST] = "INTERNAL_ERROR"
    assert run().code == 1
    assert summaries(home)[0]["status"] == "failed"
    nothing_is_left(workspace)


@pytest.mark.parametrize(
    ("status", "error_code", "words"),
    [
        (401, "UNAUTHENTICATED", "it does not accept the credentials"),
        (403, "PERMISSION_DENIED", "does not let you submit the run"),
        (400, "INVALID_PARAMETER_VALUE", "could not submit the run"),
    ],
)
def test_a_submission_that_is_refused_is_one_sentence(
    workspace: Workspace, status: int, error_code: str, words: str, home: Path
) -> None:
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", status=status, error_code=error_code, message="no")
    ended = run()
    assert ended.code == 1
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert workspace.runs == {}
    nothing_is_left(workspace)


def test_a_deferred_submission_is_repeated(workspace: Workspace) -> None:
    workspace.fail_next(
        "POST /api/2.2/jobs/runs/submit", status=429, error_code="RESOURCE_EXHAUSTED", headers={"Retry-After": "0"}
    )
    workspace.outcomes[FIRST] = "FAILED"
    assert run().code == 1
    assert (submissions(workspace), len(workspace.runs)) == (2, 1)


def test_a_lost_answer_starts_no_second_run(workspace: Workspace) -> None:
    workspace.fail_next("POST /api/2.2/jobs/runs/submit", drop=True, processed=True)
    workspace.outcomes[FIRST] = "FAILED"
    assert run().code == 1
    assert (submissions(workspace), len(workspace.runs)) == (2, 1)
    nothing_is_left(workspace)


def test_the_same_run_is_followed_after_a_lost_connection(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_RETRY_SECONDS", "1")
    workspace.hold(FIRST)
    workspace.outcomes[FIRST] = "FAILED"

    def lose_it() -> None:
        workspace.fail_next("GET /api/2.2/jobs/runs/get", status=503, error_code="TEMPORARILY_UNAVAILABLE", times=2)

    with when(lambda: looks(workspace) > 2, lose_it), when(lambda: looks(workspace) > 6, workspace.release, FIRST):
        ended = run()
    assert ended.code == 1
    assert (submissions(workspace), len(workspace.runs)) == (1, 1)
    assert ended.out.index("The workspace does not answer") < ended.out.index("The workspace answers again.")
    nothing_is_left(workspace)


def test_what_a_run_waits_for_is_printed(workspace: Workspace) -> None:
    workspace.hold(FIRST)
    workspace.outcomes[FIRST] = "FAILED"
    with when(lambda: looks(workspace) > 2, workspace.release, FIRST):
        assert "Waiting for compute." in run().out


def every_task_succeeds(workspace: Workspace, status: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the notebooks of a deployment succeed without running, with that decision about a candidate of this run."""
    version = SimpleNamespace(tags={"workshop.run_id": ANY})
    client = SimpleNamespace(get_model_version=lambda name, number: version)
    monkeypatch.setattr(obligations, "open_client", lambda: client)
    decided = outcome(status, f"So it is: {status}.")
    given = {"run_name": "no_name", "devops_action": "Deployment", "compare_only": False}
    prepared = HandedOver(outcome=None, said={"prepared": "x@0"}, data_version={"production": 0}, parameters=given)
    workspace.outcomes.update({FIRST: "SUCCESS", SECOND: "SUCCESS", THIRD: "SUCCESS"})
    workspace.results.update(
        {
            FIRST: prepared.model_dump_json(),
            SECOND: prepared.model_copy(update={"said": {"candidate": "3"}}).model_dump_json(),
            THIRD: prepared.model_copy(update={"outcome": decided}).model_dump_json(),
        }
    )


@pytest.mark.parametrize(
    ("status", "exit_code"), [("promoted", 0), ("compared", 0), ("not better", 3), ("vetoed", 3), ("refused", 1)]
)
def test_the_decision_that_comes_back_is_the_exit_code(
    workspace: Workspace, status: Status, exit_code: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_task_succeeds(workspace, status, monkeypatch)
    ended = run("--action", "deployment")
    assert ended.code == exit_code, ended.out + ended.err
    (summary,) = summaries(home)
    assert (summary["status"], summary["sentence"]) == (status, f"So it is: {status}.")
    assert summary["outcome"] == outcome(status, f"So it is: {status}.").as_dict()
    assert "SUCCESS, candidate 3\n" in ended.out
    assert f", decision {status}\n" in ended.out


def test_a_scoring_run_prints_how_many_wines_it_scored(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    every_task_succeeds(workspace, "promoted", monkeypatch)
    scored = HandedOver(outcome=None, said={"batch": "batch@1", "rows": "852", "version": "3"}, data_version={})
    scored.parameters = {"run_name": "no_name", "slot": "production"}
    workspace.outcomes["part_1_4_scoring"] = "SUCCESS"
    workspace.results["part_1_4_scoring"] = scored.model_dump_json()
    ended = run("--action", "deployment", "--scoring")
    sentence = "Version 3 scored 852 wines; the predictions are in the table predictions/no_name.\n"
    assert sentence in ended.out, ended.out + ended.err


@pytest.mark.parametrize("way", ["secret", "the pipeline's own identity"])
def test_no_secret_is_left_by_a_sign_in_without_a_token(
    workspace: Workspace, way: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", workspace.client_id)
    if way == "secret":
        monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", workspace.client_secret)
    else:
        monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "azure-devops-oidc")
        for name, value in workspace.azure_devops_environment().items():
            monkeypatch.setenv(name, value)
    every_task_succeeds(workspace, "promoted", monkeypatch)
    ended = run("--action", "deployment")
    assert ended.code == 0, ended.out + ended.err
    files = [path for path in [*home.rglob("*"), *workspace.root.rglob("*")] if path.is_file()]
    texts = [ended.out, ended.err, *(path.read_text("utf-8", "replace") for path in files)]
    assert [secret for secret in workspace.secrets if any(secret in text for text in texts)] == []
