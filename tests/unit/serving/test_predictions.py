"""Predictions during swaps, with a failing or slow model, and for clients that disconnect."""

import http.client
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
import requests

from tests.support.serving_requests import JSON, Wrapped, good_requests, post, require_one_sentence
from tests.unit.serving.conftest import NEVER, Held, running
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel
from workshop.serving.app import build


def test_a_client_that_disconnects_does_not_disturb_others(
    server: str, rows: pd.DataFrame, capfd: Any, caplog: Any
) -> None:
    connection = http.client.HTTPConnection(str(urlparse(server).netloc), timeout=60)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Type", JSON)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"inputs":')
    connection.close()
    body, _ = good_requests(rows)["inputs"]
    assert post(server, body).status_code == 200
    assert "Traceback" not in capfd.readouterr().err + caplog.text


def install(slots: Held, version: str, instead: Any) -> Follower:
    """Return a follower of a version that answers its example, and after that behaves as `instead`."""
    ready = threading.Event()
    wrapped = Wrapped(slots.models["1"].pyfunc, lambda rows, go: instead(rows, go) if ready.is_set() else go())
    slots.models[version] = LoadedModel(version, "", wrapped)
    slots.version = version
    follower = Follower(slots, every=NEVER)
    ready.set()
    return follower


def test_a_request_during_a_swap_is_answered_by_one_version(slots: Held, rows: pd.DataFrame) -> None:
    def swap(_: Any, go: Any) -> Any:
        slots.version = "2"
        assert follower.look().model.version == "2"
        return go()

    follower = install(slots, "7", swap)
    body, _ = good_requests(rows)["inputs"]
    with running(build(follower)) as url:
        during, after = post(url, body), post(url, body)
    assert during.headers["x-model-version"] == "7"
    assert during.json()["predictions"] == slots.models["1"].probabilities(rows).tolist()
    assert after.headers["x-model-version"] == "2"
    assert after.json()["predictions"] == slots.models["2"].probabilities(rows).tolist()


def fails(error: type[Exception]) -> Callable[[Any, Any], Any]:
    def fail(_: Any, __: Any) -> Any:
        raise error("secret/path is broken")

    return fail


@pytest.mark.parametrize(
    ("instead", "kind"),
    [(fails(RuntimeError), "RuntimeError"), (fails(ValueError), "ValueError"), (lambda *_: object(), "TypeError")],
    ids=["it fails", "it fails with an error of bad input", "its answer is not JSON"],
)
def test_a_failing_model_is_one_sentence_with_status_500(
    slots: Held, rows: pd.DataFrame, instead: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    follower = install(slots, "7", instead)
    body, _ = good_requests(rows)["inputs"]
    with running(build(follower)) as url:
        failed = post(url, body)
        assert requests.get(f"{url}/ping", timeout=60).status_code == 200
    assert (failed.status_code, failed.json()["error_code"]) == (500, "INTERNAL_ERROR")
    require_one_sentence(failed, f"version 7, failed ({kind})")
    assert "secret" not in failed.text
    assert f"Version 7 failed: {kind}" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_slow_prediction_times_out_and_delays_no_other_request(
    slots: Held, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "1")
    predicting, let_go = threading.Event(), threading.Event()

    def wait(_: Any, go: Any) -> Any:
        predicting.set()
        let_go.wait(timeout=60)
        return go()

    follower = install(slots, "7", wait)
    body, _ = good_requests(rows)["inputs"]
    answers: list[requests.Response] = []
    with running(build(follower)) as url:
        client = threading.Thread(target=lambda: answers.append(post(url, body)))
        client.start()
        assert predicting.wait(timeout=60)
        assert requests.get(f"{url}/ping", timeout=60).status_code == 200
        client.join()
        let_go.set()
    assert (answers[0].status_code, answers[0].json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
    require_one_sentence(answers[0], "within 1 seconds")


def test_every_answer_during_swaps_comes_from_one_version(slots: Held, follower: Follower, rows: pd.DataFrame) -> None:
    body, _ = good_requests(rows)["dataframe_split"]
    expected = {version: slots.models[version].probabilities(rows).tolist() for version in ("1", "2")}
    assert not np.array_equal(expected["1"], expected["2"])
    versions: list[set[str]] = [set() for _ in range(4)]
    done = threading.Event()

    def request(seen: set[str]) -> None:
        with requests.Session() as session:
            while not done.is_set():
                answer = session.post(f"{url}/invocations", body, headers={"Content-Type": JSON}, timeout=60)
                assert answer.status_code == 200, answer.text
                version = answer.headers["x-model-version"]
                assert answer.json() == {"predictions": expected[version]}
                seen.add(version)

    with running(build(follower)) as url, ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(request, seen) for seen in versions]
        while follower.state.swaps < 20 or any(seen != {"1", "2"} for seen in versions):
            slots.version = "2" if slots.version == "1" else "1"
            follower.look()
            if any(client.done() for client in clients):
                break
            done.wait(0.01)
        done.set()
        for client in clients:
            client.result()
