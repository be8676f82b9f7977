"""A strict stand-in of a Databricks workspace, for tests: an HTTP server that answers and refuses as the service does.

It runs what is submitted, for real, in processes of their own, and can be told to fail in each way that the service
does. Each module says where its rules are from: the SDK's sources, the REST reference, an answer of the service that
somebody has quoted in public, or our own reading of how the service is.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databricks_local.answers import Answer, Request
from databricks_local.catalog import Catalog, Grants, everything
from databricks_local.clusters import ClusterList
from databricks_local.execution import Execution
from databricks_local.files import WorkspaceFiles
from databricks_local.identity import Identity
from databricks_local.jobs import Jobs
from databricks_local.preparation import Preparation
from databricks_local.registry import Registry
from databricks_local.run_state import Run
from databricks_local.runs import Runs
from databricks_local.server import AZURE_PREFIX, AnswerMlflow, Site, serving


@dataclass(frozen=True)
class Workspace:
    """The stand-in, as a test sees it."""

    host: str
    root: Path
    """Keeps /Workspace and /Volumes, under their names."""
    identity: Identity
    files: WorkspaceFiles
    catalog: Catalog
    execution: Execution
    jobs: Jobs
    _runs: Runs
    _clusters: ClusterList
    _site: Site
    home: str = "/Volumes/main/workshop/files"
    """The volume that `everything()` has, for WORKSHOP_HOME."""

    @property
    def azure_host(self) -> str:
        """The same workspace, at an address that ends as on Azure: without that the SDK asks no `az` for a token.

        To have a whole address as on Azure, take `host` for HTTP_PROXY, which answers for any host.
        """
        return self.host + AZURE_PREFIX

    @property
    def token(self) -> str:
        """A personal access token of the service principal."""
        return self.identity.token

    @property
    def person_token(self) -> str:
        return self.identity.person_token

    @property
    def expired_token(self) -> str:
        return self.identity.expired_token

    @property
    def aad_token(self) -> str:
        """Entra ID's token of the service principal, as `az` gives it."""
        return self.identity.aad_token

    @property
    def client_id(self) -> str:
        return self.identity.client_id

    @property
    def client_secret(self) -> str:
        return self.identity.client_secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that no log, exception, notebook or report may have in it."""
        own = self.identity
        return (
            own.token,
            own.person_token,
            own.expired_token,
            own.aad_token,
            own.system_access_token,
            own.client_secret,
        )

    @property
    def runs(self) -> dict[int, Run]:
        return self._runs.runs

    @property
    def requests(self) -> list[str]:
        """Each request's method and path, as in "POST /api/2.2/jobs/runs/submit"."""
        return self._site.requests

    @property
    def unknown(self) -> list[str]:
        """The requests that no endpoint is there for."""
        return self._site.unknown

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        return self._clusters.clusters

    @property
    def cluster_starts(self) -> int:
        return self._clusters.starts

    @property
    def grants(self) -> Grants:
        return self.catalog.grants

    @property
    def forbidden_folders(self) -> set[str]:
        return self.files.forbidden_folders

    @property
    def commits(self) -> set[str]:
        """The commits that git_source finds."""
        return self.execution.preparation.commits

    @property
    def repositories(self) -> dict[str, Path]:
        return self.execution.preparation.repositories

    @property
    def git_credentials(self) -> list[dict[str, Any]]:
        return self.execution.preparation.git_credentials

    @property
    def outcomes(self) -> dict[str, str]:
        """How a task ends, by its key, without being executed.

        SUCCESS, FAILED, SKIPPED, TIMEDOUT, CANCELED or INTERNAL_ERROR.
        """
        return self.execution.outcomes

    @property
    def results(self) -> dict[str, str]:
        """What a task that is not executed hands to dbutils.notebook.exit."""
        return self.execution.results

    @property
    def errors(self) -> dict[str, str]:
        """What a task that is not executed fails with, as in "WorkshopError: …"."""
        return self.execution.errors

    @property
    def executed(self) -> dict[tuple[int, str], Path]:
        """The executed notebook of each task, by the run's id and the task's key."""
        return self.execution.executed

    def active_runs(self) -> list[Run]:
        """The runs that have not ended."""
        return self._runs.active()

    def hold(self, task_key: str) -> None:
        """Let this task, when its turn comes, stay PENDING until it is released."""
        self.execution.hold(task_key)

    def release(self, task_key: str) -> None:
        self.execution.release(task_key)

    def wait_for(self, run_id: int, *life_cycle_states: str, timeout: float = 60) -> Run:
        """Wait until the run has one of these states, or has ended where none is given."""
        return self.execution.wait_for(self.runs[run_id], life_cycle_states, timeout)

    def fail_next(self, pattern: str, **options: Any) -> None:
        """Answer the next requests that match with an error; the options are those of `Faults.fail_next`."""
        self._site.faults.fail_next(pattern, **options)

    def set_clock(self, seconds_ahead: float) -> None:
        """Let the workspace's clock be that much ahead of this machine's."""
        self._site.clock_ahead = seconds_ahead

    def azure_devops_environment(self) -> dict[str, str]:
        """The variables that an Azure pipeline's job gives to a step that maps System.AccessToken."""
        return self.identity.azure_devops_environment()


@contextmanager
def running(
    folder: Path,
    mlflow_uri: str | None = None,
    *,
    clusters: dict[str, dict[str, Any]] | None = None,
    grants: Grants | None = None,
    repositories: Mapping[str, Path] | None = None,
    commits: Iterable[str] | None = None,
    git_credentials: list[dict[str, Any]] | None = None,
    forbidden_folders: Iterable[str] = (),
    failed_runs_end_as: str = "TERMINATED",
) -> Iterator[Workspace]:
    """Serve a workspace until the test is done with it, and leave no process behind.

    Args:
        folder: keeps all that the workspace holds; it need not exist.
        mlflow_uri: the server behind its MLflow; without one, MLflow's paths are not there.
        clusters: those that exist, by their ids, as in {"0923-1": {"state": "RUNNING", "permitted": True}}.
        grants: the privileges on what is in Unity Catalog; `everything()` where nothing is given.
        repositories: the local repository behind each address that git_source may name.
        commits: those that it has; all that the local repositories have now where nothing is given.
        git_credentials: those of the service principal; one for Azure DevOps where nothing is given.
        failed_runs_end_as: the life_cycle_state of a run with a failed task: TERMINATED or INTERNAL_ERROR.
    """
    root = folder / "root"
    identity, files = Identity(), WorkspaceFiles(root)
    files.forbidden_folders.update(forbidden_folders)
    catalog = Catalog(root, everything() if grants is None else grants, identity.principals)
    known = dict(repositories or {})
    cluster_list = ClusterList({} if clusters is None else clusters)
    credential = {"credential_id": 1, "git_provider": "azureDevOpsServices", "git_username": "workshop-cd"}
    preparation = Preparation(
        folder,
        identity,
        files,
        catalog,
        repositories=known,
        commits=set(commits) if commits is not None else {each for path in known.values() for each in _commits(path)},
        git_credentials=[credential] if git_credentials is None else git_credentials,
    )
    execution = Execution(identity, preparation, cluster_list, failed_runs_end_as=failed_runs_end_as)
    made: list[tuple[Jobs, Runs]] = []

    def make_site(host: str) -> Site:
        identity.host = host
        runs = Runs(host, identity.workspace_id, execution)
        jobs = Jobs(runs, cluster_list)
        made.append((jobs, runs))
        routes = [
            *(
                *identity.routes(),
                *files.routes(),
                *cluster_list.routes(),
                *catalog.routes(),
                *jobs.routes(),
                *runs.routes(),
            ),
            ("GET", r"/api/2\.0/git-credentials", lambda _: {"credentials": preparation.git_credentials}),
        ]
        return Site(identity, routes, _mlflow(mlflow_uri, folder / "registry", files, catalog))

    with serving(make_site) as site:
        try:
            yield Workspace(identity.host, root, identity, files, catalog, execution, *made[0], cluster_list, site)
        finally:
            execution.close()
    assert not site.crashes, "\n".join(site.crashes)


def _commits(repository: Path) -> list[str]:
    said = subprocess.run(
        ["git", "-C", repository, "rev-list", "--all"], capture_output=True, text=True, check=True, timeout=60
    )
    return said.stdout.split()


def _mlflow(uri: str | None, folder: Path, files: WorkspaceFiles, catalog: Catalog) -> AnswerMlflow:
    """What answers MLflow's calls: the registry, for those who have the rights."""
    if uri is None:
        return lambda request: None
    registry = Registry(uri, folder, files.folder_exists)

    def has_model(name: str) -> bool:
        target = f"/api/2.0/mlflow/unity-catalog/registered-models/get?name={name}"
        found = registry.answer(Request.read("GET", target, {}, b""))
        return found is not None and found.status == 200

    catalog.has_model = has_model

    def answer(request: Request) -> Answer | None:
        catalog.allow(request)
        return registry.answer(request)

    return answer
