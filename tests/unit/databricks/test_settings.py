import pytest

from workshop.core.errors import WorkshopError
from workshop.databricks.settings import databricks_settings


def test_every_setting_has_a_default() -> None:
    settings = databricks_settings()
    assert (settings.compute, settings.code, settings.timeout_minutes) == ("serverless", "upload", 60)


def test_a_folder_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSHOP_DATABRICKS_HOME", "/Volumes/main/wine/files/home/")
    assert databricks_settings().home == "/Volumes/main/wine/files/home"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"COMPUTE": "mainframe"}, "WORKSHOP_DATABRICKS_COMPUTE is 'mainframe'"),
        ({"COMPUTE": "cluster"}, "set WORKSHOP_DATABRICKS_CLUSTER_ID to its id"),
        ({"CODE": "git"}, "WORKSHOP_DATABRICKS_GIT_URL must be the repository's https address"),
        ({"CODE": "git", "GIT_URL": "git@ssh.dev.azure.com:v3/x"}, "https address"),
        ({"CODE": "git", "GIT_URL": "https://x/y", "GIT_PROVIDER": "cvs"}, "WORKSHOP_DATABRICKS_GIT_PROVIDER is 'cvs'"),
        ({"CODE": "git", "GIT_URL": "https://ana:pat@x/y"}, "without a user name or token"),
        ({"HOME": "/tmp/x"}, "it should be a folder in a volume, as in /Volumes/catalog/schema/volume"),
        ({"HOME": "/Volumes/main/wine"}, "it should be a folder in a volume"),
        ({"FOLDER": "Shared/x"}, "it should be a folder of the workspace"),
        ({"TIMEOUT_MINUTES": "0"}, "WORKSHOP_DATABRICKS_TIMEOUT_MINUTES is '0'"),
        ({"WORKERS": "many"}, "WORKSHOP_DATABRICKS_WORKERS is 'many'"),
    ],
)
def test_a_wrong_value_is_one_sentence(values: dict[str, str], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"WORKSHOP_DATABRICKS_{name}", value)
    with pytest.raises(WorkshopError, match=complaint) as raised:
        databricks_settings()
    assert ":pat@" not in str(raised.value)
