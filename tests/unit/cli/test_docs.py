import webbrowser
from pathlib import Path

import pytest

from workshop.cli import docs
from workshop.core.errors import WorkshopError


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def test_the_first_page_is_opened_from_disk_and_its_path_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    page = tmp_path / "index.html"
    page.touch()
    monkeypatch.setattr(docs, "_FIRST_PAGE", page)
    docs.docs()
    assert opened == [page.as_uri()]
    assert capsys.readouterr().out == f"{page}\n"


def test_without_a_site_the_command_that_builds_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    monkeypatch.setattr(docs, "_FIRST_PAGE", tmp_path / "index.html")
    with pytest.raises(WorkshopError, match="run `make docs` first"):
        docs.docs()
    assert opened == []
