"""The bundle is the job that `workshop run` submits, and fits the vendor's own library."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from databricks.bundles.jobs import Job
from databricks.sdk import WorkspaceClient
from ruamel.yaml import YAML
from typer.testing import CliRunner

from databricks_local.workspace import running
from workshop.cli import databricks
from workshop.core.errors import WorkshopError
from workshop.core.parameters import DevopsAction
from workshop.core.provenance import who
from workshop.core.settings import PACKAGE
from workshop.databricks import bundle, job, target, upload
from workshop.databricks.job import CODE_FOLDER, SUBMISSION, Work
from workshop.databricks.remote_run import RemoteRun
from workshop.databricks.settings import DatabricksSettings, databricks_settings
from workshop.runner import notebooks, run
from workshop.runner.target import Plan, Request

FILE = PACKAGE.parents[1] / "databricks.yml"
COMMIT = "c0ffee" * 6 + "c0ff"
PLACE = "/Workspace/Shared/workshop/code/here"
WHEEL = f"{PLACE}/workshop-0.1.0-py3-none-any.whl"
PINS = upload.pins(PACKAGE.parents[1])
HOME = "/Volumes/main/wine/workshop"
COMPUTES = [
    {},
    {"COMPUTE": "cluster", "CLUSTER_ID": "0101-x"},
    {"COMPUTE": "job_cluster", "NODE_TYPE": "Standard_D8ds_v5", "WORKERS": "2"},
]
IDS = ["serverless", "cluster", "job cluster"]


class StopHereError(Exception):
    """The work that would have been submitted."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.title)
        self.work = work


@pytest.fixture
def settings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DatabricksSettings:
    """The settings in the environment."""
    for name, value in {"HOME": HOME, **getattr(request, "param", {})}.items():
        monkeypatch.setenv(f"WORKSHOP_DATABRICKS_{name}", value)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "WORKSHOP_SLOTS"):
        monkeypatch.setenv(name, "")  # so that what the target sets is taken back
        monkeypatch.delenv(name)
    return databricks_settings()


def what_a_run_submits(asked: Request, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Return the work that a run would submit, without a workspace."""
    monkeypatch.setattr(upload, "of_commit", lambda commit, at: upload.Code(commit, Path(WHEEL), {}, PINS))
    monkeypatch.setattr(upload, "upload", lambda client, built, place, notebooks: WHEEL)
    monkeypatch.setattr(upload, "place_of", lambda settings, commit, submission_id: PLACE)

    def submit(remote: RemoteRun, work: Work, settings: Any) -> None:
        raise StopHereError(work)

    monkeypatch.setattr(RemoteRun, "submit", submit)
    there: Any = target.DatabricksTarget(asked)
    there.client = SimpleNamespace(config=SimpleNamespace(host="", clock=None))
    chosen = notebooks.select(scoring=asked.scoring)
    given = run._parameters(asked, chosen)
    plan = Plan(asked, chosen, given, str(asked.parameters["model_name"]), COMMIT, folder)
    silent: Any = SimpleNamespace(said=lambda sentence: None)
    with pytest.raises(StopHereError) as stopped, there.executed(plan, silent):
        pytest.fail("nothing is executed after the submission")
    return stopped.value.work


def resolved(value: Any, values: dict[str, str]) -> Any:
    """Return the document with its references replaced, as the Databricks CLI does."""
    if isinstance(value, dict):
        return {name: resolved(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, values) for each in value]
    return re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], value) if isinstance(value, str) else value


def deployed(made: dict[str, Any], goal: str, run_id: str) -> Any:
    """Return the job of `databricks bundle deploy --target GOAL --var home=HOME`, with its files at `PLACE`."""
    defaults = {name: each["default"] for name, each in made["variables"].items() if "default" in each}
    variables = {**defaults, **made["targets"][goal]["variables"], "home": HOME}
    values = {
        **{f"var.{name}": value for name, value in variables.items()},
        "bundle.git.commit": COMMIT,
        "workspace.current_user.userName": who(),
    }
    text = json.dumps(resolved(made["resources"]["jobs"]["workshop"], values))
    text = text.replace("{{job.run_id}}", run_id).replace("./dist/*.whl", WHEEL)
    return json.loads(text.replace("./src/workshop/notebooks/", f"{PLACE}/notebooks/").replace(".ipynb", ""))


def with_one_name(job: dict[str, Any]) -> dict[str, Any]:
    """Return a job without what differs by run: its name, its nonce, and the place of its code."""
    for task in job["tasks"]:
        for of_the_run in (CODE_FOLDER, SUBMISSION):
            task["notebook_task"]["base_parameters"].pop(of_the_run, None)
    return {**job, "name": ""}


@pytest.mark.parametrize(
    ("settings", "model", "scoring"),
    [
        (COMPUTES[0], "main.workshop.wine_quality", False),
        (COMPUTES[1], "main.workshop.wine_quality", True),
    ],
    ids=IDS[:2],
    indirect=["settings"],
)
def test_the_bundles_job_is_what_a_run_submits(
    settings: DatabricksSettings, model: str, scoring: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Request(DevopsAction.DEPLOYMENT, "main", {"model_name": model}, scoring=scoring, target="databricks")
    submitted = job.job(what_a_run_submits(asked, tmp_path, monkeypatch), settings)

    made = deployed(bundle.document(settings, model, scoring=scoring), "prod", tmp_path.name)

    assert with_one_name(made) == with_one_name(bundle._as_plain(submitted))


def test_tables_in_unity_catalog_need_no_volume(settings: DatabricksSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_TABLES", "main.wine")
    made = bundle.document(settings.model_copy(update={"home": ""}))
    assert made["variables"]["tables"]["default"] == "main.wine"
    assert "home" not in made["variables"]
    assert "${var.home}" not in json.dumps(made)


def test_a_file_of_other_settings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_CHECKOUT", tmp_path)
    with pytest.raises(WorkshopError, match="and this is not one"):
        bundle.check("")
    (tmp_path / "pyproject.toml").touch()
    with pytest.raises(WorkshopError, match="run `workshop databricks bundle`"):
        bundle.check("bundle: {}\n")
    bundle.write("bundle: {}\n")
    assert bundle.check("bundle: {}\n") == tmp_path / "databricks.yml"


def test_the_command_checks_the_file_for_the_options() -> None:
    checked = CliRunner().invoke(databricks.app, ["bundle", "--check"])
    assert (checked.exit_code, "is up to date" in checked.output) == (0, True), checked.output
    other = CliRunner().invoke(databricks.app, ["bundle", "--check", "--scoring"])
    assert "does not match these settings" in str(other.exception)


@pytest.mark.parametrize("settings", COMPUTES, ids=IDS, indirect=True)
def test_the_vendors_library_accepts_the_job_unchanged(settings: DatabricksSettings) -> None:
    job = bundle.document(settings, scoring=True)["resources"]["jobs"]["workshop"]
    # The library converts numbers and text; its result is the same only if nothing had to be converted.
    assert Job.from_dict(json.loads(json.dumps(job))).as_dict() == job
    job["tasks"][0]["existing_cluster"] = "0101-x"
    with pytest.raises(ValueError, match="existing_cluster"):
        Job.from_dict(job)


@pytest.mark.parametrize("settings", COMPUTES, ids=IDS, indirect=True)
def test_a_workspace_that_refuses_unknown_fields_accepts_the_job(settings: DatabricksSettings, tmp_path: Path) -> None:
    made = deployed(bundle.document(settings, scoring=True), "prod", "{{job.run_id}}")
    with running(tmp_path, clusters={"0101-x": {"state": "RUNNING", "permitted": True}}) as workspace:
        client = WorkspaceClient(host=workspace.host, token=workspace.token)
        created = client.api_client.do("POST", "/api/2.2/jobs/create", body=made)
        assert isinstance(created, dict)
        kept = client.jobs.get(created["job_id"]).settings
    assert kept is not None
    assert [task.task_key for task in kept.tasks or []] == [task["task_key"] for task in made["tasks"]]


def test_the_variables_the_wheel_and_the_notebooks_of_the_file_exist() -> None:
    made = YAML(typ="safe").load(FILE.read_text(encoding="utf-8"))
    assert set(re.findall(r"\$\{var\.(\w+)\}", json.dumps(made))) == set(made["variables"])
    for goal in made["targets"].values():
        assert set(goal["variables"]) <= set(made["variables"])
    for task in made["resources"]["jobs"]["workshop"]["tasks"]:
        assert (FILE.parent / task["notebook_task"]["notebook_path"]).is_file()
    assert made["resources"]["jobs"]["workshop"]["environments"][0]["spec"]["dependencies"][0] == "./dist/*.whl"
    assert "--directory dist" in made["artifacts"]["workshop"]["build"]
