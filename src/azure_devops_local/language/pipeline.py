"""A pipeline as it will be run: templates filled in, defaults written out, and all of it understood."""

from dataclasses import dataclass, field
from typing import Any, Literal

from azure_devops_local.language.documents import Place


@dataclass(frozen=True)
class Step:
    """One step."""

    place: Place
    kind: Literal["script", "task", "checkout", "publish"]
    """`script` also stands for `bash`."""
    display_name: str
    name: str = ""
    """By which later steps and jobs refer to its output variables."""
    condition: str = "succeeded()"
    """A condition's expression, without brackets around it."""
    continue_on_error: bool = False
    enabled: bool = True
    env: dict[str, str] = field(default_factory=dict)
    timeout_minutes: int = 0
    """0: only the job's."""
    script: str = ""
    working_directory: str = ""
    fail_on_stderr: bool = False
    task: str = ""
    """Name and version, `AzureCLI@2`."""
    inputs: dict[str, str] = field(default_factory=dict)
    """A task's inputs; `{"checkout": "self"}` and `{"publish": PATH, "artifact": NAME}` for those two kinds."""


@dataclass(frozen=True)
class Job:
    """One job; a deployment job is one with an environment."""

    place: Place
    name: str
    display_name: str
    steps: tuple[Step, ...]
    """With the `checkout: self` that a plain job begins with unless it says otherwise; a deployment job has no such."""
    depends_on: tuple[str, ...] = ()
    condition: str = "succeeded()"
    variables: dict[str, str] = field(default_factory=dict)
    timeout_minutes: int = 60
    continue_on_error: bool = False
    environment: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    place: Place
    name: str
    display_name: str
    jobs: tuple[Job, ...]
    depends_on: tuple[str, ...] = ()
    """Written out: without `dependsOn` it is the stage before."""
    condition: str = "succeeded()"
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """A whole pipeline."""

    path: str
    """From the repository's root."""
    stages: tuple[Stage, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    """The values of this run."""
    variables: dict[str, str] = field(default_factory=dict)
    """As written, with the `$(…)` and `$[ ]` that are for run time still in them."""
    groups: tuple[str, ...] = ()
    """The variable groups that it uses."""
    run_name_format: str = ""
    """The value of `name:`."""
