"""Pull requests in Azure Repos, opened from a pipeline through the REST API."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from kit_common.sanitize import first_sentence
from workshop.core.errors import WorkshopError

LONGEST_DESCRIPTION = 4000
LONGEST_TITLE = 400
_CUT = "\n\n(shortened: the run's summary page has the full text)"
_SECONDS = (10, 60)
_VERSION = {"api-version": "7.1"}
_RETRIES = Retry(
    total=4,
    backoff_factor=0.5,
    backoff_max=10,
    status_forcelist=(429, 503),
    allowed_methods=None,  # a second POST is answered with 409, which is handled below
    respect_retry_after_header=True,
    retry_after_max=60,
    raise_on_status=False,
)


@dataclass(frozen=True)
class PullRequest:
    """A pull request in Azure Repos."""

    id: int
    url: str
    created: bool
    """False if the pull request was open already."""


def open_or_find(source: str, target: str, title: str, description: str) -> PullRequest:
    """Open a pull request between two branches, or update the description of the open one.

    Reads the variables of a pipeline's job: SYSTEM_COLLECTIONURI, SYSTEM_TEAMPROJECT, BUILD_REPOSITORY_NAME, and
    SYSTEM_ACCESSTOKEN, which a step gets only through its `env:`.

    Raises:
        WorkshopError: a variable is missing, the service does not answer, or it refuses the request.
    """
    return _Repository(os.environ).open_or_find(source, target, title, description)


class _Bearer(requests.auth.AuthBase):
    """The token as an auth object: requests would replace a plain header by a .netrc entry for the host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Repository:
    def __init__(self, environment: Mapping[str, str]) -> None:
        def variable(name: str) -> str:
            if not environment.get(name):
                hint = " (`env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`)" if name == "SYSTEM_ACCESSTOKEN" else ""
                raise WorkshopError(f"The variable {name} is missing: run this in a pipeline's step that has it{hint}.")
            return environment[name]

        repository = "BUILD_REPOSITORY_NAME" if environment.get("BUILD_REPOSITORY_NAME") else "BUILD_REPOSITORY_ID"
        self.name = variable(repository)
        project = f"{variable('SYSTEM_COLLECTIONURI').rstrip('/')}/{quote(variable('SYSTEM_TEAMPROJECT'), safe='')}"
        self._page = f"{project}/_git/{quote(self.name, safe='')}/pullrequest"
        self._api = f"{project}/_apis/git/repositories/{quote(self.name, safe='')}/pullrequests"
        self._session = requests.Session()
        self._session.trust_env = "://127.0.0.1:" not in project  # a proxy can't reach this machine
        self._session.auth = _Bearer(variable("SYSTEM_ACCESSTOKEN"))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRIES))

    def open_or_find(self, source: str, target: str, title: str, description: str) -> PullRequest:
        branches = {"sourceRefName": f"refs/heads/{source}", "targetRefName": f"refs/heads/{target}"}
        text = description
        if len(text) > LONGEST_DESCRIPTION:
            text = description[: LONGEST_DESCRIPTION - len(_CUT)] + _CUT
        found = self._find(branches)
        if found is None:
            new = {**branches, "title": title[:LONGEST_TITLE], "description": text}
            answer = self._request("POST", self._api, json=new)
            if answer.status_code != requests.codes.conflict:
                return self._pull_request(_content(answer), created=True)
            found = self._find(branches)  # opened in the meantime by another run
            if found is None:
                raise WorkshopError(f"Azure Repos refused the pull request: {_message(answer)}.")
        _content(self._request("PATCH", f"{self._api}/{found['pullRequestId']}", json={"description": text}))
        return self._pull_request(found, created=False)

    def _find(self, branches: dict[str, str]) -> dict[str, Any] | None:
        criteria = {f"searchCriteria.{key}": value for key, value in (*branches.items(), ("status", "active"))}
        found = _content(self._request("GET", self._api, params=criteria)).get("value", [])
        return found[0] if found else None

    def _pull_request(self, found: dict[str, Any], created: bool) -> PullRequest:
        number = int(found["pullRequestId"])
        return PullRequest(number, f"{self._page}/{number}", created)

    def _request(
        self, method: str, url: str, params: Mapping[str, str] | None = None, **body: Any
    ) -> requests.Response:
        try:
            # A redirect leads to the sign-in page: the token was not accepted.
            answer = self._session.request(
                method, url, params={**(params or {}), **_VERSION}, timeout=_SECONDS, allow_redirects=False, **body
            )
        except requests.RequestException as error:
            raise WorkshopError(
                f"Azure Repos can't be reached ({type(error).__name__}): run the pipeline again, or check "
                "SYSTEM_COLLECTIONURI and the agent's network."
            ) from error
        is_page = "html" in answer.headers.get("Content-Type", "")
        if answer.status_code in {203, 301, 302, 401, 403} or (answer.ok and is_page):
            raise WorkshopError(
                f"Azure Repos does not let this pipeline open pull requests ({answer.status_code}): grant the build "
                f'service "Contribute to pull requests" on the repository {self.name}, and give this step '
                "`env: SYSTEM_ACCESSTOKEN: $(System.AccessToken)`."
            )
        return answer


def _content(answer: requests.Response) -> dict[str, Any]:
    if not answer.ok:
        raise WorkshopError(f"Azure Repos refused the request ({answer.status_code}): {_message(answer)}.")
    try:
        return dict(answer.json())
    except ValueError as error:
        raise WorkshopError("The answer of Azure Repos can't be read: run the pipeline again.") from error


def _message(answer: requests.Response) -> str:
    try:
        return first_sentence(Exception(str(answer.json().get("message", ""))))
    except (ValueError, AttributeError):
        return f"HTTP {answer.status_code}"
