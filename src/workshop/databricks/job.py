"""The job: which notebooks run in which order, with what, on which compute. What is submitted, what a job with a
cluster of its own is made from, and what a bundle deploys all come from here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from databricks.sdk.service import compute, jobs

from workshop.core.settings import current_settings
from workshop.databricks.settings import DatabricksSettings

_ENVIRONMENT = "workshop"
_CLUSTER = "workshop"
_SHARED_FIELDS = {field.name for field in fields(jobs.SubmitTask)} & {field.name for field in fields(jobs.Task)}


@dataclass(frozen=True)
class Work:
    """What one run executes."""

    title: str
    """What the run is called in the workspace."""
    base_parameters: Mapping[str, Mapping[str, str]]
    """Of each notebook, in the order in which they run."""
    notebook_folder: str
    """Where they are: a path in the workspace, or in the repository where Databricks fetches them from there."""
    requirements: tuple[str, ...]
    """What they need: the path of the package's wheel first, then other packages with their versions."""
    commit: str


def submission(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """A run that leaves no job behind, as `WorkspaceClient.jobs.submit` takes it; for compute that needs no job."""
    return {
        "run_name": work.title,
        "tasks": [
            jobs.SubmitTask(**{name: getattr(task, name) for name in _SHARED_FIELDS}) for task in _tasks(work, settings)
        ],
        **_shared(work, settings),
    }


def job(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """A job, as `WorkspaceClient.jobs.create` takes it."""
    clusters = {"job_clusters": [_job_cluster(settings)]} if settings.compute == "job_cluster" else {}
    return {
        "name": work.title,
        "tasks": _tasks(work, settings),
        "max_concurrent_runs": 1,
        **clusters,
        **_shared(work, settings),
    }


def registry_of(model_name: str) -> dict[str, str]:
    """The environment variables by which runs are recorded in the workspace, and models in the registry of their name.

    A name of three levels is Unity Catalog's, which has aliases; the workspace's own registry has stages.
    """
    in_unity_catalog = model_name.count(".") == 2
    return {
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc" if in_unity_catalog else "databricks",
        "WORKSHOP_SLOTS": "alias" if in_unity_catalog else "stage",
    }


def environment(settings: DatabricksSettings, model_name: str) -> dict[str, str]:
    """The environment variables that the notebooks get whoever starts them, besides those that say who and what."""
    ours = current_settings()
    rows = "" if ours.spark_rows is None else str(ours.spark_rows)
    given = {
        "WORKSHOP_HOME": settings.home,
        "WORKSHOP_TABLES": ours.tables,
        "WORKSHOP_EXPERIMENTS": ours.experiments,
        "WORKSHOP_SPARK_ROWS": rows,
        **registry_of(model_name),
    }
    return {name: value for name, value in given.items() if value}


def _shared(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """What a run and a job say alike."""
    said: dict[str, Any] = {
        "queue": jobs.QueueSettings(enabled=True),
        "timeout_seconds": settings.timeout_minutes * 60,
    }
    if settings.compute == "serverless":
        spec = compute.Environment(
            environment_version=settings.environment_version, dependencies=list(work.requirements)
        )
        said["environments"] = [jobs.JobEnvironment(environment_key=_ENVIRONMENT, spec=spec)]
    if settings.code == "git":
        said["git_source"] = jobs.GitSource(
            git_url=settings.git_url, git_provider=jobs.GitProvider(settings.git_provider), git_commit=work.commit
        )
    return said


def _tasks(work: Work, settings: DatabricksSettings) -> list[jobs.Task]:
    """One after the other, all on the same compute."""
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
            # A second attempt would train a second candidate, so there is none: not ours, not one of the service's own.
            max_retries=0,
            disable_auto_optimization=True if settings.compute == "serverless" else None,
            **_where(work, settings),
        )
        for before, name in zip([None, *names], names, strict=False)
    ]


def _where(work: Work, settings: DatabricksSettings) -> dict[str, Any]:
    """A task's compute, with what it needs installed there."""
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
            # Unity Catalog and its volumes are closed to a cluster that does not say whose it is.
            data_security_mode=compute.DataSecurityMode.SINGLE_USER,
            spark_conf={"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}
            if alone
            else None,
            custom_tags={"ResourceClass": "SingleNode"} if alone else None,
        ),
    )
