"""The command `web`: runs and pull requests in a browser, read-only and on this machine only."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException as Refusal
from starlette.middleware.trustedhost import TrustedHostMiddleware

from azure_devops_local import host
from azure_devops_local.host import Policy
from azure_devops_local.run_store import Runs
from azure_devops_local.server import pull_requests
from azure_devops_local.server.pull_request_record import PullRequest
from azure_devops_local.views import html_page, page_content
from kit_common.errors import UserError
from kit_common.listening import listen

HOST = "127.0.0.1"
_MOST_RUNS = 50
_READ = ["GET", "HEAD"]
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# An artifact is a foreign file: it has no origin, and no script in it runs.
_SANDBOX = (
    "sandbox allow-popups; default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src data:"
)


_Number = Annotated[int, Path(ge=1, le=10**9)]


def serve(port: int, tell: Callable[[str], None] = print) -> None:
    """Serve the pages until Ctrl-C.

    Args:
        port: the port on 127.0.0.1; 0 for any free port.
        tell: called with a sentence with the address once a browser can connect.
    """
    listener = listen(HOST, port)
    server = uvicorn.Server(
        uvicorn.Config(build(), log_config=None, log_level="error", access_log=False, server_header=False)
    )
    with listener, suppress(KeyboardInterrupt):  # uvicorn raises it again when it is done
        tell(f"Runs and pull requests on http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)")
        server.run(sockets=[listener])


def build() -> FastAPI:
    """Return the pages as an app; each response shows the current state."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    # Protects against DNS rebinding: a foreign site whose name resolves to this machine could read the pages.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)
    app.add_api_route("/", _front, methods=_READ, response_model=None)
    app.add_api_route("/runs/{number}", _run, methods=_READ, response_model=None)
    app.add_api_route("/runs/{number}/{kind}/{name:path}", _file, methods=_READ, response_model=None)
    app.add_api_route("/pull-requests/{number}", _pull_request, methods=_READ, response_model=None)
    for problem in (Refusal, RequestValidationError, UserError, FileNotFoundError):
        app.add_exception_handler(problem, _refused)
    return app


def _front() -> HTMLResponse:
    requests = sorted(pull_requests.every(), key=lambda request: (request.status != "active", -request.id))
    runs = html_page.newest(Runs(), _MOST_RUNS)
    outcomes = {run.number: html_page.outcome(run) for run in runs}
    announced = [run for run in runs if run.state == "completed" and outcomes[run.number]]
    deployments = {environment: run for run in reversed(announced) for environment in run.environments}
    body = _filled_in(runs=runs, requests=requests, outcomes=outcomes, deployments=deployments)
    return _answer("Runs and pull requests", body)


def _run(number: _Number) -> HTMLResponse:
    runs = Runs()
    run = runs.load(number)
    return _answer(html_page.title(run), html_page.content(run, runs.folder_of(number), f"/runs/{number}/"))


def _file(number: _Number, kind: str, name: str) -> FileResponse:
    file = page_content.inside(Runs().folder_of(number) / kind, name) if kind in {"logs", "artifacts"} else None
    if file is None:
        raise HTTPException(404)
    if kind == "logs":
        return FileResponse(file, media_type="text/plain; charset=utf-8", headers=_HEADERS)
    return FileResponse(file, headers={**_HEADERS, "Content-Security-Policy": _SANDBOX})


def _pull_request(number: _Number) -> HTMLResponse:
    request = pull_requests.load(number)
    return _answer(
        f"Pull request {number}: {request.title}", _filled_in(one=request, needs_another=_policy(request).reviewers > 0)
    )


def _refused(_: Request, error: Exception) -> HTMLResponse:
    code = error.status_code if isinstance(error, Refusal) else 404
    known = {404: "There is nothing at this address.", 405: "These pages are read-only."}
    sentence = str(error) if isinstance(error, UserError) else known[code]
    return _answer("Not here", _filled_in(sentence=sentence), code)


def _policies(request: PullRequest) -> list[tuple[str, str, int]]:
    """Return the state of each policy of the target branch, its text, and the number of its run."""
    policy, found = _policy(request), []
    if policy.build:
        found.append(_build(policy.build, request.validation_run))
    if policy.reviewers and request.completed_by:
        found.append(("succeeded", f"completed by {request.completed_by}", 0))
    elif policy.reviewers:
        found.append(("waiting for approval", f"another person than {request.author} completes it", 0))
    return found


def _policy(request: PullRequest) -> Policy:
    return host.current().policies.get(request.target, Policy())


def _build(pipeline: str, number: int) -> tuple[str, str, int]:
    if not number:
        return "skipped", f"{pipeline} on the merge, which changes none of its paths", 0
    try:
        return html_page.status(Runs().load(number)), f"{pipeline} on the merge", number
    except UserError:
        return "not started", f"{pipeline} on the merge; the run is no longer there", 0


def _filled_in(**values: Any) -> str:
    return html_page.render("web.html.j2", **{"one": None, "sentence": "", "policies": _policies, **values})


def _answer(title: str, body: str, code: int = 200) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(nonce=nonce)}
    return HTMLResponse(html_page.whole(title, body, nonce), code, headers)
