"""What this machine has started on Databricks, and nobody follows any more, is ended there."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs, workspace
from rich.console import Console

from tests.headless.databricks.runs import environment_of, left_in, small_notebook
from tests.workspace import Workspace, running
from workshop.headless.databricks import abandoned
from workshop.headless.databricks.target import PLACE
from workshop.headless.progress import PlainProgress

pytestmark = pytest.mark.integration
MINE, DONE, ANOTHERS = "20261125T100000Z-main", "20261125T090000Z-main", "20261125T100000Z-dev-ana"
TASK = "part_1_1_data_prep"


@pytest.fixture
def there(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace, and a home with one run that has a summary and one that has none."""
    for name in (MINE, DONE):
        (home / "runs" / name).mkdir(parents=True)
    (home / "runs" / DONE / "summary.json").write_text("{}")
    with running(tmp_path / "workspace") as stand_in:
        for name, value in environment_of(stand_in, "c0ffee" * 6 + "c0ff").items():
            monkeypatch.setenv(name, value)
        stand_in.hold(TASK)
        yield stand_in


def started(of: str) -> int:
    """A run with that id in its name, which waits, with its code in a folder of its own."""
    client = WorkspaceClient()
    place = f"/Workspace/Shared/workshop/code/{of}"
    client.workspace.mkdirs(place)
    client.workspace.upload(
        f"{place}/{TASK}", io.BytesIO(small_notebook("1")), format=workspace.ImportFormat.JUPYTER,
        language=workspace.Language.PYTHON,
    )  # fmt: skip
    notebook = jobs.NotebookTask(f"{place}/{TASK}", {PLACE: place}, source=jobs.Source.WORKSPACE)
    submitted = client.jobs.submit(
        run_name=f"workshop Deployment wine_quality {of} 0123456789abcdef",
        tasks=[jobs.SubmitTask(TASK, notebook_task=notebook)],
    )
    return int(submitted.run_id)


def cancelled() -> tuple[int, str]:
    """How many runs were cancelled, and what was said."""
    out = io.StringIO()
    return abandoned.cancel(PlainProgress(Console(file=out, width=200))), out.getvalue()


def test_only_a_run_of_this_home_that_has_no_summary_is_ended(there: Workspace) -> None:
    mine, done, anothers = (started(of) for of in (MINE, DONE, ANOTHERS))
    count, said = cancelled()
    assert count == 1
    assert said.startswith(f"Cancelled on Databricks: {there.host}")
    assert there.runs[mine].result_state == "CANCELED"
    assert {run.run_id for run in there.active_runs()} == {done, anothers}
    assert left_in(there) == sorted([DONE, ANOTHERS])


def test_where_every_run_has_its_summary_nobody_signs_in(there: Workspace, home: Path) -> None:
    started(MINE)
    (home / "runs" / MINE / "summary.json").write_text("{}")
    before = len(there.requests)
    assert cancelled() == (0, "")
    assert len(there.requests) == before
