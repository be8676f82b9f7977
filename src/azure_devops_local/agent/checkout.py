"""Checkout of a run's commit, with an environment made of the installed packages if they are the required ones."""

import importlib.metadata
import os
import re
import shlex
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from azure_devops_local.agent.steps import StepAtWork
from kit_common import git
from kit_common.errors import UserError

_NOT_COPIED = re.compile(r"python.*|pip.*|activate.*", re.IGNORECASE)
_LONGEST_SHEBANG = 120


def check_out(step: StepAtWork) -> None:
    """Check out the run's commit, and make its environment if all required packages are installed."""
    place = step.place
    commit, sources = place.run.commit, place.sources
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise UserError(f"{commit!r} is not a commit: give the full hash.")
    step.say(f"##[section]Checking {commit} of {place.repository} out into {sources}")
    shutil.rmtree(sources, ignore_errors=True)  # files of the steps before it
    # Hooks of the repository and of a user's templates are not part of the commit, so none of them runs.
    plain = ("--template=", "--config=core.hooksPath=/dev/null", *git.AS_COMMITTED)
    tags = ("--no-tags",) if step.step.inputs.get("fetchTags", "").lower() == "false" else ()
    clone = ("clone", "--quiet", "--no-checkout", "--shared", *tags, *plain, "--")
    commands = [
        git.command(place.work, *clone, str(place.repository.resolve()), str(sources)),
        git.command(sources, "checkout", "--quiet", "--detach", "--force", commit),
    ]
    if int(depth := step.step.inputs.get("fetchDepth") or "0"):
        # The commit may be on no branch.
        pack = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack"
        commands.insert(1, git.command(sources, "fetch", "--quiet", "--depth", depth, *tags, pack, "origin", commit))
    for command in commands:
        if step.execute(command, place.work, with_commands=False):
            raise UserError(f"The commit {commit} can't be checked out: see Git's message in the step's log.")
    requirements = sources / "requirements.txt"
    if not requirements.is_file() or not (sources / "pyproject.toml").is_file() or (sources / ".venv").exists():
        return
    if different := difference(requirements.read_text(encoding="utf-8", errors="replace")):
        step.say(f"##[warning]{different}")
        place.notice(f"{different}: the pipeline makes its own environment, which may need the network.")
        return
    make_thin_environment(sources)
    step.say(f"The packages of requirements.txt are installed in {sys.prefix}: .venv uses them.")
    place.notice("The packages were not installed again: this machine has the versions of requirements.txt.")


def difference(requirements: str) -> str:
    """Return a sentence on the first package whose installed version is not the required one; empty if all are."""
    for line in requirements.splitlines():
        if not line.strip() or line[0].isspace() or line.startswith("#"):
            continue  # hashes, comments and other continuation lines
        text = re.split(r"\s--|\s#|\\$", line)[0].strip()
        try:
            pin = Requirement(text)
        except InvalidRequirement:
            return f"requirements.txt has `{text}`, which this agent can't read"
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
    """Make `.venv` with the packages and commands of the running environment and the code of this checkout.

    `make setup` accepts it as up to date. The running environment is not changed.
    """
    environment = sources / ".venv"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(environment)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    own = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    # The running environment may be such a thin one, whose packages are in the environment that it was made of.
    packages = dict.fromkeys((*own, *(path for path in sys.path if Path(path).name == "site-packages")))
    # Folders that a .pth file adds are not searched for further .pth files, such as that of the agent's own code.
    paths = "\n".join([str(sources / "src"), *packages])
    (environment / "lib" / version / "site-packages" / "azure-devops-local.pth").write_text(
        f"{paths}\n", encoding="utf-8"
    )
    for name in ("share", "etc"):
        if (Path(sys.prefix) / name).is_dir() and not (environment / name).exists():
            (environment / name).symlink_to(Path(sys.prefix) / name, target_is_directory=True)
    for script in Path(sysconfig.get_path("scripts")).iterdir():
        if script.is_file() and not _NOT_COPIED.fullmatch(script.name):
            link_command(script, environment / "bin")
    (environment / ".ready").touch()


def link_command(script: Path, folder: Path) -> None:
    """Make a command of one environment available in another: with its interpreter if it is in Python."""
    content = script.read_bytes() if os.access(script, os.R_OK) else b""
    python = re.escape(os.fsencode(script.parent)) + rb"/python[\d.]*"
    plain = re.match(rb"#!" + python + rb"[^\n]*\n", content)
    # Installers write this if the path is too long or has a space: a line for sh, which Python reads as a string.
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
