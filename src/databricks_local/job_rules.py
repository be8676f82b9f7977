"""The rules for a job's tasks: their order, notebooks and compute.

Where the rules are from:

- A name has 4096 bytes at most; base_parameters have 1 MB at most as JSON; at most 1000 tasks; an environment is
  built on environment_version (a string consisting of an integer) or base_environment; git_branch, git_tag and
  git_commit exclude each other; notebook_path is absolute in the workspace and relative in a repository, and source
  is GIT if there is a git_source: the SDK's docstrings of `JobsAPI`, `NotebookTask`, `GitSource`, `Environment`.
- A submitted run has no job_clusters and no job_cluster_key: the SDK, `JobsAPI.submit` and `SubmitTask`.
- Task keys are 1 to 100 letters, digits, - and _: the REST reference (jobs/create).
- is_single_node goes with kind = CLASSIC_PREVIEW: the SDK's docstring of `ClusterSpec`.
- Assumed: libraries are refused on serverless compute, and an environment on a cluster; a notebook's path in a
  repository has no file extension; the texts of the refusals.
"""

import json
import re
from collections.abc import Sequence

from databricks_local import bodies
from databricks_local.answers import invalid

_TASK_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_NAME = 4096
_MOST_TASKS = 1000
_MOST_BASE_PARAMETERS = 1024 * 1024


def check_name(name: str) -> None:
    """Refuse a name that is too long."""
    if len(name.encode()) > _LONGEST_NAME:
        raise invalid(f"The name must have at most {_LONGEST_NAME} bytes in UTF-8 encoding.")


def check_unique(field_name: str, keys: Sequence[str]) -> None:
    """Refuse a list with a repeated key."""
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise invalid(f"Duplicate {field_name}: {', '.join(sorted(twice))}")


def check_tasks(
    tasks: Sequence[bodies.Task],
    environments: Sequence[bodies.Environment],
    git_source: bodies.GitSource | None,
    job_clusters: Sequence[str],
) -> None:
    """Refuse tasks that break a rule."""
    if not 1 <= len(tasks) <= _MOST_TASKS:
        raise invalid(f"A run has at least one task and at most {_MOST_TASKS}.")
    for task in tasks:
        if not _TASK_KEY.fullmatch(task.task_key):
            raise invalid(f"Invalid task_key {task.task_key!r}: 1 to 100 letters, digits, hyphens and underscores")
    check_unique("task_key", [task.task_key for task in tasks])
    _check_dependencies(tasks)
    for environment in environments:
        _check_environment(environment)
    keys = [environment.environment_key for environment in environments]
    check_unique("environment_key", keys)
    if git_source is not None:
        _check_git_source(git_source)
    for task in tasks:
        _check_compute(task, keys, job_clusters)
        _check_notebook(task, git_source)


def _check_dependencies(tasks: Sequence[bodies.Task]) -> None:
    waits_for = {task.task_key: {each.task_key for each in task.depends_on} for task in tasks}
    for key, upstream in waits_for.items():
        if ghosts := upstream - waits_for.keys():
            raise invalid(f"Task {key} depends on {', '.join(sorted(ghosts))}, which is not a task of this job.")
    done: set[str] = set()
    while len(done) < len(tasks):
        ready = {key for key, upstream in waits_for.items() if key not in done and upstream <= done}
        if not ready:
            raise invalid("The tasks depend on each other in a circle.")
        done |= ready


def _check_environment(environment: bodies.Environment) -> None:
    spec = environment.spec
    if spec is None or not (spec.environment_version or spec.client or spec.base_environment):
        raise invalid(
            f"Environment {environment.environment_key}: "
            "either environment_version or base_environment must be provided."
        )
    version = spec.environment_version or spec.client
    if version is not None and (spec.base_environment is not None or not version.isdigit()):
        raise invalid(f"Environment {environment.environment_key}: environment_version {version!r} is not supported.")


def _check_git_source(source: bodies.GitSource) -> None:
    if not re.match(r"https?://", source.git_url):
        raise invalid(f"Invalid git_url {source.git_url!r}: it must be an HTTPS address.")
    if sum(each is not None for each in (source.git_branch, source.git_tag, source.git_commit)) != 1:
        raise invalid("Exactly one of git_branch, git_tag and git_commit must be specified.")


def _check_compute(task: bodies.Task, environments: Sequence[str], job_clusters: Sequence[str]) -> None:
    key = task.task_key
    job_cluster = task.job_cluster_key if isinstance(task, bodies.JobTask) else None
    computes = [each for each in (task.existing_cluster_id, task.new_cluster, job_cluster) if each is not None]
    if len(computes) > 1:
        raise invalid(f"Task {key}: only one of existing_cluster_id, new_cluster and job_cluster_key can be specified.")
    if task.new_cluster is not None:
        check_new_cluster(task.new_cluster)
    if job_cluster is not None and job_cluster not in job_clusters:
        raise invalid(f"Task {key}: job cluster {job_cluster} is not defined.")
    if task.environment_key is not None and task.environment_key not in environments:
        raise invalid(f"Task {key}: environment {task.environment_key} is not defined.")
    if task.environment_key is not None and computes:
        raise invalid(f"Task {key}: environment_key can only be specified for serverless compute.")
    if task.libraries and not computes:
        raise invalid(f"Task {key}: libraries are not supported on serverless compute; use an environment.")
    if task.max_retries:
        raise invalid(f"Task {key}: this workspace does not retry tasks: set max_retries to 0.")
    for library in task.libraries:
        if len(library.model_fields_set) != 1:
            raise invalid(f"Task {key}: a library has exactly one of whl, pypi, requirements and jar.")


def check_new_cluster(cluster: bodies.NewCluster) -> None:
    """Refuse a cluster without a size or a kind of machine."""
    if cluster.node_type_id is None and cluster.instance_pool_id is None:
        raise invalid("A new cluster needs node_type_id or instance_pool_id.")
    single = cluster.is_single_node or cluster.spark_conf.get("spark.databricks.cluster.profile") == "singleNode"
    if cluster.autoscale is None and not cluster.num_workers and not single:
        raise invalid(
            "Exactly one of num_workers and autoscale must be specified for a cluster that is not a single node."
        )
    if cluster.is_single_node and cluster.kind != "CLASSIC_PREVIEW":
        raise invalid("is_single_node can only be used when kind = CLASSIC_PREVIEW.")


def _check_notebook(task: bodies.Task, git_source: bodies.GitSource | None) -> None:
    key, notebook = task.task_key, task.notebook_task
    if notebook is None:
        raise invalid(f"Task {key} has no notebook_task, the only kind of task that this workspace runs.")
    source = notebook.source or ("GIT" if git_source is not None else "WORKSPACE")
    if source == "GIT" and git_source is None:
        raise invalid(f"Task {key}: source GIT needs a git_source.")
    if source == "WORKSPACE" and not notebook.notebook_path.startswith("/"):
        raise invalid(f"Task {key}: only absolute paths are supported, the notebook path must begin with '/'.")
    if source == "GIT" and notebook.notebook_path.startswith("/"):
        raise invalid(f"Task {key}: the notebook path in a repository must be relative.")
    if source == "GIT" and re.search(r"\.(ipynb|py)$", notebook.notebook_path):
        raise invalid(f"Task {key}: the notebook path in a repository has no file extension.")
    if len(json.dumps(notebook.base_parameters).encode()) > _MOST_BASE_PARAMETERS:
        raise invalid(f"Task {key}: the JSON representation of base_parameters cannot exceed 1MB.")
