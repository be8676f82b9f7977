"""The program that uses this package: its folders, its commands and its policies."""

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Policy:
    """The conditions for a pull request into a branch."""

    build: str = ""
    """The pipeline that must succeed on the merge."""
    reviewers: int = 0
    """Number of people besides the author who must approve; the person who completes it is one."""


def _own_root() -> Path:
    return Path(os.environ.get("AZURE_DEVOPS_LOCAL_HOME") or ".azure_devops_local").absolute()


@dataclass(frozen=True)
class Host:
    """Settings of a program that uses this package; the defaults are for the package's own command line."""

    name: str = "azure_devops_local"
    """Name of the team's project and repository, and of the remote in each clone."""
    command: tuple[str, ...] = ("azure_devops_local",)
    """Arguments of `python -m` for the commands `received` and `work`, which hooks and agents run."""
    advice: str = "python -m azure_devops_local"
    """The command line for sentences."""
    home_variable: str = "AZURE_DEVOPS_LOCAL_HOME"
    """Environment variable that names the root."""
    root: Callable[[], Path] = _own_root
    below: str = ""
    """Folder of this package below the root."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """Protected branches and their policies for pull requests; `main` is the repository's first branch."""
    choices: Sequence[Mapping[str, str]] = ({},)
    """Values in `variables.yml` on which the files depend; `check` tries them all."""
    used_only_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By setting, the choices that need it; for `check`, any other setting is always needed."""
    user: Callable[[], str] = getpass.getuser
    """Requester of a run if Git has no `user.name`."""

    @property
    def home(self) -> Path:
        """The folder of runs, repository and settings."""
        return self.root() / self.below

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which hooks, agents and steps find the same root."""
        return {self.home_variable: str(self.root())}


_hosts = [Host()]


def use(host: Host) -> None:
    """Make this the host of the process."""
    _hosts[:] = [host]


def current() -> Host:
    """Return the host of the process."""
    return _hosts[0]
