"""`workshop run --follow RUN_ID`: a run that was started here or elsewhere."""

from pathlib import Path

import pytest

from databricks_local.workspace import Workspace
from tests.support.commands import workshop_here
from tests.support.databricks_runs import FIRST, killed_while_it_follows, run, summaries
from workshop.databricks import remote_run
from workshop.databricks.remote_run import RemoteRun

pytestmark = pytest.mark.integration


def test_the_times_of_a_followed_run_are_its_own(workspace: Workspace, home: Path) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    run()
    (made,) = workspace.runs.values()
    made.start_time, made.end_time = 1_700_000_000_000, 1_700_000_123_456
    followed = run("--follow", str(made.run_id))
    assert followed.code == 1
    assert "started before" not in followed.out
    summary = summaries(home)[-1]
    assert (summary["started"], summary["seconds"]) == ("2023-11-14T22:13:20+00:00", 123.46)


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--action", "deployment"], "--action"), (["-p", "seed=1"], "--parameter"), (["--scoring"], "--scoring")],
)
def test_options_of_a_new_run_are_refused_with_follow(options: list[str], named: str) -> None:
    refused = workshop_here("run", "--follow", "1", *options)
    assert refused.code == 2
    assert f"leave {named} out" in " ".join((refused.out + refused.err).replace("│", " ").split())


@pytest.mark.parametrize("stopped", [True, False])
def test_another_users_run_is_not_cancelled_by_a_stop_or_the_time_out(
    workspace: Workspace, home: Path, stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.hold(FIRST)
    killed_while_it_follows(monkeypatch)
    (made,) = workspace.active_runs()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setenv("DATABRICKS_TOKEN", workspace.person_token)
        if stopped:
            patch.setattr(RemoteRun, "follow", stop)
        else:
            patch.setenv("WORKSHOP_DATABRICKS_TIMEOUT_MINUTES", "1")
            patch.setattr(remote_run, "_GRACE", -60)
        ended = run("--follow", str(made.run_id))
    assert ended.code == 1
    assert (
        "No longer followed; the run is another user's and goes on: http"
        if stopped
        else f"The run {made.run_id} has not ended within the 1 minutes that it may take, and is another user's"
    ) in ended.out + ended.err
    assert workspace.active_runs() == [made]


@pytest.mark.parametrize("given", ["<script>", "unknown"])
def test_a_followed_run_without_a_commit_records_why(given: str, workspace: Workspace, home: Path) -> None:
    workspace.outcomes[FIRST] = "FAILED"
    run()
    (made,) = workspace.runs.values()
    for task in made.tasks.values():
        task.sent["notebook_task"]["base_parameters"]["WORKSHOP_GIT_COMMIT"] = given
    followed = run("--follow", str(made.run_id))
    summary = summaries(home)[-1]
    assert summary["git_commit"] == "unknown"
    assert f"WORKSHOP_GIT_COMMIT of the run {made.run_id} is not a commit" in summary["commit_problem"]
    assert summary["commit_problem"] in followed.out


def test_a_run_that_does_not_exist_cannot_be_followed(workspace: Workspace) -> None:
    refused = run("--follow", "12345")
    assert refused.code == 1
    assert "There is no run 12345 in this workspace: take the number after /run/" in refused.err
