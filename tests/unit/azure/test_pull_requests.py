"""The client of Azure Repos over real HTTP, with the local service and with faulty servers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from azure_devops_local.agent.jobs import Service
from azure_devops_local.run_store import Run, now
from azure_devops_local.server import pull_requests as local_pull_requests
from azure_devops_local.server import repos_api, repository, run_queue
from tests.support.team import Clone
from workshop.azure import pull_requests
from workshop.cli import azure
from workshop.core.errors import WorkshopError

TOKEN = "t0ken-that-must-stay-secret"
Answer = tuple[int, dict[str, str], str]


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Clone]:
    """A team's repository with a branch `dev-ana` to merge, without an agent."""
    clone = Clone(tmp_path / "clone")
    repository.start(clone.path)
    (repository.repository() / "hooks" / "post-receive").unlink()
    clone.commit({"README.md": "words"}, branch="dev-ana")
    clone.push()
    with run_queue.lock("agent"):
        yield clone


@pytest.fixture
def service(team: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    run = Run(number=7, pipeline="ci.yml", branch="dev-ana", commit=team.head(), requested_for="Ana", created=now())
    with repos_api.serving(run) as serving:
        use(monkeypatch, serving.collection_uri, serving.token, "workshop")
        yield serving


def use(monkeypatch: pytest.MonkeyPatch, uri: str, token: str = TOKEN, repository: str = "wine") -> None:
    monkeypatch.setenv("SYSTEM_COLLECTIONURI", uri)
    monkeypatch.setenv("SYSTEM_TEAMPROJECT", "workshop")
    monkeypatch.setenv("BUILD_REPOSITORY_NAME", repository)
    monkeypatch.setenv("SYSTEM_ACCESSTOKEN", token)


@contextmanager
def answering(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """Serve these answers in turn, repeating the last one; give the address and the list of requests."""
    left, requested = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            requested.append(f"{self.command} {self.path} {body}")
            code, headers, text = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(code)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", requested
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def found(*numbers: int) -> Answer:
    return 200, {}, json.dumps({"value": [{"pullRequestId": number} for number in numbers]})


def test_a_pull_request_is_opened_once_and_then_updated(service: Service) -> None:
    first = pull_requests.open_or_find("dev-ana", "main", "Words", "# Why\nBecause.")
    second = pull_requests.open_or_find("dev-ana", "main", "Other words", "Because.")
    assert (first.id, first.created, second.id, second.created) == (1, True, 1, False)
    assert first.url == f"{service.collection_uri}workshop/_git/workshop/pullrequest/1"
    (request,) = local_pull_requests.every()
    assert (request.title, request.description, request.author) == ("Words", "Because.", "Ana")


def test_the_command_prints_the_address(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    summary = {"status": "staged", "exit_code": 0, "sentence": "Better.", "outcome": {"status": "staged"}}
    (tmp_path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    command = ["open-pull-request", "--source", "dev-ana", "--target", "main", "--published", str(tmp_path)]
    opened = CliRunner().invoke(azure.app, command)
    monkeypatch.setenv("AZURE_DEVOPS_LOCAL_RUN", "7")
    again = CliRunner().invoke(azure.app, command)
    assert opened.stdout == f"Pull request 1 is open: {service.collection_uri}workshop/_git/workshop/pullrequest/1\n"
    assert again.stdout == "Pull request 1 is open already: `workshop devops pr show 1`\n"
    assert local_pull_requests.load(1).title == "Better"


def test_a_long_title_and_description_are_shortened(service: Service) -> None:
    pull_requests.open_or_find("dev-ana", "main", "W" * 500, "x" * 5000)
    (request,) = local_pull_requests.every()
    assert (len(request.title), len(request.description)) == (400, 4000)
    assert request.description.endswith("(shortened: the run's summary page has the full text)")


def test_a_refusal_has_the_reason_of_the_service(service: Service) -> None:
    with pytest.raises(WorkshopError, match=r"\(400\): There is nothing to merge"):
        pull_requests.open_or_find("integration", "main", "Words", "")


def test_a_netrc_does_not_replace_the_token(service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert pull_requests.open_or_find("dev-ana", "main", "Words", "").created


@pytest.mark.parametrize(
    "answer",
    [
        (203, {"Content-Type": "text/html; charset=utf-8"}, "<html>Sign in</html>"),
        (200, {"Content-Type": "text/html"}, "<html>Sign in</html>"),
        (302, {"Location": "https://example.org/_signin"}, ""),
        (401, {}, ""),
        (403, {}, json.dumps({"message": "TF401027: You need the Git 'PullRequestContribute' permission."})),
    ],
)
def test_a_rejected_token_is_explained_and_not_quoted(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    with answering(answer) as (uri, _):
        use(monkeypatch, uri)
        with pytest.raises(WorkshopError, match='"Contribute to pull requests" on the repository wine') as refused:
            pull_requests.open_or_find("dev-ana", "main", "Words", "")
    assert TOKEN not in str(refused.value)


def test_a_request_is_repeated_while_the_service_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = (429, {"Retry-After": "0"}, "")
    created: Answer = (201, {}, json.dumps({"pullRequestId": 5}))
    with answering(busy, (503, {"Retry-After": "0"}, ""), found(), busy, created) as (uri, requested):
        use(monkeypatch, uri)
        assert pull_requests.open_or_find("dev-ana", "main", "Words", "").id == 5
    assert [line.split()[0] for line in requested] == ["GET", "GET", "GET", "POST", "POST"]


def test_a_service_that_stays_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_requests._RETRIES, "backoff_factor", 0)
    with answering((503, {"Retry-After": "0"}, "")) as (uri, requested):
        use(monkeypatch, uri)
        with pytest.raises(WorkshopError, match=r"\(503\)"):
            pull_requests.open_or_find("dev-ana", "main", "Words", "")
    assert len(requested) == 5


def test_a_pull_request_opened_in_the_meantime_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    conflict: Answer = (409, {}, json.dumps({"message": "TF401179: An active pull request exists."}))
    with answering(found(), conflict, found(8), (200, {}, "{}")) as (uri, requested):
        use(monkeypatch, uri)
        request = pull_requests.open_or_find("dev-ana", "main", "Words", "Why")
    assert (request.id, request.created) == (8, False)
    assert requested[-1].startswith("PATCH /workshop/_apis/git/repositories/wine/pullrequests/8?api-version=7.1")
    with answering(found(), conflict, found()) as (uri, _):
        use(monkeypatch, uri)
        with pytest.raises(WorkshopError, match="TF401179"):
            pull_requests.open_or_find("dev-ana", "main", "Words", "Why")


@pytest.mark.parametrize("text", ["", "<x>", "[1"])
def test_an_answer_that_is_not_json_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with answering((200, {}, text)) as (uri, _):
        use(monkeypatch, uri)
        with pytest.raises(WorkshopError, match="can't be read"):
            pull_requests.open_or_find("dev-ana", "main", "Words", "")


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1/", "nowhere"])
def test_an_unreachable_service_is_explained(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setattr(pull_requests._RETRIES, "backoff_factor", 0)
    use(monkeypatch, uri)
    with pytest.raises(WorkshopError, match="can't be reached") as refused:
        pull_requests.open_or_find("dev-ana", "main", "Words", "")
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("name", ["SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "SYSTEM_ACCESSTOKEN"])
def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    use(monkeypatch, "http://127.0.0.1:1/")
    monkeypatch.delenv(name)
    with pytest.raises(WorkshopError, match=f"{name} is missing"):
        pull_requests.open_or_find("dev-ana", "main", "Words", "")


def test_the_local_service_is_strict(service: Service) -> None:
    url = f"{service.collection_uri}workshop/_apis/git/repositories/workshop/pullrequests"
    branches = {"sourceRefName": "refs/heads/dev-ana", "targetRefName": "refs/heads/main"}
    new = {**branches, "title": "Words", "description": ""}
    known = {"Authorization": f"Bearer {service.token}"}

    def post(body: Any, version: str | None = "7.1", address: str = url) -> requests.Response:
        params = {"api-version": version} if version else {}
        return requests.post(address, json=body, params=params, headers=known, timeout=10)

    assert requests.post(url, json=new, params={"api-version": "7.1"}, timeout=10).status_code == 401
    assert post(new, version=None).status_code == 400
    unknown = post(new, address=url.replace("repositories/workshop", "repositories/other"))
    assert (unknown.status_code, "TF401019" in unknown.json()["message"]) == (404, True)
    bodies: tuple[Any, ...] = (
        {**new, "reviewers": []},
        {**new, "description": "x" * 4001},
        {**new, "title": ""},
        {**new, "sourceRefName": "dev-ana"},
        [],
    )
    for body in bodies:
        assert post(body).status_code == 400
    assert local_pull_requests.every() == []
    created = post(new)
    assert (created.status_code, created.json()["pullRequestId"], created.json()["status"]) == (201, 1, "active")
    again = post(new)
    assert (again.status_code, "TF401179" in again.json()["message"]) == (409, True)
    search = {"api-version": "7.1", "searchCriteria.status": "abandoned"}
    assert requests.get(url, params=search, headers=known, timeout=10).json() == {"value": [], "count": 0}
    odd = {"api-version": "7.1", "searchCriteria.creatorId": "1"}
    assert requests.get(url, params=odd, headers=known, timeout=10).status_code == 400
