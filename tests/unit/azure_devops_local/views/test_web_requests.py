"""Requests to the pages: what they refuse, their headers, and the command that serves them."""

import shutil
import socket
import sys
from contextlib import suppress

import pytest
from bs4 import BeautifulSoup

from azure_devops_local.run_store import Runs
from azure_devops_local.views import web
from databricks_local import mlflow_server
from kit_common.errors import UserError
from tests.support import sample_runs
from tests.support.servers import patient_session
from tests.support.web_site import Site


def test_every_page_forbids_scripts_but_its_own(site: Site) -> None:
    sample_runs.failed()
    sample_runs.pull_requests()
    nonces = set()
    for path in ("/", "/runs/1", "/runs/99", "/pull-requests/2"):
        answer, text = site.ask(path)
        policy = answer.headers["content-security-policy"]
        tree = BeautifulSoup(text, "html.parser")
        nonce = str(tree.select("script")[0]["nonce"])
        assert len(tree.select("script")) == 1
        assert f"script-src 'nonce-{nonce}';" in policy
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert tree.select("[onerror], [onclick], [style]") == []
        nonces.add(nonce)
    assert len(nonces) == 4


@pytest.mark.parametrize(
    "path",
    [
        "/runs/1/logs/../run.json",
        "/runs/1/logs/..%2frun.json",
        "/runs/1/logs/%2e%2e/run.json",
        "/runs/1/logs/..%5crun.json",
        "/runs/1/logs//etc/passwd",
        "/runs/1/logs/%2fetc%2fpasswd",
        "/runs/1/logs/link.log",
        "/runs/1/logs/%00",
        "/runs/1/logs/" + "x" * 5000,
        "/runs/1/logs/",
        "/runs/1/artifacts/report",
        "/runs/1/artifacts/../logs/1.log",
        "/runs/1/work/secret.txt",
        "/runs/1/../runs/1/run.json",
        "/runs/%2e%2e/logs/run.json",
        "/runs/1/./run.json",
        "/runs/../run.json",
        "/runs/2",
        "/runs/-1",
        "/runs/x",
        "/runs/" + "9" * 400,
        "/runs/" + "9" * 6000,
        "/pull-requests/7",
        "/pull-requests/..%2f..%2f",
        "/docs",
        "/openapi.json",
        "/favicon.ico",
    ],
)
def test_a_missing_or_private_file_is_a_page_with_a_sentence(site: Site, path: str) -> None:
    run = sample_runs.succeeded()
    sample_runs.put(run, "work/secret.txt", "secret")
    (Runs().folder_of(1) / "logs" / "link.log").symlink_to(Runs().folder_of(1) / "run.json")
    answer, text = site.ask(path)
    assert answer.status == 404
    sentence = BeautifulSoup(text, "html.parser").select_one("main p")
    assert sentence is not None
    assert sentence.text.startswith("There is no")
    assert "Traceback" not in text


@pytest.mark.parametrize("path", ["/", "/runs/1", "/runs/1/logs/1.log", "/pull-requests/1"])
def test_head_is_answered_like_get_without_a_body(site: Site, path: str) -> None:
    sample_runs.succeeded()
    sample_runs.pull_requests()
    answer, text = site.ask(path, "HEAD")
    assert (answer.status, text) == (200, "")
    assert answer.headers["content-type"] == site.ask(path)[0].headers["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/runs/1", "/runs/1/logs/1.log", "/pull-requests/1"])
def test_nothing_can_be_changed(site: Site, method: str, path: str) -> None:
    sample_runs.succeeded()
    assert site.code(path, method) == 405


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8900", "[::1]", "0.0.0.0"])
def test_a_foreign_host_name_is_refused(site: Site, host: str) -> None:
    sample_runs.succeeded()
    answer, text = site.ask("/runs/1", host=host)
    assert answer.status == 400
    assert "cd.yml" not in text


def test_both_names_of_this_machine_are_accepted(site: Site) -> None:
    assert site.code("/", host="localhost") == 200
    assert site.code("/", host=f"localhost:{site.port}") == 200


def test_a_run_that_is_removed_meanwhile_is_a_404(site: Site) -> None:
    run = sample_runs.running()
    assert site.code("/runs/1") == 200
    shutil.rmtree(Runs().folder_of(run.number))
    answer, text = site.ask("/runs/1")
    assert answer.status == 404
    assert "There is no run 1" in text


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with (
        socket.create_server((web.HOST, 0)) as taken,
        pytest.raises(UserError, match=r"listen at .*: choose another --port\.$"),
    ):
        web.serve(taken.getsockname()[1])


@pytest.mark.integration
def test_the_command_serves_on_this_machine_only_and_ctrl_c_ends_it() -> None:
    port = mlflow_server.free_port()
    command = [sys.executable, "-m", "workshop", "devops", "web", "--port", str(port)]
    with mlflow_server.started(command, "Ctrl-C") as process:
        assert patient_session().get(f"http://127.0.0.1:{port}/", timeout=10).status_code == 200
        with suppress(OSError):
            addresses = {str(found[4][0]) for found in socket.getaddrinfo(socket.gethostname(), port)}
            for address in addresses - {"127.0.0.1", "127.0.1.1"}:
                with pytest.raises(OSError, match=r"."):
                    socket.create_connection((address, port), timeout=2)
        process.send_signal(2)
        assert process.wait(timeout=30) == 0
