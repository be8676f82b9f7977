"""The preparation of a task: its notebook, its packages, its parameters.

Where the rules are from:

- The codes REPOSITORY_CHECKOUT_FAILED, RESOURCE_NOT_FOUND and LIBRARY_INSTALLATION_ERROR, and their meanings: the
  SDK, `TerminationCodeCode`. A missing notebook ends its task with RESOURCE_NOT_FOUND, "Unable to access the
  notebook …" and, often, life_cycle_state INTERNAL_ERROR: public reports.
- A library that can't be installed has life_cycle_state INTERNAL_ERROR and result FAILED: the REST reference's
  example.
- Job parameters go before a task's own of the same name; `{{job.parameters.NAME}}`, `{{job.run_id}}`,
  `{{task.run_id}}` and `{{task.name}}` in a parameter are replaced: Databricks' documentation on parameterized jobs.
- Assumed: a repository of Azure DevOps is not read without a git credential of that provider; a wheel in
  /Workspace or /Volumes is unpacked, and every other requirement has to be met by the environment that serves the
  workspace; a task's environment variables are those of its cluster and no others.
"""

import json
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from databricks_local.catalog import Catalog
from databricks_local.files import WorkspaceFiles
from databricks_local.identity import Identity
from databricks_local.run_state import Run, TaskRun


class UnreadyError(Exception):
    """A task cannot begin."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Command:
    """The folder, specification and environment of a task's process."""

    folder: Path
    spec: Path
    environment: dict[str, str]


@dataclass
class Preparation:
    """Finds and installs the requirements of tasks."""

    folder: Path
    """Keeps the files of each task."""
    identity: Identity
    files: WorkspaceFiles
    catalog: Catalog
    repositories: dict[str, Path] = field(default_factory=dict)
    """The local repository behind each address."""
    commits: set[str] = field(default_factory=set)
    git_credentials: list[dict[str, Any]] = field(default_factory=list)

    def command(self, run: Run, task: TaskRun, token: str) -> Command:
        """Return the command of the task's process.

        Raises:
            UnreadyError: the notebook, the repository or a library is missing.
        """
        folder = self.folder / "runs" / str(run.run_id) / task.key
        site = folder / "site"
        site.mkdir(parents=True)
        notebook = self._find_notebook(run, task)
        self._install(_libraries(run, task), site)
        if not (site / "workshop").exists():
            # The package is installed here, but not in a workspace.
            (site / "workshop").mkdir()
            (site / "workshop" / "__init__.py").write_text(
                "raise ModuleNotFoundError(\"No module named 'workshop'\", name='workshop')\n", encoding="utf-8"
            )
        spec = {
            "notebook": str(notebook),
            "folder": str(folder),
            "working_folder": str(notebook.parent),
            "widgets": _parameters(run, task),
            "mounts": self.catalog.mounts(),
            "no_volume": str(self.catalog.no_volume),
        }
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            **(task.task.new_cluster.spark_env_vars if task.task.new_cluster is not None else {}),
            "PYTHONPATH": str(site),
            "IPYTHONDIR": str(folder / "ipython"),
            "DATABRICKS_HOST": self.identity.host,
            "DATABRICKS_TOKEN": token,
            # No usage data leaves this machine.
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        return Command(folder, folder / "spec.json", environment)

    def _find_notebook(self, run: Run, task: TaskRun) -> Path:
        notebook = task.task.notebook_task
        assert notebook is not None
        path = notebook.notebook_path
        if (notebook.source or ("GIT" if run.git_source else "WORKSPACE")) == "GIT":
            place = self._check_out(run) / f"{path}.ipynb"
            if place.is_file():
                return place
        elif self.files.object_type(path) == "NOTEBOOK":
            return self.files.place(path)
        raise UnreadyError(
            "RESOURCE_NOT_FOUND",
            f'Unable to access the notebook "{path}". Either it does not exist, or the identity used to run this job, '
            f"{run.creator.display_name} ({run.creator.user_name}), lacks the required permissions.",
        )

    def _check_out(self, run: Run) -> Path:
        source = run.git_source
        assert source is not None
        folder = self.folder / "runs" / str(run.run_id) / "repository"
        if folder.exists():
            return folder
        repository = self.repositories.get(source.git_url)
        providers = {str(each["git_provider"]).lower() for each in self.git_credentials}
        revision = source.git_commit or source.git_branch or source.git_tag or ""
        if repository is None or (
            source.git_provider == "azureDevOpsServices" and source.git_provider.lower() not in providers
        ):
            raise UnreadyError(
                "REPOSITORY_CHECKOUT_FAILED",
                f"Failed to checkout Git repository: PERMISSION_DENIED: cannot read {source.git_url}; check that the "
                "repository exists and that the identity of this job has a Git credential for it.",
            )
        if source.git_commit is not None and source.git_commit not in self.commits:
            raise UnreadyError(
                "REPOSITORY_CHECKOUT_FAILED",
                f"Failed to checkout Git repository: NOT_FOUND: commit {revision} is not in {source.git_url}.",
            )
        done = subprocess.run(["git", "-C", repository, "archive", revision], capture_output=True, check=False)
        if done.returncode:
            raise UnreadyError(
                "REPOSITORY_CHECKOUT_FAILED",
                f"Failed to checkout Git repository: NOT_FOUND: {done.stderr.decode().strip()}",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return folder

    def _install(self, requirements: Iterable[str], site: Path) -> None:
        for requirement in requirements:
            if requirement.startswith("/"):
                self._unpack(requirement, site)
            elif requirement.startswith("-r "):
                listed = self._readable(requirement.removeprefix("-r ").strip()).read_text(encoding="utf-8")
                lines = [line.partition(" #")[0].strip() for line in listed.splitlines()]
                self._install([line for line in lines if line and not line.startswith("#")], site)
            else:
                _require_installed(requirement)

    def _readable(self, path: str) -> Path:
        place = self.catalog.place(path) if path.startswith("/Volumes/") else self.files.place(path)
        if not place.is_file():
            raise UnreadyError(
                "LIBRARY_INSTALLATION_ERROR",
                f"Library installation failed: {path} does not exist, or the identity of this job may not read it.",
            )
        return place

    def _unpack(self, path: str, site: Path) -> None:
        wheel = self._readable(path)
        try:
            parse_wheel_filename(wheel.name)
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        except (InvalidWheelFilename, zipfile.BadZipFile) as error:
            message = f"Library installation failed: {path} is not a valid wheel: {error}"
            raise UnreadyError("LIBRARY_INSTALLATION_ERROR", message) from error


def _libraries(run: Run, task: TaskRun) -> list[str]:
    """Return the requirements of this task, as lines of a requirements file."""
    key = task.task.environment_key
    lines = list(run.environments[key].dependencies) if key is not None else []
    for library in task.task.libraries:
        if library.pypi is not None:
            lines.append(library.pypi.package)
        elif library.requirements is not None:
            lines.append(f"-r {library.requirements}")
        elif library.whl is not None:
            lines.append(library.whl)
    return lines


def _require_installed(line: str) -> None:
    """Refuse a package of an index that this environment does not contain."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise UnreadyError("LIBRARY_INSTALLATION_ERROR", f"Library installation failed: {line}: {error}") from error
    if requirement.marker is not None and not requirement.marker.evaluate():
        return
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError as error:
        message = f"Library installation failed: No matching distribution found for {line}"
        raise UnreadyError("LIBRARY_INSTALLATION_ERROR", message) from error
    if not requirement.specifier.contains(version, prereleases=True):
        message = f"Library installation failed: No matching distribution found for {line} (from versions: {version})"
        raise UnreadyError("LIBRARY_INSTALLATION_ERROR", message)


def _parameters(run: Run, task: TaskRun) -> dict[str, str]:
    assert task.task.notebook_task is not None
    known = {
        "job.id": str(run.job_id),
        "job.run_id": str(run.run_id),
        "task.run_id": str(task.run_id),
        "task.name": task.key,
        **{f"job.parameters.{name}": value for name, value in run.job_parameters.items()},
    }

    def replaced(value: str) -> str:
        return re.sub(r"\{\{\s*([\w.-]+)\s*\}\}", lambda found: known.get(found.group(1), found.group(0)), value)

    passed = {**task.task.notebook_task.base_parameters, **task.overrides}
    return {name: replaced(value) for name, value in passed.items()}
