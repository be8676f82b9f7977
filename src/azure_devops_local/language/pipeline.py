"""A pipeline, ready to run: templates are expanded and defaults filled in."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Variable:
    """One variable, by its name in any case."""

    name: str
    value: str
    written: bool = False
    """The value was written in a pipeline file, so `$[ ]` in it is an expression; any other value is data."""
    secret: bool = False
    read_only: bool = False
    """No step can set it."""

    @property
    def is_computed(self) -> bool:
        """Whether the value is an expression for run time."""
        return self.written and self.value.strip().startswith("$[")


@dataclass(frozen=True)
class Group:
    """The variables of a variable group."""

    name: str


Scope = tuple[Variable | Group, ...]
"""The variables of a pipeline, stage or job, in the order of the file: the last one of a name counts."""


@dataclass(frozen=True)
class Step:
    """One step."""

    kind: Literal["script", "task", "checkout", "publish", "download"]
    """`script` also stands for `bash`, `pwsh` and `powershell`."""
    display_name: str
    name: str = ""
    """Prefix of its output variables in later steps and jobs."""
    condition: str = "succeeded()"
    """An expression without brackets."""
    continue_on_error: bool = False
    enabled: bool = True
    env: dict[str, str] = field(default_factory=dict)
    timeout_minutes: int = 0
    """0: no limit besides that of the job."""
    script: str = ""
    powershell: bool = False
    """The script is one for PowerShell."""
    working_directory: str = ""
    fail_on_stderr: bool = False
    task: str = ""
    """Name and version, `AzureCLI@2`."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Inputs of a task; for another kind, its own keys: `{"publish": PATH, "artifact": NAME}`."""


@dataclass(frozen=True)
class Job:
    """One job; a deployment job has an environment."""

    name: str
    display_name: str
    steps: tuple[Step, ...]
    """A job without a checkout step begins with `checkout: self`, unless it is a deployment job."""
    depends_on: tuple[str, ...] = ()
    condition: str = "succeeded()"
    variables: Scope = ()
    timeout_minutes: int = 60
    continue_on_error: bool = False
    environment: str = ""
    matrix: dict[str, Scope] = field(default_factory=dict)
    """The legs of a matrix: the variables that each adds, by its name; empty without a matrix."""
    leg: str = ""
    """The name of the leg that this is."""
    leg_variables: Scope = ()
    """The variables that the leg adds; the condition of the job comes before them."""

    @property
    def legs(self) -> "tuple[Job, ...]":
        """The job for each leg of its matrix; without a matrix, the job itself."""
        legs = (
            replace(self, leg=leg, display_name=f"{self.display_name} {leg}", leg_variables=scope)
            for leg, scope in self.matrix.items()
        )
        return tuple(legs) or (self,)

    pool: str = ""
    """The image or the name of its pool, which may contain `$(…)`."""
    finds_artifacts: bool = False
    """The run's artifacts are in its folder: in a deployment job without `download: none`."""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    name: str
    display_name: str
    jobs: tuple[Job, ...]
    depends_on: tuple[str, ...] = ()
    """Without `dependsOn` in the file: the stage before."""
    condition: str = "succeeded()"
    variables: Scope = ()


@dataclass(frozen=True)
class Pipeline:
    """A whole pipeline."""

    path: str
    """From the repository's root."""
    stages: tuple[Stage, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    """The values of this run."""
    variables: Scope = ()
    run_name_format: str = ""
    """The value of `name:`."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The variable groups of the pipeline, its stages and jobs."""
        jobs = (job.variables for stage in self.stages for job in stage.jobs)
        scopes = (self.variables, *(stage.variables for stage in self.stages), *jobs)
        return tuple(dict.fromkeys(entry.name for scope in scopes for entry in scope if isinstance(entry, Group)))
