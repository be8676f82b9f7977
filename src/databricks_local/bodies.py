"""The bodies of the requests that the stand-in knows, field by field; any other field is refused.

Names and types are those that the SDK's dataclasses in `databricks.sdk.service.jobs`, `.compute` and `.workspace`
send (source: the SDK). That an unknown field is refused, and named, is stricter than the service is known to be (our
reading: a misspelt field must not pass here and be overlooked there). Of what the service offers, only what a
workshop's job could mean is known here: notebook tasks, and what they run on.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from databricks_local.answers import invalid

_PROVIDERS = (
    "awsCodeCommit",
    "azureDevOpsServices",
    "bitbucketCloud",
    "bitbucketServer",
    "gitHub",
    "gitHubEnterprise",
    "gitLab",
    "gitLabEnterpriseEdition",
)


def _known_provider(value: object) -> object:
    """The SDK's docstring: the value is case insensitive."""
    return next((known for known in _PROVIDERS if known.lower() == str(value).lower()), value)


class Body(BaseModel):
    """A body, or an object in one, with these fields and no others, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class GitSource(Body):
    git_url: str
    git_provider: Annotated[
        Literal[
            "awsCodeCommit",
            "azureDevOpsServices",
            "bitbucketCloud",
            "bitbucketServer",
            "gitHub",
            "gitHubEnterprise",
            "gitLab",
            "gitLabEnterpriseEdition",
        ],
        BeforeValidator(_known_provider),
    ]
    git_branch: str | None = None
    git_tag: str | None = None
    git_commit: str | None = None


class EnvironmentSpec(Body):
    client: str | None = None
    environment_version: str | None = None
    base_environment: str | None = None
    dependencies: list[str] = []
    java_dependencies: list[str] = []


class Environment(Body):
    environment_key: str
    spec: EnvironmentSpec | None = None


class Pypi(Body):
    package: str
    repo: str | None = None


class Library(Body):
    whl: str | None = None
    pypi: Pypi | None = None
    requirements: str | None = None
    jar: str | None = None


class Autoscale(Body):
    min_workers: int
    max_workers: int


class NewCluster(Body):
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
    job_cluster_key: str
    new_cluster: NewCluster


class NotebookTask(Body):
    notebook_path: str
    base_parameters: dict[str, str] = {}
    source: Literal["WORKSPACE", "GIT"] | None = None


class Dependency(Body):
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
    enabled: bool


class RunAs(Body):
    service_principal_name: str | None = None
    user_name: str | None = None


class AccessControl(Body):
    group_name: str | None = None
    service_principal_name: str | None = None
    user_name: str | None = None
    permission_level: Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"]


PerformanceTarget = Literal["PERFORMANCE_OPTIMIZED", "STANDARD", "COST_OPTIMIZED"]


class Submit(Body):
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
    name: str
    default: str


class CreateJob(Body):
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
    job_id: int
    idempotency_token: str | None = None
    job_parameters: dict[str, str] = {}
    notebook_params: dict[str, str] = {}
    queue: Queue | None = None
    performance_target: PerformanceTarget | None = None


class RunId(Body):
    run_id: int


class JobId(Body):
    job_id: int


class Mkdirs(Body):
    path: str


class Delete(Body):
    path: str
    recursive: bool = False


class Import(Body):
    path: str
    content: str | None = None
    format: Literal["AUTO", "DBC", "HTML", "JUPYTER", "RAW", "R_MARKDOWN", "SOURCE"] = "SOURCE"
    language: Literal["PYTHON", "R", "SCALA", "SQL"] | None = None
    overwrite: bool = False


Read = TypeVar("Read", bound=Body)


def read(shape: type[Read], content: dict[str, Any]) -> Read:
    """The body as what it should be.

    Raises:
        Refused: it has an unknown field, lacks one, or has a value of another type; the message names the field.
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
