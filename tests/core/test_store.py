import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
import requests
from databricks.sdk.errors.platform import InternalError, NotFound, PermissionDenied
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from tests.core.first_use import connect_with_others
from tests.core.helpers import MODEL, refusal
from workshop.core import store
from workshop.core.errors import WorkshopError
from workshop.core.settings import current_settings
from workshop.core.slots import Slot, open_slots

# Where the store is


def test_the_embedded_store_is_a_file_in_the_home(home: Path) -> None:
    settings = current_settings()
    assert store.tracking_uri() == store.embedded_uri(settings)
    assert (home / "mlflow.db").as_posix() in store.embedded_uri(settings)
    assert store.is_embedded(settings)


def test_the_environment_can_name_another_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store.tracking_uri() == "http://127.0.0.1:5000"
    assert not store.is_embedded(current_settings())


def test_an_empty_variable_names_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert store.is_embedded(current_settings())


@pytest.mark.parametrize(
    ("slots", "registry"), [("alias", "databricks-uc"), ("stage", "databricks")], ids=["Unity Catalog", "workspace"]
)
def test_on_databricks_the_store_is_the_workspace(monkeypatch: pytest.MonkeyPatch, slots: str, registry: str) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4")
    monkeypatch.setenv("WORKSHOP_SLOTS", slots)
    assert store.tracking_uri() == "databricks"
    assert not store.is_embedded(current_settings())
    assert store._registry_uri("databricks") == registry


def test_another_store_can_be_named_on_databricks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store.tracking_uri() == "http://127.0.0.1:5000"


def test_a_registry_that_is_named_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store._registry_written_last, "uri", "")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc://other")
    assert store._registry_uri("databricks") == "databricks-uc://other"


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
    assert store.experiment_name("wine_quality/dev-ann") == name


# The embedded store


def test_the_embedded_store_is_made_on_first_use(home: Path) -> None:
    client = store.connect()
    assert (home / "mlflow.db").is_file()
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == store.embedded_uri(current_settings())


def test_what_one_connection_writes_the_next_one_reads(empty_registry: MlflowClient) -> None:
    empty_registry.create_registered_model(MODEL)
    assert store.connect().get_registered_model(MODEL).name == MODEL


def test_the_registry_can_be_another_than_the_tracking_store(
    empty_registry: MlflowClient, fresh_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tmp_path / "registry.db"
    registry.write_bytes(fresh_store.read_bytes())
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{registry.as_posix()}")
    store.connect().create_registered_model(MODEL)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "")
    assert list(store.connect().search_registered_models()) == []


@pytest.mark.parametrize("place", ["the home", "above the home"])
def test_a_file_where_the_home_should_be_is_explained(home: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("not a folder")
    if place == "above the home":
        monkeypatch.setenv("WORKSHOP_HOME", str(home / "below"))
    with refusal(str(home), "WORKSHOP_HOME="):
        store.connect()


def test_a_damaged_store_is_explained(home: Path) -> None:
    home.mkdir()
    (home / "mlflow.db").write_bytes(b"this is not a database" * 500)
    with refusal("MLflow", "not a database"):
        store.connect()


@pytest.mark.parametrize("uri", ["foo://somewhere", "./mlruns"])
def test_a_store_that_mlflow_does_not_know_is_explained(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal("MLflow"):
        store.connect()


def test_a_registry_that_mlflow_does_not_know_is_explained(
    empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "foo://somewhere")
    with refusal("MLflow", "foo://somewhere"):
        open_slots(store.connect(), MODEL).holder(Slot.PRODUCTION)


@pytest.mark.integration
def test_several_processes_can_be_the_first_at_the_same_time(home: Path) -> None:
    several = 4
    # One process imports MLflow, the others are forked from it, so that all begin at the same moment.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["workshop.core.store"])
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


# A server


@pytest.fixture
def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which connections are taken and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield int(listener.getsockname()[1])


class Server(ThreadingHTTPServer):
    """Answers `health` to a health check, and `otherwise` to everything else; silence where it is None."""

    daemon_threads = True

    def __init__(self, health: int | None = 200, otherwise: int | None = 500) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.health, self.otherwise = health, otherwise
        self.asked: list[str] = []
        self.closing = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status = self.server.health if self.path == "/health" else self.server.otherwise
        if status is None:
            self.server.closing.wait()
            return
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>\n<h1>Welcome</h1>\n</html>")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server that the environment names."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.uri)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


@pytest.mark.integration
def test_a_server_that_is_down_is_named(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with refusal(f"no MLflow server at {uri}", "start it", "unset MLFLOW_TRACKING_URI"):
        store.connect()


@pytest.mark.integration
def test_a_server_that_never_answers_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{silent_port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(store, "_SECONDS_TO_ANSWER", 0.2)
    with refusal(uri, "did not answer within 0.2 seconds", "unset MLFLOW_TRACKING_URI"):
        store.connect()


@pytest.mark.integration
@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_is_ill_is_named(server: Server, status: int) -> None:
    server.health = status
    with refusal(server.uri, f"error {status}", "unset MLFLOW_TRACKING_URI"):
        store.connect()
    assert server.asked == ["/health"]


@pytest.mark.integration
@pytest.mark.parametrize("status", [200, 403, 404, 500], ids=lambda status: f"{status}")
def test_a_server_that_is_no_mlflow_server_is_explained(server: Server, status: int) -> None:
    server.otherwise = status
    with refusal("MLflow could not open its store"):
        store.connect()
    assert len(server.asked) > 1


@pytest.mark.integration
def test_a_server_that_stops_answering_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    server.otherwise = None
    with refusal("MLflow could not open its store"):
        store.connect()


@pytest.mark.integration
def test_a_gateway_without_a_health_page_may_be_an_mlflow_server(server: Server) -> None:
    server.health = 404
    with refusal("MLflow could not open its store"):
        store.connect()
    assert any("experiments" in path for path in server.asked)


@pytest.mark.integration
def test_a_server_is_given_up_sooner_than_mlflow_would_unless_the_team_has_said_how_soon(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with pytest.raises(WorkshopError):
        store.connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) < 7


# Experiments


def test_each_run_name_has_an_experiment_of_its_own(empty_registry: MlflowClient) -> None:
    ann, ben = (store.use_experiment(empty_registry, MODEL, name) for name in ("dev-ann", "dev-ben"))
    assert ann != ben
    assert store.use_experiment(empty_registry, MODEL, "dev-ann") == ann
    assert empty_registry.get_experiment(ann).name == f"{MODEL}/dev-ann"


def test_runs_go_to_the_experiment_in_use(empty_registry: MlflowClient) -> None:
    experiment = store.use_experiment(empty_registry, MODEL, "dev-ann")
    with mlflow.start_run() as run:
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
    store.use_experiment(store.connect(), MODEL, "dev-ann")
    with mlflow.start_run():
        mlflow.log_text("a fine year", "note.txt")
    assert [note.read_text() for note in home.rglob("note.txt")] == ["a fine year"]
    assert list(elsewhere.iterdir()) == []


def test_an_experiment_that_another_process_makes_meanwhile_is_used(
    empty_registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.use_experiment(empty_registry, MODEL, "dev-ann")
    look, not_yet = empty_registry.get_experiment_by_name, [None]
    monkeypatch.setattr(empty_registry, "get_experiment_by_name", lambda name: not_yet.pop() if not_yet else look(name))
    assert store.use_experiment(empty_registry, MODEL, "dev-ann") == made


def test_a_deleted_experiment_is_explained(empty_registry: MlflowClient) -> None:
    experiment = store.use_experiment(empty_registry, MODEL, "dev-ann")
    empty_registry.delete_experiment(experiment)
    with refusal(f"{MODEL}/dev-ann", "deleted"):
        store.use_experiment(empty_registry, MODEL, "dev-ann")


# Errors


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MlflowException("No such model.\nTraceback: …"), ["MLflow could not pour: No such model."]),
        (MlflowException(""), ["MLflow could not pour"]),
        (OperationalError("SELECT 1", {}, Exception("database is locked")), ["its database says", "locked"]),
        (requests.ConnectionError("refused"), ["its server does not answer", "refused"]),
        (requests.Timeout("read timed out"), ["its server does not answer", "timed out"]),
        (PermissionError(13, "Permission denied", "some/file"), ["some/file", "WORKSHOP_HOME="]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_mlflow_raises_becomes_one_sentence(error: Exception, words: list[str]) -> None:
    with refusal(*words) as caught, store.explained("pour"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PermissionDenied("User does not have USE SCHEMA. Config: host=h", error_code="PERMISSION_DENIED"),
            ["let you"],
        ),
        (TimeoutError("Timed out after 0:01:00"), ["does not answer", "network"]),
        (NotFound("Schema 'a.b' does not exist.", error_code="SCHEMA_DOES_NOT_EXIST"), ["schema made", "model_name"]),
        (InternalError("Oops", error_code="INTERNAL_ERROR"), ["Databricks says: Oops"]),
    ],
)
def test_what_the_library_of_databricks_raises_becomes_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: list[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("could not look", *words) as caught, store.explained("look"):
        raise error
    assert "host=" not in str(caught.value)


def test_a_file_that_is_not_there_is_explained_as_anywhere_on_databricks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with refusal("nowhere.txt", "WORKSHOP_HOME"), store.explained("look"):
        Path("nowhere.txt").read_text()


def test_a_very_long_answer_is_cut() -> None:
    with refusal("MLflow could not pour"), store.explained("pour"):
        raise MlflowException("wine " * 1_000)


@pytest.mark.parametrize("error", [WorkshopError("The glass is full."), KeyError("glass"), KeyboardInterrupt()])
def test_what_is_not_mlflows_passes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, store.explained("pour"):
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens() -> None:
    with store.explained("pour"):
        poured = True
    assert poured


def test_a_password_in_the_servers_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2@127.0.0.1:9")
    with refusal("no MLflow server at http://127.0.0.1:9") as caught:
        store.connect()
    assert "hunter2" not in str(caught.value)
