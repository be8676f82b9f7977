"""Deliveries with the registries of Databricks: Unity Catalog, and the registry of the workspace."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from databricks_local.answers import Answer, Request
from databricks_local.mlflow_server import free_port, mlflow_server
from databricks_local.registry import Registry
from tests.conftest import isolated
from tests.support.databricks_registry import (
    FORBIDDEN,
    IN_THE_WORKSPACE,
    IN_UNITY_CATALOG,
    REFUSED,
    TOKEN,
    Workspace,
    register,
    serving,
)
from tests.support.models import refusal
from workshop.core.data import datasets
from workshop.core.data.originals import read_originals
from workshop.core.promotion import lease, manual
from workshop.core.promotion.history import History
from workshop.core.promotion.swap import DECISION_TAG, STATUS_TAG, turn
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import RUN_NAME_TAG, find_candidate, load_as_a_consumer
from workshop.core.registry.slots import Slot, Slots, open_slots


@pytest.fixture(scope="module")
def split() -> datasets.Split:
    """The prepared wines, split."""
    development, _ = datasets.split_off_production(read_originals(), 42)
    return datasets.split_prepared(datasets.prepare(development))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, user_home: Path, fresh_store: Path) -> Iterator[Workspace]:
    """One workspace for all tests here; each uses a model of its own."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copy(fresh_store, folder)
    folders = {"/Shared", "/Shared/workshop"}
    with isolated(folder / "home", user_home):
        backend = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
        with mlflow_server(folder, backend, hands_out_artifacts=False) as uri:
            registry = Registry(uri, folder, folders.__contains__)
            with serving(registry) as host:
                yield Workspace(host, registry, folders)


@pytest.fixture
def workspace(served: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace that this test is signed in to."""
    for name in ("DATABRICKS_CONFIG_PROFILE", "DATABRICKS_AUTH_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABRICKS_HOST", served.host)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    served.folders |= {f"/Shared/workshop/{name}" for name in (IN_UNITY_CATALOG, IN_THE_WORKSPACE, FORBIDDEN)}
    served.registry.deny.clear()
    return served


pytestmark = pytest.mark.integration


def deliver(slots: Slots, split: datasets.Split) -> None:
    """Promote two versions and roll the second promotion back; check the slots after each step."""
    client = slots.client
    first, second = register(client, split, slots.model_name, 2, 4)
    assert (first, second) == ("1", "2")
    assert find_candidate(client, slots.model_name, "depth-2").version == "1"
    assert slots.holders() == {"production": None, "staging": None, "previous": None}

    manual.override(slots, "1", "The first.")
    slots.assign(Slot.STAGING, "2")
    assert slots.holders() == {"production": "1", "staging": "2", "previous": None}
    manual.override(slots, "2", "x" * manual.LONGEST_REASON)
    assert (slots.holder(Slot.PRODUCTION), slots.holder(Slot.PREVIOUS)) == ("2", "1")
    assert slots.archived() == ["1"]
    assert load_as_a_consumer(slots.uri(Slot.PRODUCTION), "2").probabilities(split.test).shape == (len(split.test),)

    manual.roll_back(slots)
    assert (slots.holder(Slot.PRODUCTION), slots.holder(Slot.PREVIOUS)) == ("1", "2")
    assert slots.archived() == ["2"]
    events = History(client, slots.model_name).events()
    assert [(each.kind, each.version, each.champion, each.state) for each in events] == [
        ("override", "1", None, "done"),
        ("override", "2", "1", "done"),
        ("rollback", "1", "2", "done"),
    ]
    held = slots.version_in(Slot.PRODUCTION)
    assert held is not None
    assert (held.tags[STATUS_TAG], held.tags[RUN_NAME_TAG]) == ("rolled back to", "depth-2")
    assert "rollback from version 2 to 1" in (held.description or "")
    with turn(slots):
        assert client.get_experiment_by_name(f"/Shared/workshop/{slots.model_name}/lease") is not None
    assert client.get_experiment_by_name(f"/Shared/workshop/{slots.model_name}/lease") is None


def test_models_in_unity_catalog_are_delivered_with_aliases(workspace: Workspace, split: datasets.Split) -> None:
    client = mlflow_store.connect()
    slots = open_slots(client, IN_UNITY_CATALOG)
    deliver(slots, split)
    assert slots.uri(Slot.PRODUCTION) == f"models:/{IN_UNITY_CATALOG}@production"
    # As the team sees them there: no dot is allowed, and 1,000 characters are kept.
    kept = MlflowClient().get_model_version(IN_UNITY_CATALOG, "2").tags
    assert kept["workshop_status"] == "archived"
    assert not [key for key in kept if "." in key]


def test_a_reason_longer_than_a_tag_of_unity_catalog_is_shortened(workspace: Workspace, split: datasets.Split) -> None:
    client = mlflow_store.connect()
    workspace.folders.add("/Shared/workshop/main.wines.long")
    (version,) = register(client, split, "main.wines.long", 1)
    slots = open_slots(client, "main.wines.long")
    slots.tag(version, {DECISION_TAG: "y" * 1500})
    value = client.get_model_version("main.wines.long", version).tags[DECISION_TAG]
    assert (len(value), value[-3:]) == (1000, "y …")


@pytest.mark.thorough  # test_story promotes there for the first time
def test_models_in_the_workspace_registry_are_delivered_with_stages(
    workspace: Workspace, split: datasets.Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", "stage")
    slots = open_slots(mlflow_store.connect(), IN_THE_WORKSPACE)
    assert mlflow.get_registry_uri() == "databricks"
    deliver(slots, split)
    assert slots.uri(Slot.PRODUCTION) == f"models:/{IN_THE_WORKSPACE}/Production"


pytestmark = pytest.mark.integration


UNITY, OLD = "/api/2.0/mlflow/unity-catalog", "/api/2.0/mlflow"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", f"{UNITY}/registered-models/create", {"name": "wines.quality"}, 400, "all three levels"),
        (
            "POST",
            f"{UNITY}/registered-models/create",
            {"name": "main.wines.dotted", "tags": [{"key": "a.b", "value": ""}]},
            400,
            "reserved characters",
        ),
        ("GET", f"{UNITY}/model-versions/search?filter=tags.a%3D'b'", {}, 400, "Unsupported filter"),
        ("GET", f"{UNITY}/registered-models/search?filter=name%3D'b'", {}, 400, "Unknown parameter"),
        ("POST", f"{UNITY}/model-versions/transition-stage", {"name": "main.wines.x"}, 404, "ENDPOINT_NOT_FOUND"),
        ("POST", f"{OLD}/registered-models/alias", {"name": "x"}, 404, "ENDPOINT_NOT_FOUND"),
        ("POST", f"{OLD}/registered-models/create", {"name": "main.wines.x"}, 400, "periods"),
        ("POST", f"{OLD}/experiments/create", {"name": "wines"}, 400, "absolute path"),
        ("POST", f"{OLD}/experiments/create", {"name": "/Users/nobody/x"}, 404, "Parent directory"),
        ("PUT", "/api/2.0/fs/files/Models/main/wines/x/1/MLmodel", {}, 403, "PERMISSION_DENIED"),
        ("GET", "/api/2.0/fs/files/Models/main/wines/x/1/../../secret", {}, 400, "Invalid path"),
    ],
)
def test_the_local_registry_refuses_what_the_service_refuses(
    served: Workspace, method: str, path: str, body: dict[str, object], status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = served.registry.answer(Request.read(method, path, headers, json.dumps(body).encode()))
    assert answer is not None
    assert answer.status == status
    assert words in answer.body.decode()


def test_the_local_registry_ignores_other_apis(served: Workspace) -> None:
    assert served.registry.answer(Request.read("GET", "/api/2.2/jobs/list", {}, b"")) is None


def test_a_model_without_versions_is_no_error(workspace: Workspace) -> None:
    slots = open_slots(mlflow_store.connect(), "main.wines.unborn")
    assert (slots.holders(), slots.archived(), slots.exists("1")) == (dict.fromkeys(Slot, None), [], False)
    with refusal("part_1_2_training"):
        find_candidate(slots.client, slots.model_name, "dev-ann")


def test_missing_rights_on_the_catalog_are_one_sentence(workspace: Workspace, split: datasets.Split) -> None:
    workspace.registry.deny.add("main.secret")
    client = mlflow_store.connect()
    with refusal("USE SCHEMA", "main.secret", "workshop doctor"):
        register(client, split, FORBIDDEN, 1)
    with refusal(FORBIDDEN, "does not let you", "workshop doctor"):
        open_slots(client, FORBIDDEN).holders()


def test_a_missing_catalog_is_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace.registry.unity_catalog, "catalogs", {"main"})
    with refusal("catalog 'mian' does not exist", "model_name"):
        open_slots(mlflow_store.connect(), "mian.wines.quality").holders()


def test_a_missing_folder_of_an_experiment_is_one_sentence(workspace: Workspace, split: datasets.Split) -> None:
    client = mlflow_store.connect()
    with refusal("no folder /Shared/workshop/main.wines.nowhere", "mkdirs", "WORKSHOP_EXPERIMENTS"):
        mlflow_store.use_experiment(client, "main.wines.nowhere", "dev-ann")
    with refusal("no folder", "mkdirs"), lease.exclusive(client, "main.wines.nowhere"):
        pass


@pytest.mark.parametrize(
    ("slots", "uri", "model_name", "words"),
    [
        ("alias", "", "wine_quality", ["catalog.schema.name", "WORKSHOP_SLOTS=stage"]),
        ("alias", "databricks", "wine_quality", ["no aliases", "WORKSHOP_SLOTS=stage", "databricks-uc"]),
        ("stage", "databricks-uc", "main.wines.quality", ["no stages", "unset WORKSHOP_SLOTS"]),
        ("stage", "", "main.wines.quality", ["MLFLOW_REGISTRY_URI=databricks-uc", "without dots"]),
        ("stage", "", "wines.quality", ["a name for neither registry", "catalog.schema.name", "without dots"]),
    ],
)
def test_a_name_or_a_slot_of_another_registry_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, slots: str, uri: str, model_name: str, words: list[str]
) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", slots)
    monkeypatch.setitem(mlflow_store._registry_written_last, "uri", "")  # as in a new process
    if uri:
        monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    client = mlflow_store.connect()
    with refusal(*words):
        open_slots(client, model_name)


@pytest.mark.parametrize("token", REFUSED)
def test_a_rejected_credential_is_one_sentence_without_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", token)
    with refusal("does not accept the credential", "workshop doctor") as caught:
        mlflow_store.connect()
    assert "dapi" not in str(caught.value)


def test_a_failing_workspace_is_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    failed = Answer(500, b'{"error_code": "INTERNAL_ERROR"}')
    monkeypatch.setattr(workspace.registry, "answer", lambda *_: failed)
    with refusal("could not open its store", "run it again in some minutes", "workshop doctor"):
        mlflow_store.connect()


def test_a_missing_credential_is_one_sentence(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with refusal("no credential", "DATABRICKS_HOST", "workshop doctor"):
        mlflow_store.connect()


def test_an_unreachable_workspace_is_one_sentence_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", f"http://user:secret@127.0.0.1:{free_port()}")
    with refusal("No Databricks workspace found at http://127.0.0.1", "DATABRICKS_HOST") as caught:
        mlflow_store.connect()
    assert "secret" not in str(caught.value)
