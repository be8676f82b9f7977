"""A lease on a model's slots: one machine at a time, using only the registry that the machines share.

A lock file protects one machine. MLflow has no locks, and its calls that move a slot take no expected holder. But an
experiment's name can be created only once: creating the experiment takes the lease, renaming it returns the lease. An
experiment keeps its id when it is renamed, so breaking a lease never breaks its successor.

The clocks of machines are never compared. A process breaks a lease after it has watched it for `SECONDS` without a
renewal, and an owner renews right before the one call that the lease protects. So the lease of a dead owner blocks
others for no longer than that.
"""

import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
from mlflow.exceptions import MlflowException
from typing_extensions import override

from workshop.core.errors import WorkshopError
from workshop.core.registry import mlflow_store
from workshop.core.registry.databricks_errors import require_folder
from workshop.core.registry.mlflow_store import explained
from workshop.core.settings import current_settings

SECONDS = 90
"""Life of a lease without renewal: longer than one call can take, with its time-outs and retries."""
_SECONDS_TO_WAIT = 60
_PAUSE = 0.2
_OWNER_TAG = "workshop.owner"
_BEAT_TAG = "workshop.beat"


class Lease:
    """A lease that this process holds."""

    def __init__(self, client: MlflowClient, name: str, experiment_id: str) -> None:
        self._client = client
        self._name = name
        self._id = experiment_id

    def renew(self) -> None:
        """Renew the lease for another `SECONDS`.

        Raises:
            WorkshopError: this process stood still for so long that another one has taken the lease.
        """
        with explained(f"renew the lease {self._name}"):
            try:
                self._client.set_experiment_tag(self._id, _BEAT_TAG, uuid.uuid4().hex)
            except MlflowException:  # MLflow sets no tag of a broken lease, whose experiment is deleted
                self._require_held()
                raise
        self._require_held()  # a renewal can come too late, and another process may have broken the lease since

    def give_back(self) -> None:
        """Return the lease, so that other processes can take it."""
        _end(self._client, self._name, self._id)

    def _require_held(self) -> None:
        with explained(f"read the lease {self._name}"):
            experiment = self._client.get_experiment(self._id)
        # On Databricks the name of a deleted experiment is free, and another may have taken the lease with it.
        if experiment.name != self._name or experiment.lifecycle_stage == LifecycleStage.DELETED:
            raise WorkshopError(
                "This run stood still for so long that another run has taken over the slots: run it again."
            )


class NoLease(Lease):
    """The lease of a store that only one machine can reach: the lock file is enough."""

    @override
    def __init__(self) -> None:
        pass

    @override
    def renew(self) -> None:
        pass

    @override
    def give_back(self) -> None:
        pass


@contextmanager
def exclusive(client: MlflowClient, model_name: str) -> Iterator[Lease]:
    """Hold the slots of a model, against other processes of this machine and against other machines.

    Raises:
        WorkshopError: other machines hold the slots for too long.
    """
    settings = current_settings()
    with FileLock(settings.lock_file(f"slots-{model_name}"), timeout=_SECONDS_TO_WAIT):
        mlflow_store.require_shared_history()
        lease = NoLease() if mlflow_store.is_embedded(settings) else _take(client, _name(model_name), _owner())
        try:
            yield lease
        finally:
            # The next process breaks a lease that could not be returned; what was done under it remains.
            with suppress(WorkshopError):
                lease.give_back()


def _name(model_name: str) -> str:
    return mlflow_store.experiment_name(f"{model_name}/lease")


def _take(client: MlflowClient, name: str, owner: str) -> Lease:
    deadline = time.monotonic() + SECONDS + _SECONDS_TO_WAIT
    watched: tuple[str, str | None] | None = None
    unchanged_since, beat = time.monotonic(), uuid.uuid4().hex
    while time.monotonic() < deadline:
        if (created := _create(client, name, {_OWNER_TAG: owner, _BEAT_TAG: beat})) is not None:
            return Lease(client, name, created)
        with explained(f"read the lease {name}"):
            held = client.get_experiment_by_name(name)
        if held is None:
            continue  # it was returned just now
        if held.tags.get(_BEAT_TAG) == beat:  # the registry's answer was lost, and its client retried
            return Lease(client, name, held.experiment_id)
        now = (held.experiment_id, held.tags.get(_BEAT_TAG))
        if now != watched:
            watched, unchanged_since = now, time.monotonic()
        # On this machine and home only one process holds the lock file, so an older owner with this name is dead.
        if held.tags.get(_OWNER_TAG) == owner or time.monotonic() - unchanged_since >= SECONDS:
            if _OWNER_TAG not in held.tags:
                raise WorkshopError(f"The experiment {name} has the name of a lease and is not one: rename it.")
            # Another process may be breaking it too; if the registry is unavailable, the next call raises.
            with suppress(WorkshopError):
                _end(client, name, held.experiment_id)
            continue
        threading.Event().wait(_PAUSE)
    raise WorkshopError(
        f"Other machines have held the lease {name} for over {SECONDS + _SECONDS_TO_WAIT} seconds: "
        "wait for them to end, then run again."
    )


def _create(client: MlflowClient, name: str, tags: dict[str, str]) -> str | None:
    """Create the experiment that is the lease and return its id; None if another process holds the lease."""
    with explained(f"take the lease {name}"):
        try:
            return str(client.create_experiment(name, tags=tags))
        except MlflowException as error:
            if name.startswith("/"):  # a path in the workspace of Databricks
                require_folder(name, error)
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return None


def _end(client: MlflowClient, name: str, experiment_id: str) -> None:
    """Free the name of this lease, unless it is free already, and delete its experiment."""
    with explained(f"give the lease {name} back"):
        experiment: Experiment = client.get_experiment(experiment_id)
        if experiment.name != name:
            return
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_experiment(experiment_id)  # deleting an experiment does not free its name
        # Run names have no space, so no run has an experiment of this name. It is not below the lease's path.
        client.rename_experiment(experiment_id, f"{name} {experiment_id}")
        client.delete_experiment(experiment_id)


def _owner() -> str:
    """Return a name that identifies this machine and home."""
    path = current_settings().lock_file("owner").with_suffix(".id")
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write(uuid.uuid4().hex)
    # A home can be copied, even to a clone of the machine: the copy of the file has another path or inode.
    return f"{path.read_text(encoding='utf-8')} {platform.node()} {path} {path.stat().st_ino}"
