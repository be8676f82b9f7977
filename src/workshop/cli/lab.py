"""JupyterLab on the course: its options and its environment."""

import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence

from workshop.cli.git_filter import CHECKOUT
from workshop.core.settings import PACKAGE

_START = "README.md"
_SETTINGS = PACKAGE / "cli" / "jupyter"
"""Defaults of JupyterLab's settings: no question about news, and Markdown is shown as a page with links."""
_QUIET = ("--Application.log_level=WARN", "--ServerApp.answer_yes=True")
"""The address is logged as critical; Ctrl-C ends the server at once, without a question."""


def command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of JupyterLab; an option that the user gives replaces the kit's."""
    options = [*_place(), *_QUIET]
    if sys.platform != "win32":
        # Without a terminal, Jupyter would start login shells, whose profile may reset PATH.
        shell = shlex.quote(os.environ.get("SHELL") or shutil.which("sh") or "sh")
        options.append(f"--ServerApp.terminado_settings=shell_command={shell}")
    if is_root():
        options.append("--allow-root")
    given = {name for name, _, _ in (argument.partition("=") for argument in arguments)}
    own = [option for option in options if option.partition("=")[0] not in given]
    return [sys.executable, "-m", "jupyterlab", *own, *arguments]


def is_root() -> bool:
    """Return whether the user is root, for whom JupyterLab starts only if it is allowed to."""
    return sys.platform != "win32" and os.geteuid() == 0


def environment(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment, in which terminals and kernels find `workshop` whether or not `.venv` is active."""
    added = {"PATH": sysconfig.get_path("scripts"), "JUPYTER_CONFIG_PATH": str(_SETTINGS)}
    joined = {name: os.pathsep.join(filter(None, [first, inherited.get(name)])) for name, first in added.items()}
    return {**inherited, **joined}


def _place() -> list[str]:
    """Return the options for the folder to open, and for the page to begin with."""
    if not (CHECKOUT / _START).is_file():  # an installed package
        return [f"--ServerApp.root_dir={PACKAGE / 'notebooks'}"]
    return [f"--ServerApp.root_dir={CHECKOUT}", f"--LabApp.default_url=/lab/tree/{_START}"]
