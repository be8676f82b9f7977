"""`workshop doctor` on Unity Catalog: what is checked there, and the rights that it takes."""

from types import SimpleNamespace
from typing import Any

import pytest
from databricks.sdk.service import ml

from databricks_local.workspace import Workspace
from tests.support.doctor import MODEL, doctor


def test_what_of_unity_catalog_is_used_is_looked_at(good: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKSHOP_DATABRICKS_HOME")
    good.grants[("SCHEMA", "main.models")] = {"USE_SCHEMA", "CREATE_MODEL"}
    code, findings = doctor(model="main.models.wine_quality")
    assert (code, findings["volume"]["mark"]) == (0, "note")
    assert findings["schema"]["text"] == "USE SCHEMA on main.models, main.workshop"


@pytest.mark.parametrize(
    ("there", "mark", "said"),
    [
        (["development", "production"], "holds", "the tables development and production are there"),
        (["development"], "note", "there is no table production yet: make them once, with `workshop run"),
        ([], "note", "there is no table development or production yet: make them once, with `workshop run"),
    ],
)
def test_wines_in_the_volume_are_looked_for(
    there: list[str], mark: str, said: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORKSHOP_TABLES")
    for name in there:
        (good.root / f"{good.home}/wine/data/{name}/_delta_log".lstrip("/")).mkdir(parents=True)
    code, findings = doctor()
    assert (code, findings["wines"]["mark"]) == (0, mark)
    assert findings["wines"]["text"].startswith(said)


def test_a_name_with_one_dot_is_not_a_model_name(good: Workspace) -> None:
    code, findings = doctor(model="workshop.wine_quality")
    assert (code, findings["model"]["mark"]) == (1, "fails")
    assert "a name for neither registry" in findings["model"]["text"]


def test_a_model_that_is_there_may_be_managed(good: Workspace) -> None:
    good.grants[("MODEL", MODEL)] = {"MANAGE", "EXECUTE"}
    code, findings = doctor()
    assert (code, findings["model"]["text"]) == (0, f"{MODEL} can be registered, loaded and aliased")


def test_all_privileges_are_enough_for_all_but_managing(good: Workspace) -> None:
    good.grants.update({("CATALOG", "main"): {"ALL_PRIVILEGES"}, ("SCHEMA", "main.workshop"): set()})
    assert doctor()[0] == 0
    good.grants[("MODEL", MODEL)] = set()
    assert doctor()[1]["model"]["mark"] == "fails"


@pytest.mark.parametrize(
    ("level", "mark"),
    [
        (ml.PermissionLevel.CAN_MANAGE, "holds"),
        (ml.PermissionLevel.CAN_MANAGE_PRODUCTION_VERSIONS, "holds"),
        (ml.PermissionLevel.CAN_MANAGE_STAGING_VERSIONS, "fails"),
        (ml.PermissionLevel.CAN_READ, "fails"),
    ],
)
def test_a_model_of_the_workspaces_own_registry_takes_the_right_to_move_stages(
    level: ml.PermissionLevel, mark: str, good: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(api: object, name: str) -> Any:
        return SimpleNamespace(registered_model_databricks=ml.ModelDatabricks(name=name, permission_level=level))

    monkeypatch.setattr(ml.ModelRegistryAPI, "get_model", known)
    _, findings = doctor(model="wine_quality")
    assert findings["model"]["mark"] == mark
    assert mark == "holds" or "moving stages needs CAN MANAGE" in findings["model"]["text"]
