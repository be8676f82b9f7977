import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from tests.support.models import MODEL, refusal
from workshop.core.promotion import lease
from workshop.core.promotion.lease import Lease, NoLease
from workshop.core.registry import mlflow_store

NAME = f"{MODEL}/lease"


@pytest.fixture(autouse=True)
def shared(empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A store that counts as shared, as if it were on a server that other machines use too."""
    monkeypatch.setattr(mlflow_store, "is_embedded", lambda settings: False)
    return empty_registry


@contextmanager
def another_machine(folder: Path) -> Iterator[None]:
    """Run the block as on another machine, which shares only the registry."""
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("WORKSHOP_HOME", str(folder))
        yield


def names(client: MlflowClient) -> list[str]:
    return [each.name for each in client.search_experiments(view_type=ViewType.ACTIVE_ONLY) if each.name != "Default"]


def test_a_lease_is_an_experiment_while_it_is_held(shared: MlflowClient) -> None:
    with lease.exclusive(shared, MODEL) as held:
        assert names(shared) == [NAME]
        held.renew()
    assert names(shared) == []
    (ended,) = shared.search_experiments(view_type=ViewType.DELETED_ONLY)
    assert ended.name == f"{NAME} {ended.experiment_id}"  # not below NAME: on Databricks an experiment is no folder
    with lease.exclusive(shared, MODEL):
        assert names(shared) == [NAME]


def test_an_embedded_store_needs_no_lease(shared: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_store, "is_embedded", lambda settings: True)
    with lease.exclusive(shared, MODEL) as held:
        assert isinstance(held, NoLease)
        held.renew()
        assert names(shared) == []


def test_another_machine_waits_until_the_lease_is_returned(shared: MlflowClient) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def wait_for_it() -> None:
        waiting.set()
        taken = lease._take(shared, NAME, "another machine")
        order.append("second")
        taken.give_back()

    with lease.exclusive(shared, MODEL):
        other = threading.Thread(target=wait_for_it)
        other.start()
        waiting.wait()
        other.join(timeout=0.5)  # long enough to take the lease, if that were possible
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_lease_of_a_dead_process_of_this_machine_is_broken_at_once(shared: MlflowClient) -> None:
    with lease.exclusive(shared, MODEL):
        pass
    dead = lease._take(shared, NAME, lease._owner())
    with lease.exclusive(shared, MODEL) as held:
        held.renew()
        with refusal("stood still", "run it again"):
            dead.renew()
    assert names(shared) == []


def test_a_lease_of_a_dead_machine_is_broken_after_its_time(
    shared: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.3)
    dead = lease._take(shared, NAME, "another machine")
    with lease.exclusive(shared, MODEL) as held, another_machine(tmp_path / "elsewhere"):
        held.renew()
        with refusal("stood still"):
            dead.renew()
        dead.give_back()  # without effect on its successor
        held.renew()


def test_a_lease_that_is_renewed_is_not_broken(
    shared: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.4)
    monkeypatch.setattr(lease, "_SECONDS_TO_WAIT", 0.8)
    alive, done = lease._take(shared, NAME, "another machine"), threading.Event()

    def beat() -> None:
        while not done.wait(0.05):
            alive.renew()

    beating = threading.Thread(target=beat)
    beating.start()
    try:
        with refusal("Other machines", NAME, "run again"), lease.exclusive(shared, MODEL):
            pass
        alive.renew()
    finally:
        done.set()
        beating.join()


def test_of_two_processes_that_break_the_same_lease_only_one_gets_it(shared: MlflowClient) -> None:
    dead = lease._take(shared, NAME, "dead")
    lease._end(shared, NAME, dead._id)
    first = lease._take(shared, NAME, "first")
    lease._end(shared, NAME, dead._id)  # the second breaks the lease that it has watched, which is not the first's
    first.renew()
    assert lease._create(shared, NAME, {}) is None


def test_a_lease_that_was_deleted_by_hand_is_broken(shared: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.2)
    left = lease._take(shared, NAME, "another machine")
    shared.delete_experiment(left._id)
    with lease.exclusive(shared, MODEL) as held:
        assert isinstance(held, Lease)
        held.renew()


def test_a_lease_that_was_deleted_by_hand_is_no_longer_held(shared: MlflowClient) -> None:
    held = lease._take(shared, NAME, "us")
    shared.delete_experiment(held._id)
    with refusal("stood still", "run it again"):
        held.renew()


def test_of_many_processes_one_holds_the_lease_at_a_time(shared: MlflowClient) -> None:
    inside, most = [], []

    def take(number: int) -> None:
        held = lease._take(shared, NAME, f"machine {number}")
        inside.append(number)
        most.append(len(inside))
        inside.remove(number)
        held.give_back()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_a_lease_is_held_even_if_the_answer_of_its_creation_was_lost(
    shared: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = shared.create_experiment

    def create_twice(name: str, **named: object) -> str:
        create(name, **named)  # type: ignore[arg-type]  # the answer is lost, and the client retries
        return create(name, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(shared, "create_experiment", create_twice)
    lease._take(shared, NAME, "us").renew()


def test_another_experiment_with_the_name_of_the_lease_is_left_alone(
    shared: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SECONDS", 0.2)
    shared.create_experiment(NAME)
    with refusal("is not one", "rename it"), lease.exclusive(shared, MODEL):
        pass
    assert names(shared) == [NAME]


def test_a_copied_home_is_another_owner(home: Path, tmp_path: Path) -> None:
    owner = lease._owner()
    shutil.copytree(home, tmp_path / "copy")
    with another_machine(tmp_path / "copy"):
        assert lease._owner() != owner
    assert lease._owner() == owner


def test_a_shared_registry_with_a_local_history_is_refused(
    shared: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://registry.example")
    with refusal("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"), lease.exclusive(shared, MODEL):
        pass
