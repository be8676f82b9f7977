"""The job: its definition, which `workshop run` submits and the bundle deploys, and the request that starts it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import compute, jobs

from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings
from workshop.databricks.errors import explained, harmless
from workshop.databricks.retries import patiently
from workshop.databricks.settings import PREFIX, DatabricksSettings

RUN_ID = "WORKSHOP_RUN_ID"
COMMIT = "WORKSHOP_GIT_COMMIT"
SUBMISSION = "WORKSHOP_SUBMISSION"
"""The parameter that identifies the call that started a run; run ids of two machines may be the same."""
CODE_FOLDER = "WORKSHOP_CODE"
"""The parameter that names the workspace folder of a run's code."""
_LONGEST_NAME = 4096

_ENVIRONMENT = "workshop"
_CLUSTER = "workshop"
_ENDED = (jobs.RunLifeCycleState.TERMINATED, jobs.RunLifeCycleState.SKIPPED, jobs.RunLifeCycleState.INTERNAL_ERROR)
_SHARED_FIELDS = {field.name for field in fields(jobs.SubmitTask)} & {field.name for field in fields(jobs.Task)}


@dataclass(frozen=True)
class Work:
    """The work of one run."""

    title: str
    """The run's name in the workspace."""
    base_parameters: Mapping[str, Mapping[str, str]]
    """By notebook, in the order of execution."""
    commit: str
    notebook_folder: str = ""
    """A path in the workspace, or in the repository where Databricks fetches the notebooks from there."""
    requirements: tuple[str, ...] = ()
    """The path of the package's wheel first, then other packages with their versions."""


def start(client: WorkspaceClient, work: Work, settings: DatabricksSettings, token: str) -> int:
    """Start the run, or find the one that was started with the token; return its id.

    Compute of the kind `job_cluster` is a deployed job's: `jobs.submit` would start a cluster for each notebook.
    """
    if settings.compute == "job_cluster":
        given = {name: value for each in work.base_parameters.values() for name, value in each.items()}
        request = partial(client.jobs.run_now, settings.job_id, notebook_params=given)
    else:
        named = replace(work, title=f"{work.title} {token}"[-_LONGEST_NAME:])
        request = partial(client.jobs.submit, **submission(named, settings))
    return int(patiently(client, lambda: request(idempotency_token=token).run_id))


def require_deployed(client: WorkspaceClient, job_id: int, commit: str, notebooks: Collection[str] = ()) -> None:
    """Check that the deployed job has the code of the commit, and runs these notebooks if any are passed."""
    with explained(f"read the job {job_id}"):
        settings = patiently(client, lambda: client.jobs.get(job_id)).settings or jobs.JobSettings()
    tasks = {harmless(task.task_key) for task in settings.tasks or []}
    if notebooks and tasks != set(notebooks):
        raise WorkshopError(
            f"The job {job_id} runs {', '.join(sorted(tasks)) or 'nothing'}, and this run is to run "
            f"{', '.join(notebooks)}: leave out --notebooks, or deploy a bundle with the same notebooks "
            "(`workshop databricks bundle`, --scoring adds 1_4)."
        )
    if (deployed := parameters_of(settings).get(COMMIT, "")) != commit:
        raise WorkshopError(
            f"The job {job_id} has the code of the commit {deployed[:12] or 'unknown'}, and this run is of "
            f"{commit[:12]}: deploy the bundle of this commit (`databricks bundle deploy`)."
        )


def require_job_id(settings: DatabricksSettings) -> None:
    """Check that the deployed job is configured, where the compute needs one."""
    if settings.compute == "job_cluster" and not settings.job_id:
        raise WorkshopError(
            f"{PREFIX}COMPUTE is job_cluster, which runs a deployed job: deploy the bundle (`workshop databricks "
            f"bundle`, `databricks bundle deploy`), and set {PREFIX}JOB_ID to the job's id (`databricks bundle "
            "summary`)."
        )


def has_ended(active: jobs.Run | jobs.RunTask) -> bool:
    """Return whether a run or a task is no longer active."""
    return active.state is not None and active.state.life_cycle_state in _ENDED


def parameters_of(source: jobs.Run | jobs.JobSettings) -> dict[str, str]:
    """Return the parameters that a run or a job gives to any of its notebooks."""
    found: dict[str, Any] = {}
    tasks: Iterable[jobs.RunTask | jobs.Task] = source.tasks or []
    for task in tasks:
        given = task.notebook_task.base_parameters if task.notebook_task is not None else None
        if isinstance(given, dict):  # the SDK does not check the type of what it receives
            found.update(given)
    if isinstance(source, jobs.Run) and source.overriding_parameters is not None:
        found.update(source.overriding_parameters.notebook_params or {})
    return {harmless(str(name)): harmless(str(value)) for name, value in found.items()}


def page_of(run: jobs.Run | jobs.BaseRun) -> str:
    """Return the address of a run's page; empty if it is not an address."""
    page = harmless(run.run_page_url or "")
    return page if page.startswith(("https://", "http://")) and not any(each.isspace() for each in page) else ""


def submission(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """Return a run without a job, as `WorkspaceClient.jobs.submit` takes it."""
    tasks = [{name: getattr(task, name) for name in _SHARED_FIELDS} for task in _tasks(work, settings)]
    return {"run_name": work.title, "tasks": [jobs.SubmitTask(**task) for task in tasks], **_shared(work, settings)}


def job(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """Return a job, as `WorkspaceClient.jobs.create` takes it."""
    made = {"name": work.title, "tasks": _tasks(work, settings), "max_concurrent_runs": 1, **_shared(work, settings)}
    return {**made, "job_clusters": [_job_cluster(settings)]} if settings.compute == "job_cluster" else made


def registry_of(model_name: str) -> dict[str, str]:
    """Return the environment variables that choose the workspace's tracking server and the registry of that name.

    A name of three levels is Unity Catalog's, which has aliases; the workspace's own registry has stages.
    """
    in_unity_catalog = model_name.count(".") == 2
    return {
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc" if in_unity_catalog else "databricks",
        "WORKSHOP_SLOTS": "alias" if in_unity_catalog else "stage",
    }


def environment(settings: DatabricksSettings, model_name: str) -> dict[str, str]:
    """Return the environment variables that the notebooks get in every run."""
    core = current_settings()
    given = {
        "WORKSHOP_HOME": settings.home,
        "WORKSHOP_TABLES": core.tables,
        "WORKSHOP_EXPERIMENTS": core.experiments,
        "WORKSHOP_SPARK_ROWS": "" if core.spark_rows is None else str(core.spark_rows),
        **registry_of(model_name),
    }
    return {name: value for name, value in given.items() if value}


def _shared(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """Return the fields that a run and a job have in common."""
    shared: dict[str, Any] = {
        "queue": jobs.QueueSettings(enabled=True),
        "timeout_seconds": settings.timeout_minutes * 60,
    }
    if settings.compute == "serverless":
        spec = compute.Environment(
            environment_version=settings.environment_version, dependencies=list(work.requirements)
        )
        shared["environments"] = [jobs.JobEnvironment(environment_key=_ENVIRONMENT, spec=spec)]
    if settings.code == "git":
        shared["git_source"] = jobs.GitSource(
            git_url=settings.git_url, git_provider=jobs.GitProvider(settings.git_provider), git_commit=work.commit
        )
    return shared


def _tasks(work: Work, settings: DatabricksSettings) -> list[jobs.Task]:
    """Return one task for each notebook, one after the other, all on the same compute."""
    names = list(work.base_parameters)
    return [
        jobs.Task(
            task_key=name,
            depends_on=[jobs.TaskDependency(task_key=before)] if before else None,
            notebook_task=jobs.NotebookTask(
                notebook_path=f"{work.notebook_folder}/{name}",
                source=jobs.Source.GIT if settings.code == "git" else jobs.Source.WORKSPACE,
                base_parameters=dict(work.base_parameters[name]),
            ),
            # A second attempt would train a second candidate: no retries of the job, and none of the service's own.
            max_retries=0,
            disable_auto_optimization=True if settings.compute == "serverless" else None,
            **_compute(work, settings),
        )
        for before, name in zip([None, *names], names, strict=False)
    ]


def _compute(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """Return a task's compute, with the packages to install there."""
    if settings.compute == "serverless":
        return {"environment_key": _ENVIRONMENT}
    wheel, *pins = work.requirements
    libraries = [
        compute.Library(whl=wheel),
        *(compute.Library(pypi=compute.PythonPyPiLibrary(package=pin)) for pin in pins),
    ]
    if settings.compute == "cluster":
        return {"existing_cluster_id": settings.cluster_id, "libraries": libraries}
    return {"job_cluster_key": _CLUSTER, "libraries": libraries}


def _job_cluster(settings: DatabricksSettings) -> jobs.JobCluster:
    alone = settings.workers == 0
    return jobs.JobCluster(
        job_cluster_key=_CLUSTER,
        new_cluster=compute.ClusterSpec(
            spark_version=settings.spark_version,
            node_type_id=settings.node_type,
            num_workers=settings.workers,
            # Unity Catalog and its volumes need a cluster with an access mode.
            data_security_mode=compute.DataSecurityMode.SINGLE_USER,
            spark_conf={"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}
            if alone
            else None,
            custom_tags={"ResourceClass": "SingleNode"} if alone else None,
        ),
    )
