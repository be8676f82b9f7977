"""`workshop lab`: what opens, and what its terminals find."""

import json
import os
import sys
from pathlib import Path

import pytest
import websocket

from databricks_local.mlflow_server import free_port, started
from kit_common import git
from tests.support.commands import workshop_here
from tests.support.servers import patient_session
from workshop.cli import lab
from workshop.cli.git_filter import CHECKOUT
from workshop.core.settings import PACKAGE


def test_the_users_options_replace_those_of_the_kit() -> None:
    own = ["--ServerApp.answer_yes=False", "--ServerApp.root_dir=/elsewhere", "--port=9"]
    line = lab.command(own)
    assert line[:3] == [sys.executable, "-m", "jupyterlab"]
    assert line[-3:] == own
    names = [option.partition("=")[0] for option in line[3:]]
    assert len(names) == len(set(names))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no root")
@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_root_is_allowed_after_one_line_that_tells_so(
    user: int, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    become: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr("workshop.cli.app._become", lambda command, _: become.append(command))
    shown = workshop_here("lab").out
    assert ("--allow-root" in become[0]) == allowed
    assert shown.splitlines()[:-1] == (
        ["JupyterLab runs as root: its notebooks and terminals may change any file."] if allowed else []
    )


def test_an_installed_package_opens_its_notebooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lab, "CHECKOUT", tmp_path)
    assert f"--ServerApp.root_dir={PACKAGE / 'notebooks'}" in lab.command([])


def test_other_settings_and_programs_stay_in_the_environment() -> None:
    found = lab.environment({"PATH": "/usr/bin", "JUPYTER_CONFIG_PATH": "/etc/jupyter", "HOME": "/root"})
    assert found["PATH"].split(os.pathsep)[1:] == ["/usr/bin"]
    assert found["JUPYTER_CONFIG_PATH"].split(os.pathsep)[1:] == ["/etc/jupyter"]
    assert found["HOME"] == "/root"


@pytest.mark.integration
def test_lab_opens_on_the_course_without_a_question_and_its_terminals_find_workshop() -> None:
    port = free_port()
    arguments = ["-m", "workshop", "lab", "--no-browser", f"--port={port}", "--IdentityProvider.token=t"]
    with started([sys.executable, *arguments], "JupyterLab starts", PATH="/usr/bin:/bin", SHELL="/bin/sh"):
        session, server = patient_session(), f"http://127.0.0.1:{port}"
        session.headers["Authorization"] = "token t"
        names = {entry["name"] for entry in session.get(f"{server}/api/contents", timeout=20).json()["content"]}
        assert {"README.md", "docs", "src"} <= names
        assert session.get(f"{server}/lab", timeout=20, allow_redirects=True).status_code == 200
        plugin = "@jupyterlab/apputils-extension:notification"
        asked = session.get(f"{server}/lab/api/settings/{plugin}", timeout=20).json()["schema"]["properties"]
        assert asked["fetchNews"]["default"] == "false"
        name = session.post(f"{server}/api/terminals", timeout=20).json()["name"]
        address = f"ws://127.0.0.1:{port}/terminals/websocket/{name}?token=t"
        terminal = websocket.create_connection(address, timeout=30)
        terminal.send(json.dumps(["stdin", "command -v workshop; echo THE''_END\r"]))
        shown = ""
        while "THE_END" not in shown:
            kind, text = json.loads(terminal.recv())
            shown += text if kind == "stdout" else ""
        terminal.close()
    assert str(Path(sys.executable).parent / "workshop") in shown
    assert git.ask(CHECKOUT, "config", "filter.without-outputs.clean")
