"""The part of the Azure Repos REST API that CI uses, on this machine, while a run is executed."""

import hmac
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Body, Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from azure_devops_local.agent.jobs import Service
from azure_devops_local.agent.variables import predefined
from azure_devops_local.run_store import Run
from azure_devops_local.server import pull_requests
from azure_devops_local.server.pull_request_record import PullRequest
from kit_common.errors import UserError

_PATH = "/{project}/_apis/git/repositories/{repository}/pullrequests"
_Ref = Annotated[str, Field(pattern="^refs/heads/.")]
_Description = Annotated[str, Field(max_length=4000)]


class _New(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sourceRefName: _Ref  # noqa: N815  # Azure's names
    targetRefName: _Ref  # noqa: N815
    title: Annotated[str, Field(min_length=1, max_length=400)]
    description: _Description = ""


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")
    description: _Description


class _Search(BaseModel):
    model_config = ConfigDict(extra="forbid")
    api_version: Annotated[str, Field(alias="api-version")]
    source: Annotated[_Ref | None, Field(alias="searchCriteria.sourceRefName")] = None
    target: Annotated[_Ref | None, Field(alias="searchCriteria.targetRefName")] = None
    status: Annotated[Literal["active", "completed", "abandoned", "all"], Field(alias="searchCriteria.status")] = (
        "active"
    )


class _RefusedError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def serving(run: Run) -> Iterator[Service]:
    """Serve the API to the steps of a run, on a free port of this machine, until the end of the block."""
    token = secrets.token_urlsafe(32)
    config = uvicorn.Config(build(run, token), log_config=None, access_log=False, server_header=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The socket listens already: a connection before the server has started waits.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Service(f"http://127.0.0.1:{listener.getsockname()[1]}/", token)
        finally:
            server.should_exit = True
            thread.join()


def build(run: Run, token: str) -> FastAPI:
    """Return the API as an app, which refuses what Azure Repos would refuse."""
    known = predefined(run)

    def allowed(project: str, repository: str, request: Request, authorization: Annotated[str, Header()] = "") -> None:
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise _RefusedError(401, "TF400813: The user is not authorized to access this resource.")
        if "api-version" not in request.query_params:
            raise _RefusedError(400, "No api-version was supplied for the request.")
        if (project, repository) != (known["System.TeamProject"], known["Build.Repository.Name"]):
            raise _RefusedError(
                404, f"TF401019: The Git repository {repository} does not exist, or you may not use it."
            )

    app = FastAPI(openapi_url=None, dependencies=[Depends(allowed)])

    @app.get(_PATH)
    def find(search: Annotated[_Search, Query()]) -> dict[str, Any]:
        found = [each for each in pull_requests.every() if _matches(each, search)]
        return {"value": [_shown(each, known) for each in reversed(found)], "count": len(found)}

    @app.post(_PATH, status_code=201)
    def create(asked: Annotated[_New, Body()]) -> dict[str, Any]:
        source, target = (ref.removeprefix("refs/heads/") for ref in (asked.sourceRefName, asked.targetRefName))
        for each in pull_requests.every():
            if (each.source, each.target, each.status) == (source, target, "active"):
                raise _RefusedError(
                    409, "TF401179: An active pull request for the source and target branch exists already."
                )
        request, _ = pull_requests.create(source, target, asked.title, asked.description, run.requested_for)
        return _shown(request, known)

    @app.patch(_PATH + "/{number}")
    def change(number: int, asked: Annotated[_Change, Body()]) -> dict[str, Any]:
        return _shown(pull_requests.describe(number, asked.description), known)

    for problem in (_RefusedError, RequestValidationError, UserError):
        app.add_exception_handler(problem, _refused)
    return app


def _matches(request: PullRequest, search: _Search) -> bool:
    return (
        search.source in {None, f"refs/heads/{request.source}"}
        and search.target in {None, f"refs/heads/{request.target}"}
        and search.status in {"all", request.status}
    )


def _shown(request: PullRequest, known: dict[str, str]) -> dict[str, Any]:
    return {
        "pullRequestId": request.id,
        "title": request.title,
        "description": request.description,
        "status": request.status,
        "createdBy": {"displayName": request.author},
        "creationDate": request.created.isoformat(),
        "sourceRefName": f"refs/heads/{request.source}",
        "targetRefName": f"refs/heads/{request.target}",
        "repository": {"name": known["Build.Repository.Name"], "project": {"name": known["System.TeamProject"]}},
    }


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        error = _RefusedError(400, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}.")
    return JSONResponse({"message": str(error)}, error.code if isinstance(error, _RefusedError) else 400)
