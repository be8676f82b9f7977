import multiprocessing
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from tests.support.models import MODEL, refusal
from tests.support.simultaneous_connections import connect_with_others
from workshop.core.registry import mlflow_store
from workshop.core.registry.slots import Slot, open_slots
from workshop.core.settings import current_settings

# Where the store is


def test_the_embedded_store_is_a_file_in_the_home(home: Path) -> None:
    settings = current_settings()
    assert mlflow_store.tracking_uri() == mlflow_store.embedded_uri(settings)
    assert (home / "mlflow.db").as_posix() in mlflow_store.embedded_uri(settings)
    assert mlflow_store.is_embedded(settings)


def test_the_environment_can_name_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert mlflow_store.tracking_uri() == "http://127.0.0.1:5000"
    assert not mlflow_store.is_embedded(current_settings())


def test_an_empty_variable_names_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert mlflow_store.is_embedded(current_settings())


@pytest.mark.parametrize(
    ("slots", "registry"), [("alias", "databricks-uc"), ("stage", "databricks")], ids=["Unity Catalog", "workspace"]
)
def test_on_databricks_the_store_is_the_workspace(monkeypatch: pytest.MonkeyPatch, slots: str, registry: str) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4")
    monkeypatch.setenv("WORKSHOP_SLOTS", slots)
    assert mlflow_store.tracking_uri() == "databricks"
    assert not mlflow_store.is_embedded(current_settings())
    assert mlflow_store._registry_uri("databricks") == registry


def test_another_store_can_be_named_on_databricks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert mlflow_store.tracking_uri() == "http://127.0.0.1:5000"


def test_a_registry_that_is_named_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mlflow_store._registry_written_last, "uri", "")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc://other")
    assert mlflow_store._registry_uri("databricks") == "databricks-uc://other"


@pytest.mark.parametrize(
    ("uri", "folder", "name"),
    [
        ("http://127.0.0.1:5000", "", "wine_quality/dev-ann"),
        ("databricks", "", "/Shared/workshop/wine_quality/dev-ann"),
        ("databricks://profile", "/Users/ann@example.com", "/Users/ann@example.com/wine_quality/dev-ann"),
        ("databricks", "/Workspace/Shared/wines/", "/Shared/wines/wine_quality/dev-ann"),
        ("databricks", "Shared", "/Shared/wine_quality/dev-ann"),
        ("databricks", "/", "/wine_quality/dev-ann"),
    ],
)
def test_an_experiment_is_a_path_in_the_workspace_on_databricks(
    monkeypatch: pytest.MonkeyPatch, uri: str, folder: str, name: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("WORKSHOP_EXPERIMENTS", folder)
    assert mlflow_store.experiment_name("wine_quality/dev-ann") == name


# The embedded store


def test_the_embedded_store_is_made_on_first_use(home: Path) -> None:
    client = mlflow_store.connect()
    assert (home / "mlflow.db").is_file()
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == mlflow_store.embedded_uri(current_settings())


def test_what_one_connection_writes_the_next_one_reads(empty_registry: MlflowClient) -> None:
    empty_registry.create_registered_model(MODEL)
    assert mlflow_store.connect().get_registered_model(MODEL).name == MODEL


def test_the_registry_can_be_another_than_the_tracking_store(
    empty_registry: MlflowClient, fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tmp_path / "registry.db"
    registry.write_bytes(fresh_store.read_bytes())
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{registry.as_posix()}")
    mlflow_store.connect().create_registered_model(MODEL)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "")
    assert list(mlflow_store.connect().search_registered_models()) == []


@pytest.mark.parametrize("place", ["the home", "above the home"])
def test_a_file_where_the_home_should_be_is_explained(home: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("not a folder")
    if place == "above the home":
        monkeypatch.setenv("WORKSHOP_HOME", str(home / "below"))
    with refusal(str(home), "WORKSHOP_HOME="):
        mlflow_store.connect()


def test_a_damaged_store_is_explained(home: Path) -> None:
    home.mkdir()
    (home / "mlflow.db").write_bytes(b"this is not a database" * 500)
    with refusal("MLflow", "not a database"):
        mlflow_store.connect()


@pytest.mark.parametrize("uri", ["foo://somewhere", "./mlruns"])
def test_a_store_that_mlflow_does_not_know_is_explained(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal("MLflow"):
        mlflow_store.connect()


@pytest.mark.parametrize("uri", ["127.0.0.1:5000", "localhost:5000/path", "mlflow.example.org:443"])
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])
def test_a_server_without_a_protocol_is_explained(variable: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, uri)
    with refusal(variable, "has no protocol", f"http://{uri}"):
        mlflow_store.connect()


def test_a_registry_that_mlflow_does_not_know_is_explained(
    empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "foo://somewhere")
    with refusal("MLflow", "foo://somewhere"):
        open_slots(mlflow_store.connect(), MODEL).holder(Slot.PRODUCTION)


@pytest.mark.integration
def test_several_processes_can_be_the_first_at_the_same_time(home: Path) -> None:
    several = 4
    # One process imports MLflow, the others are forked from it, so that all begin at the same moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workshop.core.registry.mlflow_store"])
    barrier, answers = context.Barrier(several), context.Queue()
    processes = [
        context.Process(target=connect_with_others, args=(barrier, str(home), answers)) for _ in range(several)
    ]
    for process in processes:
        process.start()
    assert {answers.get(timeout=60) for _ in processes} == {"Default"}
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * several


# Experiments


def test_each_run_name_has_an_experiment_of_its_own(empty_registry: MlflowClient) -> None:
    ann, ben = (mlflow_store.use_experiment(empty_registry, MODEL, name) for name in ("dev-ann", "dev-ben"))
    assert ann != ben
    assert mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann") == ann
    assert empty_registry.get_experiment(ann).name == f"{MODEL}/dev-ann"


def test_runs_go_to_the_experiment_in_use(empty_registry: MlflowClient) -> None:
    experiment = mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann")
    with mlflow.start_run() as run:
        assert run.info.experiment_id == experiment


def test_a_run_id_left_in_the_shell_names_no_run_of_ours(
    empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow_store.use_experiment(empty_registry, "wine_quality", "dev-ana")
    with mlflow.start_run() as left:
        pass
    for run_id in (left.info.run_id, "0" * 32):
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        experiment = mlflow_store.use_experiment(empty_registry, "wine_quality", "dev-ben")
        with mlflow.start_run() as run:
            assert run.info.run_id != run_id
            assert run.info.experiment_id == experiment


def test_artifacts_are_in_the_home_and_not_in_the_working_folder(
    tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "Weinkeller für Müller", tmp_path / "elsewhere"
    for folder in (home, elsewhere):
        folder.mkdir()
    (home / "mlflow.db").write_bytes(fresh_store.read_bytes())
    monkeypatch.setenv("WORKSHOP_HOME", str(home))
    monkeypatch.chdir(elsewhere)
    mlflow_store.use_experiment(mlflow_store.connect(), MODEL, "dev-ann")
    with mlflow.start_run():
        mlflow.log_text("a fine year", "note.txt")
    assert [note.read_text() for note in home.rglob("note.txt")] == ["a fine year"]
    assert list(elsewhere.iterdir()) == []


def test_an_experiment_that_another_process_makes_meanwhile_is_used(
    empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann")
    look, not_yet = empty_registry.get_experiment_by_name, [None]
    monkeypatch.setattr(empty_registry, "get_experiment_by_name", lambda name: not_yet.pop() if not_yet else look(name))
    assert mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann") == made


def test_a_deleted_experiment_is_explained(empty_registry: MlflowClient) -> None:
    experiment = mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann")
    empty_registry.delete_experiment(experiment)
    with refusal(f"{MODEL}/dev-ann", "deleted"):
        mlflow_store.use_experiment(empty_registry, MODEL, "dev-ann")


# The address of an SQLite file


@pytest.mark.parametrize(
    ("given", "absolute"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{folder}/mlflow.db"),
        ("sqlite:///./a/../b.db", "sqlite:///{folder}/a/../b.db"),
        ("sqlite:///b.db?timeout=60", "sqlite:///{folder}/b.db?timeout=60"),
        ("sqlite+pysqlite:///b.db", "sqlite+pysqlite:///{folder}/b.db"),
        ("sqlite:////srv/b.db", "sqlite:////srv/b.db"),
        ("sqlite:///~/b.db", "sqlite:///{home}/b.db"),
        (" sqlite:///b.db ", "sqlite:///{folder}/b.db"),
        ("SQLITE:///B.db", "sqlite:///{folder}/B.db"),
        ('"sqlite:///b.db"\n', "sqlite:///{folder}/b.db"),
        ("'HTTP://Host:5000'", "http://Host:5000"),
        ("Databricks\n", "databricks"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("databricks://profile", "databricks://profile"),
    ],
)
def test_a_relative_path_is_that_of_the_folder_where_the_command_was_typed(
    given: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", given)
    expected = absolute.format(folder=tmp_path.as_posix(), home=Path.home().as_posix())
    assert (mlflow_store.tracking_uri(), mlflow_store._registry_uri("")) == (expected, expected)


@pytest.mark.parametrize("uri", ["sqlite://b.db", "sqlite://srv/b.db", "sqlite:b.db", "sqlite:/b.db"])
def test_an_address_of_an_sqlite_file_without_three_slashes_is_refused(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal("MLFLOW_TRACKING_URI", uri, "sqlite:///PATH"):
        mlflow_store.tracking_uri()


@pytest.mark.parametrize(
    ("tracking", "registry", "is_refused"),
    [
        ("", "", False),
        ("", "http://registry.example", True),
        ("", "sqlite:////srv/registry.db", True),
        ("sqlite:////srv/runs.db", "postgresql://registry.example/db", True),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db?timeout=60", False),
        ("sqlite:////srv/runs.db", "sqlite:////srv/registry.db", False),
        ("http://runs.example", "http://registry.example", False),
        ("databricks", "", False),
    ],
)
def test_a_registry_that_may_be_shared_needs_a_history_that_is_shared(
    tracking: str, registry: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mlflow_store._registry_written_last, "uri", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    with refusal("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI") if is_refused else nullcontext():
        mlflow_store.require_shared_history()


@pytest.mark.parametrize(
    "uri",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true", "sqlite:///file:a?mode=memory&uri=true"],
)
def test_a_store_in_memory_is_refused(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal("MLFLOW_TRACKING_URI", "in memory", "sqlite:///PATH"):
        mlflow_store.connect()


def test_artifacts_of_a_named_sqlite_file_are_kept_beside_it(
    tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(fresh_store, tmp_path / "team.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///team.db")
    client = mlflow_store.connect()
    kept = client.get_experiment(mlflow_store.use_experiment(client, "wine_quality", "dev-ana"))
    assert kept.artifact_location.startswith((tmp_path / "mlruns").as_uri())
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{tmp_path.as_posix()}/team.db"
