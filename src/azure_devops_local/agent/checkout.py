"""The commit in a folder of its own, and on it, where it asks for no other packages, the environment that is here."""

import importlib.metadata
import os
import re
import shlex
import sys
import sysconfig
import venv
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from azure_devops_local.agent.steps import StepAtWork
from kit_common import git
from kit_common.errors import UserError

_NOT_OURS = re.compile(r"python.*|pip.*|activate.*", re.IGNORECASE)
_LONGEST_SHEBANG = 120


def check_out(step: StepAtWork) -> None:
    """Check exactly the run's commit out, and make its environment ready where that needs nothing new.

    Raises:
        UserError: the commit can't be checked out.
        OutOfTimeError: it took too long.
    """
    place = step.place
    commit, sources = place.run.commit, place.sources
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise UserError(f"{commit!r} is no commit: give its whole name.")
    step.say(f"##[section]Checking {commit} of {place.repository} out into {sources}")
    # A repository's hooks and a person's templates are no part of the commit, so nothing of them runs.
    without = ("--template=", "--config=core.hooksPath=/dev/null", *git.AS_COMMITTED)
    clone = ("clone", "--quiet", "--no-checkout", "--shared", *without, "--")
    for command in (
        git.command(place.work, *clone, str(place.repository.resolve()), str(sources)),
        git.command(sources, "checkout", "--quiet", "--detach", "--force", commit),
    ):
        if step.execute(command, place.work, with_commands=False):
            raise UserError(f"The commit {commit} can't be checked out: the step's log has what Git says.")
    requirements = sources / "requirements.txt"
    if not requirements.is_file() or not (sources / "pyproject.toml").is_file() or (sources / ".venv").exists():
        return
    if different := difference(requirements.read_text(encoding="utf-8", errors="replace")):
        step.say(f"##[warning]{different}")
        place.notice(f"{different}: the pipeline makes an environment of its own, which may need the network.")
        return
    make_thin_environment(sources)
    step.say(f"The packages that requirements.txt asks for are those of {sys.prefix}: .venv stands on them.")
    place.notice("The packages are not installed again: requirements.txt asks for those that this machine has.")


def difference(requirements: str) -> str:
    """Return a sentence on the first package that is required in another version than is installed; empty if none."""
    for line in requirements.splitlines():
        if not line.strip() or line[0].isspace() or line.startswith("#"):
            continue  # of a pin's further lines, hashes and comments
        text = re.split(r"\s--|\s#|\\$", line)[0].strip()
        try:
            pin = Requirement(text)
        except InvalidRequirement:
            return f"requirements.txt says `{text}`, which this agent does not read"
        if pin.marker is not None and not pin.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            return f"requirements.txt asks for {text}, which is not installed here"
        if not pin.specifier.contains(version, prereleases=True):
            return f"requirements.txt asks for {text}, and {version} is installed here"
    return ""


def make_thin_environment(sources: Path) -> None:
    """Make `.venv`: the packages and commands of the running environment, but the code of this checkout.

    `make setup` finds it ready. The running environment is only read.
    """
    environment = sources / ".venv"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    # A line of a .pth file becomes a path, and the .pth files in there, such as that of the code which runs this
    # agent, are not read.
    paths = "\n".join([str(sources / "src"), *packages])
    (environment / "lib" / version / "site-packages" / "azure-devops-local.pth").write_text(
        f"{paths}\n", encoding="utf-8"
    )
    for name in ("share", "etc"):
        if (Path(sys.prefix) / name).is_dir() and not (environment / name).exists():
            (environment / name).symlink_to(Path(sys.prefix) / name, target_is_directory=True)
    for script in Path(sysconfig.get_path("scripts")).iterdir():
        if script.is_file() and not _NOT_OURS.fullmatch(script.name):
            _bring(script, environment / "bin")
    (environment / ".ready").touch()


def _bring(script: Path, folder: Path) -> None:
    """Let a command run in another environment: one in Python with that interpreter, any other as it is."""
    content = script.read_bytes() if os.access(script, os.R_OK) else b""
    python = re.escape(os.fsencode(script.parent)) + rb"/python[\d.]*"
    plain = re.match(rb"#!" + python + rb"[^\n]*\n", content)
    # What installers write where the path is too long or has a space: a line for sh, which Python takes for a text.
    by_shell = re.match(rb"#!/bin/sh\n'''exec' [\"']?" + python + rb"[^\n]*\n' '''\n", content)
    first_lines = plain or by_shell
    if first_lines is None:
        (folder / script.name).symlink_to(script)
        return
    (folder / script.name).write_bytes(os.fsencode(_shebang(folder / "python")) + content[first_lines.end() :])
    (folder / script.name).chmod(0o755)


def _shebang(python: Path) -> str:
    if " " in str(python) or len(str(python)) > _LONGEST_SHEBANG:
        return f"#!/bin/sh\n'''exec' {shlex.quote(str(python))} \"$0\" \"$@\"\n' '''\n"
    return f"#!{python}\n"
