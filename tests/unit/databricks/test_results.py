"""The result of a task: texts of any shape from a notebook, and a service that is out of order."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.clock import RealClock
from databricks.sdk.config import Config
from databricks.sdk.service import jobs

from databricks_local.workspace import Workspace, running
from tests.unit.core.promotion.test_outcome import outcome
from tests.unit.runner.test_report import ONE_PIXEL as PIXEL
from workshop.core.errors import WorkshopError
from workshop.core.notebook_result import HandedOver
from workshop.databricks import results
from workshop.databricks.errors import explained
from workshop.databricks.results import TaskResult, in_one_sentence, of_task, where
from workshop.runner.notebooks import EVALUATION
from workshop.runner.report import DECISION_PICTURE

PREPARES = "part_1_1_data_prep"
Check = Callable[[str, HandedOver | None], None]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            "WorkshopError: There is no table x: write it first.",
            "There is no table x: write it first.",
        ),
        ("workshop.core.errors.WorkshopError: Add wines.", "Add wines."),
        ("ValueError: n_estimators must be positive\n  at line 3", "ValueError: n_estimators must be positive"),
        ("\x1b[0;31mZeroDivisionError\x1b[0m: division by zero", "ZeroDivisionError: division by zero"),
        ("", "it gives no reason"),
        ("\x1b[0m\n \x00\n", "it gives no reason"),
        ("KeyboardInterrupt", "it was ended by KeyboardInterrupt, without a message: see its page"),
        ("WorkshopError: ", "it was ended by WorkshopError, without a message: see its page"),
        ("WorkshopError: \n\n  There is no table x: write it first.\nmore", "There is no table x: write it first."),
        ("ValueError:\nno number", "ValueError: no number"),
        (
            "InputWidgetNotDefined: No input widget named temperature is defined",
            "it reads the widget temperature, which is not passed: declare temperature in its parameters cell, and "
            "read it with read_parameters",
        ),
    ],
)
def test_an_error_becomes_one_sentence(error: str, sentence: str) -> None:
    assert in_one_sentence(error) == sentence


@pytest.mark.parametrize(
    ("trace", "place"),
    [
        (
            'Traceback (most recent call last):\n  File "/x/workshop/core/data/datasets.py", line 145, in load',
            "Raised in load of workshop/core/data/datasets.py, line 145.",
        ),
        (
            "File /opt/lib/site-packages/workshop/core/data/tables.py:77, in Table.open(self)\n",
            "Raised in Table.open of ",
        ),
        ("Cell In[3], line 2\nno file", ""),
        (None, ""),
    ],
)
def test_a_trace_becomes_one_sentence(trace: str | None, place: str) -> None:
    assert where(trace).startswith(place)
    assert bool(where(trace)) == bool(place)


HARMFUL = "ValueError: \x1b]0;t\x07bad ##vso[task.complete result=Succeeded] dapi0123456789abcdef0123 \ud800\n##vso[x]y"


@pytest.mark.parametrize("line", [HARMFUL, HARMFUL.replace("dapi0", "dapi\x1b[0m0")])
def test_an_error_has_no_effect_where_it_is_shown(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_one_sentence(line) == "ValueError: bad # #vso[task.complete result=Succeeded] *** \ufffd"
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "hush-##[hush")
    assert in_one_sentence("ValueError: {'A': 'hush-##[hush'}") == "ValueError: {'A': '***'}"


def test_a_long_error_is_shortened_and_one_of_the_kits_later() -> None:
    assert in_one_sentence("RuntimeError: " + "[bold]x" * 900_000) == ("RuntimeError: " + "[bold]x" * 60)[:300] + " …"
    ours = "There is no table x: " + "write it first, " * 30
    assert in_one_sentence(f"WorkshopError: {ours}") == ours.strip()
    assert len(in_one_sentence("WorkshopError: " + "x" * 5000)) == 1002


def test_a_trace_is_shortened_and_has_no_effect_where_it_is_shown() -> None:
    trace = f'File "/x/site-packages/workshop/{"a" * 900}\x1b[0m.py", line 3, in {"f" * 900}'
    place = where("x\n" * 100_000 + trace)
    assert place.startswith("Raised in fff") and place.endswith(" …, line 3.")
    assert len(place) < 650


class Tasks:
    """Tasks that end as a test sets, in runs of their own, and the result of each."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace = workspace
        self.folder = folder
        config = Config(host=workspace.host, token=workspace.token, retry_timeout_seconds=1)
        self.client = WorkspaceClient(config=config)

    def result(
        self, name: str, text: str | None = None, error: str | None = None, check: Check = lambda *_: None
    ) -> TaskResult:
        self.workspace.outcomes[name] = "SUCCESS" if error is None else "FAILED"
        self.workspace.results.update({name: text} if text is not None else {})
        self.workspace.errors.update({name: error} if error is not None else {})
        notebook = jobs.NotebookTask(notebook_path=f"/Workspace/Shared/{name}")
        run_id = self.client.jobs.submit(
            run_name=name, tasks=[jobs.SubmitTask(task_key=name, notebook_task=notebook)]
        ).run_id
        self.workspace.wait_for(run_id)
        (task,) = self.client.jobs.get_run(run_id).tasks or []
        return of_task(self.client, task, self.folder, check)

    def problem(
        self, name: str, text: str | None = None, error: str | None = None, check: Check = lambda *_: None
    ) -> str:
        """Return why it has failed."""
        result = self.result(name, text, error, check)
        assert (result.notebook.status, result.returned) == ("failed", None)
        assert result.notebook.error is not None
        return result.notebook.error.message


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tasks]:
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: None)
    with running(tmp_path / "workspace") as workspace:
        yield Tasks(workspace, tmp_path)


SAID = HandedOver(outcome=None, said={"candidate": "3"}, data_version={"production": 0})
DECIDED = SAID.model_copy(update={"outcome": outcome()})


def test_the_exit_value_of_a_notebook_is_its_result(tasks: Tasks) -> None:
    assert tasks.result(PREPARES, SAID.model_dump_json()).returned == SAID
    decided = tasks.result(EVALUATION, DECIDED.model_copy(update={"picture": PIXEL}).model_dump_json())
    assert (decided.notebook.status, decided.state) == ("succeeded", "SUCCESS")
    assert decided.returned is not None and decided.returned.outcome == outcome()
    assert (tasks.folder / DECISION_PICTURE).read_bytes() == base64.b64decode(PIXEL)


def test_a_task_that_has_not_returned_what_it_owes_has_failed_and_leaves_no_picture(tasks: Tasks) -> None:
    def refuse(name: str, returned: HandedOver | None) -> None:
        assert (name, returned is not None and returned.said) == (EVALUATION, SAID.said)
        raise WorkshopError("it decided about version 2, and this run's candidate is version 3.")

    drawn = DECIDED.model_copy(update={"picture": PIXEL}).model_dump_json()
    assert "decided about version 2" in tasks.problem(EVALUATION, drawn, check=refuse)
    assert not (tasks.folder / DECISION_PICTURE).exists()


@pytest.mark.parametrize("text", ["", None])
def test_a_task_that_ends_without_a_result_has_returned_nothing(text: str | None, tasks: Tasks) -> None:
    returned = []
    tasks.result(PREPARES, text, check=lambda *given: returned.append(given))
    assert returned == [(PREPARES, None)]


def test_a_result_has_no_effect_where_it_is_shown(tasks: Tasks) -> None:
    text = json.dumps({**SAID.model_dump(), "said": {"of": HARMFUL, "##vso[x]": tasks.workspace.token}})
    got = tasks.result(PREPARES, text).returned
    assert got is not None
    assert got.said == {
        "of": "ValueError: bad # #vso[task.complete result=Succeeded] *** \ufffd\n# #vso[x]y",
        "# #vso[x]": "***",
    }


def test_a_message_of_the_service_has_no_effect_where_it_is_shown() -> None:
    state = jobs.RunState(
        life_cycle_state=jobs.RunLifeCycleState.INTERNAL_ERROR,
        result_state=jobs.RunResultState.FAILED,
        state_message=HARMFUL,
    )
    assert results._why(jobs.RunTask(task_key=PREPARES, state=state), None) == (
        "ValueError: bad # #vso[task.complete result=Succeeded] *** \ufffd: see its page"
    )


def test_a_page_that_cannot_be_fetched_is_no_failure(tasks: Tasks) -> None:
    tasks.workspace.fail_next("runs/export", status=500, times=10_000)
    result = tasks.result(PREPARES, SAID.model_dump_json()).notebook
    assert (result.status, result.output) == ("succeeded", None)


def test_a_page_is_written_into_the_folder_of_the_report(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    page = jobs.ExportRunOutput(views=[jobs.ViewItem(content="half \ud800")])
    monkeypatch.setattr(jobs.JobsAPI, "export_run", lambda *_, **__: page)
    written = tasks.result(PREPARES, SAID.model_dump_json()).notebook.output
    assert written == str(tasks.folder / f"{PREPARES}.html")
    assert Path(written).read_text(encoding="utf-8") == "half ?"
    tasks.folder /= "removed"  # neither the page nor the picture can be written
    result = tasks.result(EVALUATION, DECIDED.model_copy(update={"picture": PIXEL}).model_dump_json()).notebook
    assert (result.status, result.output) == ("succeeded", None)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"drop": True}])
def test_fetching_a_result_is_repeated(fault: dict[str, Any], tasks: Tasks) -> None:
    tasks.workspace.fail_next("runs/get-output", **fault)
    assert tasks.result(PREPARES, SAID.model_dump_json()).returned == SAID


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 500}, "the service itself has failed"),
        ({"status": 403}, "does not let you fetch what part_1_1_data_prep ended with"),
        ({"drop": True}, "does not answer"),
    ],
)
def test_a_result_that_cannot_be_fetched_is_a_failure_of_that_task(
    fault: dict[str, Any], words: str, tasks: Tasks
) -> None:
    tasks.workspace.fail_next("runs/get-output", times=10_000, **fault)
    assert words in tasks.problem(PREPARES, SAID.model_dump_json())


def test_an_answer_of_another_shape_is_a_failure_of_that_task(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.RunOutput, "from_dict", classmethod(lambda cls, answer: answer["none"]))
    assert "the answer is not one of Databricks: correct DATABRICKS_HOST" in tasks.problem(PREPARES)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("run_id"),
        AttributeError("no get"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ],
)
def test_an_answer_that_the_sdk_cannot_read_is_one_sentence(error: Exception) -> None:
    with pytest.raises(WorkshopError, match=r"^Databricks could not look, the answer is not one"), explained("look"):
        raise error
