"""The bodies of requests, field by field; any other field is refused.

Names and types are those that the SDK's dataclasses in `databricks.sdk.service.jobs`, `.compute` and `.workspace`
send (source: the SDK). Unknown fields are refused by name, which is stricter than the service is known to be (our
choice: a misspelt field must not pass here and be overlooked there). Only notebook tasks and their compute are
implemented.
"""

from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from databricks_local.answers import invalid

Provider = Literal[
    "awsCodeCommit",
    "azureDevOpsServices",
    "bitbucketCloud",
    "bitbucketServer",
    "gitHub",
    "gitHubEnterprise",
    "gitLab",
    "gitLabEnterpriseEdition",
]


def _known_provider(value: object) -> object:
    """Return the provider in the service's spelling; its case does not matter (source: the SDK's docstring)."""
    return next((known for known in get_args(Provider) if known.lower() == str(value).lower()), value)


class Body(BaseModel):
    """A body, or an object in one, with these fields and no others, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class GitSource(Body):
    """The repository and the revision that notebooks come from."""

    git_url: str
    git_provider: Annotated[Provider, BeforeValidator(_known_provider)]
    git_branch: str | None = None
    git_tag: str | None = None
    git_commit: str | None = None


class EnvironmentSpec(Body):
    """The packages of serverless compute."""

    client: str | None = None
    environment_version: str | None = None
    base_environment: str | None = None
    dependencies: list[str] = []
    java_dependencies: list[str] = []


class Environment(Body):
    """An environment of serverless compute, and its key."""

    environment_key: str
    spec: EnvironmentSpec | None = None


class Pypi(Body):
    """A package of an index."""

    package: str
    repo: str | None = None


class Library(Body):
    """A library to install on a cluster."""

    whl: str | None = None
    pypi: Pypi | None = None
    requirements: str | None = None
    jar: str | None = None


class Autoscale(Body):
    """The bounds of a cluster's size."""

    min_workers: int
    max_workers: int


class NewCluster(Body):
    """A cluster that is started for a run."""

    spark_version: str
    node_type_id: str | None = None
    driver_node_type_id: str | None = None
    instance_pool_id: str | None = None
    num_workers: int | None = None
    autoscale: Autoscale | None = None
    is_single_node: bool | None = None
    kind: Literal["CLASSIC_PREVIEW"] | None = None
    data_security_mode: str | None = None
    single_user_name: str | None = None
    runtime_engine: Literal["STANDARD", "PHOTON", "NULL"] | None = None
    use_ml_runtime: bool | None = None
    policy_id: str | None = None
    apply_policy_default_values: bool | None = None
    cluster_name: str | None = None
    spark_conf: dict[str, str] = {}
    spark_env_vars: dict[str, str] = {}
    custom_tags: dict[str, str] = {}
    azure_attributes: dict[str, Any] = {}


class JobCluster(Body):
    """A cluster that the tasks of a job share."""

    job_cluster_key: str
    new_cluster: NewCluster


class NotebookTask(Body):
    """The notebook of a task, and its parameters."""

    notebook_path: str
    base_parameters: dict[str, str] = {}
    source: Literal["WORKSPACE", "GIT"] | None = None


class Dependency(Body):
    """A task that has to end first."""

    task_key: str
    outcome: str | None = None


class Task(Body):
    """A task of a submitted run; the SDK's `SubmitTask` has no job_cluster_key: such a run shares no cluster."""

    task_key: str
    notebook_task: NotebookTask | None = None
    depends_on: list[Dependency] = []
    run_if: Literal["ALL_SUCCESS", "ALL_DONE", "NONE_FAILED"] | None = None
    description: str | None = None
    environment_key: str | None = None
    existing_cluster_id: str | None = None
    new_cluster: NewCluster | None = None
    libraries: list[Library] = []
    timeout_seconds: int = 0
    max_retries: int | None = None
    min_retry_interval_millis: int | None = None
    retry_on_timeout: bool | None = None
    disable_auto_optimization: bool | None = None


class JobTask(Task):
    """A task of a job, which may run on one of the job's clusters."""

    job_cluster_key: str | None = None


class Queue(Body):
    """Whether a run waits for another run of its job."""

    enabled: bool


class RunAs(Body):
    """The identity that a run has."""

    service_principal_name: str | None = None
    user_name: str | None = None


class AccessControl(Body):
    """A permission on a run or job."""

    group_name: str | None = None
    service_principal_name: str | None = None
    user_name: str | None = None
    permission_level: Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]


PerformanceTarget = Literal["PERFORMANCE_OPTIMIZED", "STANDARD", "COST_OPTIMIZED"]


class Submit(Body):
    """The body of jobs/runs/submit."""

    tasks: list[Task] = []
    run_name: str = "Untitled"
    environments: list[Environment] = []
    git_source: GitSource | None = None
    idempotency_token: str | None = None
    queue: Queue | None = None
    timeout_seconds: int = 0
    run_as: RunAs | None = None
    access_control_list: list[AccessControl] = []
    performance_target: PerformanceTarget | None = None
    budget_policy_id: str | None = None
    usage_policy_id: str | None = None


class JobParameter(Body):
    """A parameter of a job, with its default."""

    name: str
    default: str


class CreateJob(Body):
    """The body of jobs/create."""

    name: str = "Untitled"
    tasks: list[JobTask] = []
    description: str | None = None
    environments: list[Environment] = []
    job_clusters: list[JobCluster] = []
    git_source: GitSource | None = None
    parameters: list[JobParameter] = []
    queue: Queue | None = None
    timeout_seconds: int = 0
    max_concurrent_runs: Annotated[int, Field(ge=0, le=1000)] = 1
    run_as: RunAs | None = None
    tags: dict[str, str] = {}
    access_control_list: list[AccessControl] = []
    performance_target: PerformanceTarget | None = None
    format: Literal["MULTI_TASK"] | None = None
    edit_mode: Literal["UI_LOCKED", "EDITABLE"] | None = None
    deployment: dict[str, Any] | None = None
    budget_policy_id: str | None = None
    usage_policy_id: str | None = None


class RunNow(Body):
    """The body of jobs/run-now."""

    job_id: int
    idempotency_token: str | None = None
    job_parameters: dict[str, str] = {}
    notebook_params: dict[str, str] = {}
    queue: Queue | None = None
    performance_target: PerformanceTarget | None = None


class RunId(Body):
    """The body of jobs/runs/cancel."""

    run_id: int


class JobId(Body):
    """The body of jobs/delete."""

    job_id: int


class Mkdirs(Body):
    """The body of workspace/mkdirs."""

    path: str


class Delete(Body):
    """The body of workspace/delete."""

    path: str
    recursive: bool = False


class Import(Body):
    """The body of workspace/import, without the file of a form."""

    path: str
    content: str | None = None
    format: Literal["AUTO", "DBC", "HTML", "JUPYTER", "RAW", "R_MARKDOWN", "SOURCE"] = "SOURCE"
    language: Literal["PYTHON", "R", "SCALA", "SQL"] | None = None
    overwrite: bool = False


Read = TypeVar("Read", bound=Body)


def read(shape: type[Read], content: dict[str, Any]) -> Read:
    """Return the body in its shape.

    Raises:
        Refused: a field is unknown, missing, or of another type; the message names it.
    """
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise invalid(f"Unknown field: {place}") from error
        if first["type"] == "missing":
            raise invalid(f"Missing required field: {place}") from error
        raise invalid(f"Invalid value for field {place}: {first['msg']}") from error
