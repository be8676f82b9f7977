"""The addresses of the app over real HTTP: the answers of MLflow's scoring server, and the kit's own pages."""

from collections.abc import Iterator

import pandas as pd
import pytest
import requests
from mlflow.pyfunc import scoring_server

from tests.support.models import MODEL
from tests.support.serving_requests import JSON, MAX_BODY, good_requests, post
from tests.unit.serving.conftest import Held, running
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel
from workshop.serving.app import build


@pytest.fixture(scope="module")
def reference(models: dict[str, LoadedModel]) -> Iterator[str]:
    """MLflow's scoring server of version 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        with running(scoring_server.init(models["1"].pyfunc)) as url:
            yield url


def test_good_requests_are_answered_as_mlflow_answers_them(
    server: str, reference: str, rows: pd.DataFrame, models: dict[str, LoadedModel]
) -> None:
    expected = models["1"].probabilities(rows).tolist()
    for name, (body, content_type) in good_requests(rows).items():
        answer, same = post(server, body, content_type), post(reference, body, content_type)
        assert (answer.status_code, answer.content) == (same.status_code, same.content), name
        assert answer.status_code == 200, (name, answer.text)
        assert answer.headers["content-type"] == same.headers["content-type"], name
        if name not in ("missing values", "numbers as text", "one row", "not a number"):
            assert answer.json() == {"predictions": expected}, name


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_the_other_addresses_answer_as_mlflow_does(path: str, server: str, reference: str) -> None:
    answer, same = requests.get(server + path, timeout=60), requests.get(reference + path, timeout=60)
    assert (answer.status_code, answer.content) == (same.status_code, same.content)
    assert answer.headers["content-type"] == same.headers["content-type"]


def test_the_example_is_a_body_that_the_server_answers(server: str, models: dict[str, LoadedModel]) -> None:
    example = requests.get(f"{server}/example", timeout=60)
    assert example.headers["content-type"] == JSON
    logged = models["1"].example
    assert logged is not None
    assert post(server, example.content).json() == {"predictions": models["1"].probabilities(logged).tolist()}


def test_every_answer_names_the_model_and_its_version(server: str, rows: pd.DataFrame) -> None:
    body, _ = good_requests(rows)["inputs"]
    answers = [
        post(server, body),
        post(server, b"garbage"),
        post(server, b"x" * (MAX_BODY + 1)),
        *(requests.get(server + path, timeout=60) for path in ("/ping", "/model", "/metrics", "/nowhere")),
    ]
    assert [each.status_code for each in answers] == [200, 400, 413, 200, 200, 200, 404]
    for each in answers:
        assert (each.headers["x-model-name"], each.headers["x-model-version"]) == (MODEL, "1")


@pytest.mark.parametrize("path", ["/ping", "/health", "/version", "/model", "/example", "/metrics"])
def test_head_is_answered_like_get_without_a_body(server: str, path: str) -> None:
    answer = requests.head(server + path, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["content-type"] == requests.get(server + path, timeout=60).headers["content-type"]


def test_the_model_page_and_the_metrics_have_the_followers_state(
    slots: Held, follower: Follower, rows: pd.DataFrame
) -> None:
    body, _ = good_requests(rows)["inputs"]
    with running(build(follower)) as url:
        post(url, body)
        post(url, b"garbage")
        requests.get(f"{url}/some/where/{'x' * 1000}", timeout=60)
        before = requests.get(f"{url}/model", timeout=60).json()
        slots.version = "2"
        follower.look()
        slots.version = "99"
        follower.look()
        after = requests.get(f"{url}/model", timeout=60).json()
        figures = requests.get(f"{url}/metrics", timeout=60)
    assert (before["model"], before["slot"], before["version"], before["swaps"]) == (MODEL, "production", "1", 0)
    assert [each["name"] for each in before["inputs"]] == FEATURES
    assert before["problem"] is None
    assert (after["version"], after["swaps"], after["failed_loads"]) == ("2", 1, 1)
    assert after["problem"].endswith("version 2 continues to answer.")
    assert figures.headers["content-type"].startswith("text/plain")
    for line in (
        'workshop_requests_total{code="200",path="/invocations"} 1.0',
        'workshop_requests_total{code="400",path="/invocations"} 1.0',
        'workshop_requests_total{code="404",path="other"} 1.0',
        'workshop_request_seconds_count{path="/invocations"} 2.0',
        'workshop_model_info{model="wine_quality",slot="production",version="2"} 1.0',
        "workshop_swaps_total 1.0",
        "workshop_failed_loads_total 1.0",
        "workshop_seconds_since_in_step 0.",
    ):
        assert line in figures.text, line
    assert "xxxx" not in figures.text
