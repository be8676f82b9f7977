"""A lease on a model's slots: one machine at a time, through nothing but the registry that the machines share.

A lock file reaches one machine. MLflow has no locks, and its calls that move a slot take no expected holder; but an
experiment's name can be created only once, so creating it takes the lease, and renaming it gives the lease back. An
experiment keeps its id when it is renamed, so a lease that is broken is that one and not the next.

Nobody's clock is compared with anybody else's: a lease is broken by whoever has watched it for `SECONDS` without its
owner renewing it, and an owner renews it right before the one call that it is held for. So a lease that outlives its
owner holds nobody up for longer than that.
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

from workshop.core.errors import WorkshopError
from workshop.core.registry import mlflow_store
from workshop.core.registry.databricks_errors import require_folder
from workshop.core.registry.mlflow_store import explained
from workshop.core.settings import current_settings

SECONDS = 90
"""How long a lease lasts without being renewed: longer than one call can take, with its time-outs and retries."""
_PATIENCE = 60
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
        """Make sure that it is still ours, for another `SECONDS`.

        Raises:
            WorkshopError: this process was away for so long that another has taken it.
        """
        self._require_that_it_is_ours()
        with explained(f"renew the lease {self._name}"):
            self._client.set_experiment_tag(self._id, _BEAT_TAG, uuid.uuid4().hex)
        self._require_that_it_is_ours()  # it may have been broken between the two

    def give_back(self) -> None:
        """Let others have it."""
        _end(self._client, self._name, self._id)

    def _require_that_it_is_ours(self) -> None:
        with explained(f"look at the lease {self._name}"):
            experiment = self._client.get_experiment(self._id)
        # On Databricks the name of a deleted experiment is free, and another may have taken the lease with it.
        if experiment.name != self._name or experiment.lifecycle_stage == LifecycleStage.DELETED:
            raise WorkshopError(
                "This run stood still for so long that another one has taken its turn at the slots: run it again."
            )


class NoLease(Lease):
    """Where only one machine can reach the store, whose lock file is enough."""

    def __init__(self) -> None:
        """There is nothing to hold."""

    def renew(self) -> None:
        """Nobody can have taken it."""

    def give_back(self) -> None:
        """Nobody waits for it."""


@contextmanager
def exclusive(client: MlflowClient, model_name: str) -> Iterator[Lease]:
    """Hold the slots of a model, against other processes of this machine and against other machines.

    Raises:
        WorkshopError: others hold them for too long.
    """
    settings = current_settings()
    with FileLock(settings.lock_file(f"slots-{model_name}"), timeout=_PATIENCE):
        if mlflow_store.is_embedded(settings) and not mlflow_store.registry_is_embedded(settings):
            raise WorkshopError(
                "Models are recorded in a registry that others may share (MLFLOW_REGISTRY_URI), but the history and "
                "the lease that go with them only on this machine: set MLFLOW_TRACKING_URI to a shared server too."
            )
        lease = NoLease() if mlflow_store.is_embedded(settings) else _take(client, _name(model_name), _owner())
        try:
            yield lease
        finally:
            # Whoever comes next breaks a lease that could not be given back; what was done under it stands.
            with suppress(WorkshopError):
                lease.give_back()


def _name(model_name: str) -> str:
    return mlflow_store.experiment_name(f"{model_name}/lease")


def _take(client: MlflowClient, name: str, owner: str) -> Lease:
    deadline = time.monotonic() + SECONDS + _PATIENCE
    watched: tuple[str, str | None] | None = None
    since, beat = time.monotonic(), uuid.uuid4().hex
    while time.monotonic() < deadline:
        if (created := _create(client, name, {_OWNER_TAG: owner, _BEAT_TAG: beat})) is not None:
            return Lease(client, name, created)
        with explained(f"look at the lease {name}"):
            held = client.get_experiment_by_name(name)
        if held is None:
            continue  # it was given back just now
        if held.tags.get(_BEAT_TAG) == beat:  # the registry's answer was lost, and its client asked again
            return Lease(client, name, held.experiment_id)
        now = (held.experiment_id, held.tags.get(_BEAT_TAG))
        if now != watched:
            watched, since = now, time.monotonic()
        # Of this machine and home, only the holder of the lock file can have an owner's business: a former one is dead.
        if held.tags.get(_OWNER_TAG) == owner or time.monotonic() - since >= SECONDS:
            if _OWNER_TAG not in held.tags:
                raise WorkshopError(f"The experiment {name} is not a lease, whose name it has: rename it.")
            # Somebody else may be breaking it too; if the registry is away, the next call says so.
            with suppress(WorkshopError):
                _end(client, name, held.experiment_id)
            continue
        threading.Event().wait(_PAUSE)
    raise WorkshopError(
        f"Other machines have held the lease {name} for over {SECONDS + _PATIENCE} seconds: "
        "wait for them to end, then run again."
    )


def _create(client: MlflowClient, name: str, tags: dict[str, str]) -> str | None:
    """The id of the experiment that is the lease, or None where somebody holds it."""
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
    """Free the name of this very lease, if that is not done yet, and put its experiment away."""
    with explained(f"give the lease {name} back"):
        experiment: Experiment = client.get_experiment(experiment_id)
        if experiment.name != name:
            return
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_experiment(experiment_id)  # somebody deleted it, which leaves its name taken
        # No run name has a space, so no participant's has this name; nor is it below the lease's, as in a folder.
        client.rename_experiment(experiment_id, f"{name} {experiment_id}")
        client.delete_experiment(experiment_id)


def _owner() -> str:
    """A name for this machine and home that no other has."""
    path = current_settings().lock_file("owner").with_suffix(".id")
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write(uuid.uuid4().hex)
    # A home can be copied, to a clone of the machine even; the copy is another file in another place.
    return f"{path.read_text(encoding='utf-8')} {platform.node()} {path} {path.stat().st_ino}"
