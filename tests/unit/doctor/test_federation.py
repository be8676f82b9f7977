"""The policies that let a pipeline in: exact, because finding them by hand is what people fail at."""

import json
import re
import shlex

import pytest
from typer.testing import CliRunner

from workshop.cli import doctor
from workshop.core.errors import UsageError, WorkshopError
from workshop.doctor import federation
from workshop.doctor.federation import Place, Trust, place

ID = "0ca3ddd9-f0b0-4635-a98c-5866526961b6"
WHERE = Place("our-company", "wine lab", "cd", ID)


@pytest.fixture(autouse=True)
def outside_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYSTEM_COLLECTIONID", raising=False)
    monkeypatch.delenv("SYSTEM_ACCESSTOKEN", raising=False)


def test_databricks_trusts_the_pipeline_and_entra_the_service_connection() -> None:
    issuer, audience = f"https://vstoken.dev.azure.com/{ID}", "api://AzureADTokenExchange"
    assert WHERE.of_the_pipeline == Trust(issuer, audience, "p://our-company/wine lab/cd")
    assert WHERE.of_the_connection == Trust(issuer, audience, "sc://our-company/wine lab/cd")


def test_the_commands_can_be_pasted_into_a_shell() -> None:
    databricks = shlex.split(WHERE.of_the_pipeline.databricks_command())
    assert databricks[:4] == ["databricks", "account", "service-principal-federation-policy", "create"]
    assert databricks[4:6] == ["<numeric id of the service principal>", "--json"]
    assert json.loads(databricks[6]) == {
        "oidc_policy": {
            "issuer": f"https://vstoken.dev.azure.com/{ID}",
            "audiences": ["api://AzureADTokenExchange"],
            "subject": "p://our-company/wine lab/cd",
        }
    }
    azure = shlex.split(WHERE.of_the_connection.entra_command("azure-pipelines"))
    assert azure[:6] == ["az", "ad", "app", "federated-credential", "create", "--id"]
    assert json.loads(azure[-1])["subject"] == "sc://our-company/wine lab/cd"


def test_a_name_cannot_break_out_of_the_command() -> None:
    sly = Place("our-company", "it's", "cd'; rm -rf $HOME #", ID)
    (policy,) = shlex.split(sly.of_the_pipeline.databricks_command())[6:]
    assert json.loads(policy)["oidc_policy"]["subject"] == "p://our-company/it's/cd'; rm -rf $HOME #"


@pytest.mark.parametrize("text", ["", "a", "a/b", "a//c", "/b/c", "a/b/", "a/ b/c", "a/b/c\nd"])
def test_anything_but_three_names_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(UsageError, match="give ORGANIZATION/PROJECT/NAME"):
        place(text)


def test_the_organization_id_is_given_or_the_pipelines_own_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "echo $(System.CollectionId)" in federation.explain(place("a/b/c"))
    assert place("a/b/c", ID).of_the_pipeline.issuer.endswith(ID)
    monkeypatch.setenv("SYSTEM_COLLECTIONID", ID)
    assert place("a/b/c").organization_id == ID
    assert "CollectionId" not in federation.explain(place("a/b/c"))


def test_the_command_prints_both_ways_and_what_is_not_verified() -> None:
    done = CliRunner().invoke(doctor.app, ["--federation", "a/b/c", "--organization-id", ID])
    assert done.exit_code == 0
    for line in (f"issuer    https://vstoken.dev.azure.com/{ID}", "audience  api://AzureADTokenExchange"):
        assert done.output.count(line) == 2
    assert "subject   p://a/b/c" in done.output and "subject   sc://a/b/c" in done.output
    assert "azure-devops-oidc" in done.output and "AzureCLI@2" in done.output
    assert "/eid1/c/pub/t/" in done.output and "1 July 2027" in done.output
    assert "Not tested on the real services" in done.output


def test_the_command_for_programs() -> None:
    done = CliRunner().invoke(doctor.app, ["--federation", "a/b/c", "--organization-id", ID, "--json"])
    found = json.loads(done.output)
    assert found["azure-devops-oidc"]["subject"] == "p://a/b/c"
    assert found["azure-cli"]["subject"] == "sc://a/b/c"
    assert re.match("Not tested", found["not verified"])


def test_a_place_that_is_empty_is_a_wrong_command_line() -> None:
    done = CliRunner().invoke(doctor.app, ["--federation", "", "--json"])
    assert isinstance(done.exception, UsageError)
    assert "give ORGANIZATION/PROJECT/NAME" in str(done.exception)
    assert done.output == ""


def test_outside_a_pipeline_there_is_no_token_to_look_at() -> None:
    assert federation.of_this_job() is None


@pytest.mark.parametrize("token", ["", "no-token", "a.b.c", "a.e30.c"])
def test_what_is_not_an_identity_token_is_refused_as_such(token: str) -> None:
    with pytest.raises(WorkshopError, match="has not given this job an identity token: run it again"):
        federation._claims(token)
