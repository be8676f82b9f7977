"""Checks of a workspace, before anything is submitted to it."""

import os
import time
import uuid
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from functools import partial
from importlib.metadata import version

import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service.compute import State

from workshop.core.errors import WorkshopError
from workshop.core.provenance import git_commit
from workshop.core.settings import current_settings
from workshop.databricks import job, upload
from workshop.databricks.credentials import ASK_THE_DOCTOR
from workshop.databricks.errors import explained, quoted
from workshop.databricks.settings import (
    PREFIX,
    DatabricksSettings,
    databricks_settings,
    misspelt_variables,
    require_location,
)
from workshop.databricks.sign_in import Identity, check_host, require_service_principal, sign_in, who
from workshop.doctor import federation
from workshop.doctor.catalog import Holdings, or_none
from workshop.doctor.report import Note, Report

_SECONDS_TO_RETRY = 20
_SECONDS_TO_ANSWER = 20
_MOST_SECONDS_OFF = 300


def examine(report: Report, model: str) -> None:
    """Check everything that a run in the workspace needs, with the registered model of that name."""
    visit = _Visit(model)
    signed_in = ["settings", "sign-in"]

    def check(name: str, look: Callable[[], str], needs: Iterable[str] = ()) -> None:
        report.check(name, partial(_explained, name, look), needs=needs)

    def of(look: Callable[[Holdings], str]) -> Callable[[], str]:
        return lambda: look(visit.holdings)

    check("versions", versions)
    check("settings", visit.read_settings)
    check("clock", visit.clock)
    check("sign-in", visit.sign_in)
    check("service principal", visit.service_principal, needs=["sign-in"])
    check("compute", visit.compute, needs=signed_in)
    check("code", visit.code, needs=signed_in)
    check("workspace folder", visit.folder, needs=signed_in)
    check("experiments", visit.experiments, needs=signed_in)
    check("catalog", of(Holdings.catalog), needs=signed_in)
    check("schema", of(Holdings.schema), needs=[*signed_in, "catalog"])
    check("volume", of(Holdings.volume), needs=[*signed_in, "catalog", "schema"])
    check("tables", of(Holdings.tables), needs=[*signed_in, "catalog", "schema"])
    check("wines", of(Holdings.wines), needs=[*signed_in, "catalog", "schema", "volume", "tables"])
    check("model", of(Holdings.registered_model), needs=signed_in)


def _explained(name: str, look: Callable[[], str]) -> str:
    """Run a check; an error of the service or the network, or an unknown answer, becomes one sentence."""
    with explained(f"check the {name}"):
        return look()


def versions() -> str:
    """Return the versions of the packages that connect to the workspace."""
    return ", ".join(f"{name} {version(name)}" for name in ("databricks-sdk", "mlflow", "workshop"))


class _Visit:
    """The results of earlier checks, for later ones."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._tables = ""
        self._settings: DatabricksSettings | None = None
        self._client: WorkspaceClient | None = None
        self._identity: Identity | None = None

    def read_settings(self) -> str:
        settings, self._tables = databricks_settings(), current_settings().tables
        require_location(settings)
        self._settings = settings
        chosen = f"compute {settings.compute}, code by {settings.code}, tables in {self._tables or settings.home}"
        misspelt = misspelt_variables()
        return Note("; ".join([*misspelt, chosen])) if misspelt else chosen

    def clock(self) -> str:
        host = os.environ.get("DATABRICKS_HOST") or (self._here.config.host if self._client is not None else "")
        if not host:
            return Note("compared only where DATABRICKS_HOST is set")
        check_host(host)
        host = host if "://" in host else f"https://{host}"
        try:
            answer = requests.get(f"{host}/.well-known/databricks-config", timeout=_SECONDS_TO_ANSWER)
        except requests.RequestException:
            return Note("not compared: the workspace does not answer")  # the check of the sign-in reports why
        if "Date" not in answer.headers:
            return Note("not compared: the workspace's answer has no time")
        off = _now() - parsedate_to_datetime(answer.headers["Date"]).timestamp()
        if abs(off) > _MOST_SECONDS_OFF:
            raise WorkshopError(
                f"this machine's clock is {abs(off) / 60:.0f} minutes {'fast' if off > 0 else 'slow'}, so tokens "
                "may be refused: set it, for example by NTP."
            )
        return f"right within {max(abs(off), 1):.0f} s"

    def sign_in(self) -> str:
        try:
            self._client = sign_in(retry_seconds=_SECONDS_TO_RETRY)
        except WorkshopError as error:
            trust = federation.of_this_job() if os.environ.get("DATABRICKS_AUTH_TYPE") == "azure-devops-oidc" else None
            if trust is None:
                raise
            refused = str(error).removesuffix(f"; {ASK_THE_DOCTOR}.")
            raise WorkshopError(f"{refused}; {federation.explain_this_job(trust)}.") from error
        self._identity = who(self._client)
        config = self._client.config
        return f"{self._identity.name} ({self._identity.principal}) at {config.host}, by {config.auth_type}"

    def service_principal(self) -> str:
        note = require_service_principal(self._me)
        return Note(note) if note else f"{self._me.name} is one"

    def compute(self) -> str:
        settings = self._set
        if settings.compute == "serverless":
            return Note("serverless: only the first run shows whether it is enabled")
        if settings.compute == "job_cluster":
            job.require_job_id(settings)
            job.require_deployed(self._here, settings.job_id, git_commit())
            return Note(f"the job {settings.job_id} is deployed; the first run shows whether its cluster may start")
        return self._cluster(settings.cluster_id)

    def _cluster(self, cluster_id: str) -> str:
        with explained(f"use the cluster {cluster_id}"):
            try:
                cluster = or_none(lambda: self._here.clusters.get(cluster_id))
            except PermissionDenied as error:
                raise WorkshopError(
                    f"{self._me.name} may not use the cluster {cluster_id} ({quoted(error)}): ask a user who "
                    "manages it for CAN RESTART (Compute > the cluster > Permissions), or set "
                    f"{PREFIX}CLUSTER_ID to another."
                ) from error
        if cluster is None:
            raise WorkshopError(f"there is no cluster {cluster_id}: set {PREFIX}CLUSTER_ID to an existing one.")
        name, state = cluster.cluster_name or cluster_id, cluster.state
        if state in (State.ERROR, State.UNKNOWN):
            raise WorkshopError(f"the cluster {name} is in the state {state.value}: repair it, or take another.")
        if state is not State.RUNNING:
            shown = state.value if state is not None else "unknown"
            return Note(f"the cluster {name} is {shown}: the run starts it in about five minutes; needs CAN RESTART")
        return f"the cluster {name} runs"

    def code(self) -> str:
        commit = git_commit()
        upload.require_clean(commit)
        settings = self._set
        if settings.code == "upload":
            return f"the commit {commit[:12]} is uploaded"
        upload.require_pushed(commit, settings.git_url)
        with explained("list the Git credentials"):
            providers = {str(each.git_provider).lower() for each in self._here.git_credentials.list()}
        if settings.git_provider.lower() not in providers:
            raise WorkshopError(
                f"{self._me.name} has no Git credential for {settings.git_provider}, so Databricks can fetch public "
                f"repositories only: add one, or set {PREFIX}CODE=upload."
            )
        return f"the commit {commit[:12]} is pushed, and there is a Git credential for {settings.git_provider}"

    def folder(self) -> str:
        return self._writable(self._set.folder, f"{PREFIX}FOLDER")

    def experiments(self) -> str:
        return self._writable(current_settings().experiments, "WORKSHOP_EXPERIMENTS")

    def _writable(self, folder: str, variable: str) -> str:
        """Check a folder by creating one in it, as a run does, and removing it."""
        probe = f"{folder}/.doctor-{uuid.uuid4().hex[:8]}"
        with explained(f"make a folder in {folder}"):
            try:
                self._here.workspace.mkdirs(probe)
                self._here.workspace.delete(probe, recursive=True)
            except PermissionDenied as error:
                raise WorkshopError(
                    f"{self._me.name} may not write to {folder} ({quoted(error)}): ask a user who manages "
                    f"that folder for CAN MANAGE (Workspace > the folder > Share), or set {variable} to another."
                ) from error
        return f"{folder} is writable"

    @property
    def holdings(self) -> Holdings:
        """The tables and the model of a run."""
        return Holdings(self._here, self._me, self._set.home, self._tables, self._model)

    @property
    def _here(self) -> WorkspaceClient:
        assert self._client is not None, "the check must list sign-in in `needs`"
        return self._client

    @property
    def _me(self) -> Identity:
        assert self._identity is not None, "the check must list sign-in in `needs`"
        return self._identity

    @property
    def _set(self) -> DatabricksSettings:
        assert self._settings is not None, "the check must list settings in `needs`"
        return self._settings


def _now() -> float:
    return time.time()
