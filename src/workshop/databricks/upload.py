"""The code of a run: the notebooks and the package of one commit, in a workspace folder of the run's own."""

import importlib.util
import io
import re
import subprocess
import sys
import tarfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, ResourceConflict
from databricks.sdk.service.workspace import ImportFormat, Language
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kit_common import git
from kit_common.errors import UserError
from workshop.core.errors import WorkshopError
from workshop.core.settings import PACKAGE
from workshop.databricks.errors import explained
from workshop.databricks.retries import patiently
from workshop.databricks.settings import PREFIX, DatabricksSettings
from workshop.runner import interruption

_CHECKOUT = PACKAGE.parents[1]
NOTEBOOKS = "src/workshop/notebooks"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PLACE = re.compile(r"(/[^/]+)+/code/[0-9a-f]{40}-[0-9a-f]{12}")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class OccupiedError(WorkshopError):
    """The place for the code is not a folder."""


@dataclass(frozen=True)
class Code:
    """The code of one commit, ready to be put into a workspace."""

    commit: str
    wheel: Path
    notebooks: dict[str, bytes]
    """By file name."""
    pins: tuple[str, ...]
    """The package's dependencies, with the versions that it was tested with."""


def require_clean(commit: str) -> None:
    """Check that the checkout has no changes, since a commit runs on Databricks."""
    if commit.endswith("-dirty"):
        raise WorkshopError(
            f"Files differ from the commit {commit[:12]}, and only a commit runs on Databricks: commit them "
            "(`git commit -a`), or stash them (`git stash`)."
        )
    if not _COMMIT.fullmatch(commit):
        raise WorkshopError(
            "This is not a Git checkout, so there is no commit to run on Databricks: clone the repository, and run it "
            "there."
        )


def require_pushed(commit: str, git_url: str) -> None:
    """Check that a remote branch contains the commit, so that Databricks finds it."""
    if not _git("branch", "--remotes", "--contains", commit):
        raise WorkshopError(
            f"The commit {commit[:12]} is on no remote branch that this checkout has fetched, so Databricks would not "
            f"find it at {git_url}: push it (`git push`), or set {PREFIX}CODE=upload."
        )


def of_commit(commit: str, folder: Path) -> Code:
    """Export the commit from Git into an empty folder, and build the package's wheel from it."""
    source, built = folder / "source", folder / "wheel"
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as archive:
        archive.extractall(source, filter="data")
    _add_commit_to_version(source / "pyproject.toml", commit)
    if importlib.util.find_spec("hatchling") is None:
        raise WorkshopError("hatchling, which builds the package's wheel, is not installed: run `make setup`.")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(built)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    wheels = sorted(built.glob("*.whl"))
    if done.returncode or not wheels:
        message = (done.stderr.strip().splitlines() or ["there is no wheel"])[-1]
        raise WorkshopError(
            f"The package of the commit {commit[:12]} can't be built ({message}): run `make test` there."
        )
    notebooks = {path.stem: path.read_bytes() for path in sorted((source / NOTEBOOKS).glob("*.ipynb"))}
    return Code(commit, wheels[0], notebooks, pins(source))


def place_of(settings: DatabricksSettings, commit: str, submission_id: str) -> str:
    """Return the workspace folder for a run's code: two runs of one commit have different ones."""
    return f"{settings.folder}/code/{commit}-{submission_id[:12]}"


def upload(client: WorkspaceClient, code: Code, place: str, *, notebooks: bool) -> str:
    """Put the wheel, and on request the notebooks, into the workspace; return the wheel's path."""
    wheel = f"{place}/{code.wheel.name}"
    with explained(f"put the code into {place}"):
        try:
            with interruption.held():
                client.workspace.mkdirs(f"{place}/notebooks" if notebooks else place)
        except (BadRequest, ResourceConflict) as error:
            if "ALREADY_EXISTS" not in str(error.error_code):
                raise
            raise OccupiedError(
                f"{place} in the workspace is not a folder: move it away, or set {PREFIX}FOLDER to another folder."
            ) from error
        _put(client, wheel, code.wheel.read_bytes(), ImportFormat.AUTO)
        for name, content in code.notebooks.items() if notebooks else ():
            _put(client, f"{place}/notebooks/{name}", content, ImportFormat.JUPYTER)
    return wheel


def remove(client: WorkspaceClient, place: str) -> None:
    """Remove a run's code from the workspace, if it is there."""
    if not _PLACE.fullmatch(place):
        raise WorkshopError(f"{place} is not a folder of a run's code, so it is left alone.")
    with explained(f"remove {place} from the workspace"), suppress(NotFound):
        patiently(client, lambda: client.workspace.delete(place, recursive=True))


def _add_commit_to_version(project: Path, commit: str) -> None:
    """Add the commit to the version: a cluster installs no package whose version it has installed already."""
    text = project.read_text(encoding="utf-8")
    project.write_text(re.sub(r'(?m)^(version = "[^"+]+)"', rf'\1+g{commit[:12]}"', text, count=1), encoding="utf-8")


def _put(client: WorkspaceClient, path: str, content: bytes, kind: ImportFormat) -> None:
    language = Language.PYTHON if kind is ImportFormat.JUPYTER else None
    with interruption.held():
        patiently(
            client,
            lambda: client.workspace.upload(path, io.BytesIO(content), format=kind, language=language, overwrite=True),
        )


def pins(source: Path) -> tuple[str, ...]:
    """Return the package's dependencies, with the versions of the commit's own requirements.txt."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = _PIN.findall((source / "requirements.txt").read_text("utf-8"))
    versions = {canonicalize_name(name): version for name, version in known}
    wanted = [canonicalize_name(Requirement(each).name) for each in project["dependencies"]]
    return tuple(f"{name}=={versions[name]}" for name in wanted if name in versions)


def _git(*arguments: str) -> bytes:
    try:
        done = git.run(_CHECKOUT, *arguments, timeout=120)
    except UserError as error:
        raise WorkshopError(str(error)) from error
    if done.returncode:
        raise WorkshopError(f"Git can't export the commit: {git.reason(done)}.")
    return done.stdout
