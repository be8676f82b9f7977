"""The program around this package: where its state is kept, and how its commands are called."""

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from azure_devops_local.server.policies import Policy


def _own_root() -> Path:
    return Path(os.environ.get("AZURE_DEVOPS_LOCAL_HOME") or ".azure_devops_local").absolute()


@dataclass(frozen=True)
class Host:
    """What differs between the programs that use this package; the defaults are the package's own command line."""

    name: str = "azure_devops_local"
    """Name of the team's project and repository, and of the remote in each clone."""
    command: tuple[str, ...] = ("azure_devops_local",)
    """Arguments of `python -m` for the commands `received` and `work`, which hooks and agents run."""
    advice: str = "python -m azure_devops_local"
    """How sentences call the command line."""
    home_variable: str = "AZURE_DEVOPS_LOCAL_HOME"
    """Environment variable that names the root."""
    root: Callable[[], Path] = _own_root
    below: str = ""
    """Folder below the root that holds everything of this package."""
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """The protected branches, and what each asks of a pull request; `main` is where the repository starts."""

    choices: Sequence[Mapping[str, str]] = ({},)
    """Values of the settings in `variables.yml` that the files branch on; `check` tries them all."""
    used_only_with: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By setting, the choices that need it; `check` asks always for a setting that is not named here."""
    user: Callable[[], str] = getpass.getuser
    """For whom a run is started where Git has no `user.name`."""

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
