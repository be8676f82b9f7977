import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.commands import workshop_here
from workshop.cli import status
from workshop.core.registry.mlflow_store import connect
from workshop.core.registry.slots import Slot, open_slots


@pytest.fixture(autouse=True)
def store(home: Path, fresh_store: Path) -> None:
    home.mkdir()
    shutil.copy(fresh_store, home)


def test_every_slot_is_empty_before_the_first_model() -> None:
    assert status.read("wine_quality") == {
        "model": "wine_quality",
        "slots": {"production": None, "staging": None, "previous": None},
        "archived": [],
    }


def test_holders_are_shown_with_their_origin(home: Path) -> None:
    client = connect()
    client.create_registered_model("wine_quality")
    tags = {"workshop.run_name": "dev-ana", "workshop.git_commit": "f" * 40, "workshop.data_version": "development@3"}
    for _ in range(2):
        client.create_model_version("wine_quality", source=home.as_uri(), tags=tags)
    slots = open_slots(client, "wine_quality")
    slots.assign(Slot.PRODUCTION, "2")
    slots.archive("1")
    found = status.read("wine_quality")
    assert found["slots"]["production"] == {
        "version": "2",
        "uri": "models:/wine_quality@production",
        "run_name": "dev-ana",
        "git_commit": "f" * 40,
        "data_version": "development@3",
    }
    assert found["archived"] == ["1"]
    written = io.StringIO()
    Console(file=written, width=120).print(status.as_table(found))
    assert "dev-ana" in written.getvalue()
    assert "archived, as earlier holders of production: 1" in written.getvalue()


def test_the_newest_ten_archived_versions_are_listed() -> None:
    def listed() -> str:
        return " ".join(workshop_here("status").out.split())

    client = connect()
    client.create_registered_model("wine_quality")
    for _ in range(13):
        client.create_model_version("wine_quality", source="file:///nowhere")
    slots = open_slots(client, "wine_quality")
    for number in range(1, 11):
        slots.archive(str(number))
    assert listed().endswith("production: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10")
    for number in (11, 12):
        slots.archive(str(number))
    assert listed().endswith("production: 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and earlier ones")
    assert len(status.read("wine_quality")["archived"]) == 12


def test_a_terminal_without_a_width_still_shows_the_table() -> None:
    assert "production" in workshop_here("status", COLUMNS="0").out
