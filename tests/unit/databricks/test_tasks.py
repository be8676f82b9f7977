"""The status of a run as a whole, which depends on more than its tasks."""

import pytest
from databricks.sdk.service import jobs

from workshop.databricks.results import TaskResult
from workshop.databricks.tasks import status_and_sentence
from workshop.runner.summary import NotebookResult


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (jobs.RunResultState.SUCCESS, "done"),
        (jobs.RunResultState.FAILED, "failed"),
        (jobs.RunResultState.SUCCESS_WITH_FAILURES, "failed"),
    ],
)
def test_a_run_that_did_not_succeed_is_red_whatever_its_tasks_say(result: jobs.RunResultState, status: str) -> None:
    state = jobs.RunState(result_state=result, state_message="A task of\x1b[31m somebody else failed. " + "x" * 5000)
    run = jobs.Run(state=state, run_page_url="https://adb-1.azuredatabricks.net/#job/1/run/2")
    ours = TaskResult(NotebookResult(name="part_1_1_data_prep", status="succeeded"), "SUCCESS", None)
    came, sentence = status_and_sentence(run, [ours], ["part_1_1_data_prep"])
    assert came == status
    assert "\x1b" not in sentence and len(sentence) < 500
    assert came == "done" or "A task of somebody else failed." in sentence
