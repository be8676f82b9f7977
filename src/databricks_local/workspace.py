"""A Databricks workspace on this machine: an HTTP server that answers and refuses as the service does.

Submitted notebooks run for real, in processes of their own, and each failure of the service can be set. Each module
names the source of its rules: the SDK, the REST reference, an answer of the service quoted in public, or an assumption.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databricks_local.answers import Answer, Request, Route
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
    """A running workspace: its credentials, its content, and the failures to come."""

    host: str
    root: Path
    """The folder with /Workspace and /Volumes."""
    identity: Identity
    files: WorkspaceFiles
    catalog: Catalog
    execution: Execution
    jobs: Jobs
    _runs: Runs
    _clusters: ClusterList
    _site: Site
    home: str = "/Volumes/main/workshop/files"
    """The volume of `everything()`, for WORKSHOP_HOME."""

    @property
    def azure_host(self) -> str:
        """An address of the workspace that ends like Azure's: the SDK calls `az` only for these.

        For a complete Azure address, set HTTP_PROXY to `host`, which answers for any host.
        """
        return self.host + AZURE_PREFIX

    @property
    def token(self) -> str:
        """A personal access token of the service principal."""
        return self.identity.token

    @property
    def person_token(self) -> str:
        """A personal access token of the person."""
        return self.identity.person_token

    @property
    def expired_token(self) -> str:
        """A token that has expired."""
        return self.identity.expired_token

    @property
    def aad_token(self) -> str:
        """Entra ID's token of the service principal, as `az` gives it."""
        return self.identity.aad_token

    @property
    def client_id(self) -> str:
        """The application id of the service principal."""
        return self.identity.client_id

    @property
    def client_secret(self) -> str:
        """The secret of the service principal."""
        return self.identity.client_secret

    @property
    def secrets(self) -> tuple[str, ...]:
        """Credentials, none of which may appear in a log, an exception, a notebook or a report."""
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
        """All runs by their id."""
        return self._runs.runs

    @property
    def requests(self) -> list[str]:
        """Each request's method and path, as in "POST /api/2.2/jobs/runs/submit"."""
        return self._site.requests

    @property
    def routes(self) -> list[Route]:
        """The endpoints, without those of MLflow."""
        return self._site.routes

    @property
    def unknown(self) -> list[str]:
        """Requests for an endpoint that does not exist."""
        return self._site.unknown

    @property
    def clusters(self) -> dict[str, dict[str, Any]]:
        """The clusters by their id."""
        return self._clusters.clusters

    @property
    def cluster_starts(self) -> int:
        """How often compute was started."""
        return self._clusters.starts

    @property
    def grants(self) -> Grants:
        """The privileges on each securable."""
        return self.catalog.grants

    @property
    def forbidden_folders(self) -> set[str]:
        """Folders where the caller may not write."""
        return self.files.forbidden_folders

    @property
    def commits(self) -> set[str]:
        """The commits that git_source finds."""
        return self.execution.preparation.commits

    @property
    def repositories(self) -> dict[str, Path]:
        """The local repository behind each address."""
        return self.execution.preparation.repositories

    @property
    def git_credentials(self) -> list[dict[str, Any]]:
        """The Git credentials of the service principal."""
        return self.execution.preparation.git_credentials

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome of a task that is not executed, by its key.

        SUCCESS, FAILED, SKIPPED, TIMEDOUT, CANCELED or INTERNAL_ERROR.
        """
        return self.execution.outcomes

    @property
    def results(self) -> dict[str, str]:
        """The value that a task which is not executed passes to dbutils.notebook.exit."""
        return self.execution.results

    @property
    def errors(self) -> dict[str, str]:
        """The error of a task that is not executed, as in "WorkshopError: …"."""
        return self.execution.errors

    @property
    def executed(self) -> dict[tuple[int, str], Path]:
        """The executed notebook of each task, by the run's id and the task's key."""
        return self.execution.executed

    def active_runs(self) -> list[Run]:
        """Return the runs that have not ended."""
        return self._runs.active()

    def hold(self, task_key: str) -> None:
        """Keep this task PENDING, when its turn comes, until it is released."""
        self.execution.hold(task_key)

    def release(self, task_key: str) -> None:
        """Release a task that was held."""
        self.execution.release(task_key)

    def wait_for(self, run_id: int, *life_cycle_states: str, timeout: float = 60) -> Run:
        """Wait until the run has one of these states, or has ended if no state is passed."""
        return self.execution.wait_for(self.runs[run_id], life_cycle_states, timeout)

    def fail_next(self, pattern: str, **options: Any) -> None:
        """Answer the next requests that match with an error; the options are those of `Faults.fail_next`."""
        self._site.faults.fail_next(pattern, **options)

    def set_clock(self, seconds_ahead: float) -> None:
        """Set the workspace's clock ahead of this machine's."""
        self._site.clock_ahead = seconds_ahead

    def azure_devops_environment(self) -> dict[str, str]:
        """Return the variables that an Azure pipeline's job gives to a step that maps System.AccessToken."""
        return self.identity.azure_devops_environment()


@contextmanager
def running(  # noqa: PLR0913  # each is a part of a workspace
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
    """Serve a workspace until the end of the block, and leave no process behind.

    Args:
        folder: keeps the content of the workspace; it need not exist.
        mlflow_uri: the server behind its MLflow; without one, MLflow's paths do not exist.
        clusters: those that exist, by their ids, as in {"0923-1": {"state": "RUNNING", "permitted": True}}.
        grants: the securables of Unity Catalog and the privileges on them; by default, `everything()`.
        repositories: the local repository behind each address that git_source may name.
        commits: the commits that git_source finds; by default, all of the local repositories.
        git_credentials: those of the service principal; by default, one for Azure DevOps.
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
    listed = subprocess.run(
        ["git", "-C", repository, "rev-list", "--all"], capture_output=True, text=True, check=True, timeout=60
    )
    return listed.stdout.split()


def _mlflow(uri: str | None, folder: Path, files: WorkspaceFiles, catalog: Catalog) -> AnswerMlflow:
    """Return the handler of MLflow's calls: the registry, for a caller with the privileges."""
    if uri is None:
        return lambda _: None
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
