"""The app over real HTTP: the answers of MLflow's scoring server, and one sentence for every bad request."""

import gzip
import http.client
import io
import json
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.pyfunc import scoring_server

from tests.support.models import MODEL
from tests.unit.serving.conftest import NEVER, Held, running
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel
from workshop.serving import bodies
from workshop.serving.answers import RefusedError
from workshop.serving.app import build

JSON = "application/json"
CSV = "text/csv"
MAX_BODY = 50_000


@pytest.fixture(scope="module")
def server(models: dict[str, LoadedModel]) -> Iterator[str]:
    """A server of version 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workshop.core.registry.follower.load_version", lambda client, name, version: models[version])
        follower = Follower(Held("1"), every=NEVER)
    with running(build(follower, MAX_BODY)) as url:
        yield url


@pytest.fixture(scope="module")
def reference(models: dict[str, LoadedModel]) -> Iterator[str]:
    """MLflow's scoring server of version 1."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        with running(scoring_server.init(models["1"].pyfunc)) as url:
            yield url


@pytest.fixture(scope="module")
def rows(wines: pd.DataFrame) -> pd.DataFrame:
    return wines[FEATURES].tail(7).reset_index(drop=True)


def post(url: str, body: Any, content_type: str | None = JSON) -> requests.Response:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return requests.post(f"{url}/invocations", data=body, headers=headers, timeout=60)


def good_requests(rows: pd.DataFrame) -> dict[str, tuple[bytes, str]]:
    columns = rows.to_dict(orient="list")
    records = rows.to_dict(orient="records")
    shuffled = rows[rows.columns[::-1]]
    split = {"columns": list(rows), "data": rows.to_numpy().tolist()}
    parquet = io.BytesIO()
    rows.to_parquet(parquet)
    bodies: dict[str, Any] = {
        "dataframe_split": {"dataframe_split": split},
        "with an index": {"dataframe_split": {**split, "index": [f"row {number}" for number in range(len(rows))]}},
        "columns in another order": {"dataframe_split": shuffled.to_dict(orient="split")},
        "dataframe_records": {"dataframe_records": records},
        "records in another order": {"dataframe_records": shuffled.to_dict(orient="records")},
        "inputs": {"inputs": columns},
        "records as inputs": {"inputs": records},
        "instances": {"instances": records},
        "columns as instances": {"instances": columns},
        "one row": {"dataframe_records": records[:1]},
        "a column too many": {"dataframe_records": [{**each, "colour": "red"} for each in records]},
        "missing values": {"dataframe_records": [{**each, "alcohol": None} for each in records]},
        "numbers as text": {"dataframe_records": [{**each, "alcohol": "11.5"} for each in records]},
        "params": {"dataframe_split": split, "params": {}},
    }
    as_json = {name: (json.dumps(body).encode(), JSON) for name, body in bodies.items()}
    return {
        **as_json,
        "charset": (as_json["inputs"][0], "application/json; charset=UTF-8"),
        "not a number": (as_json["one row"][0].replace(b"}]", b', "x": NaN}]'), JSON),
        "csv": (rows.to_csv(index=False).encode(), CSV),
        "csv with an index": (shuffled.to_csv().encode(), CSV),
        "parquet": (parquet.getvalue(), "application/vnd.apache.parquet"),
    }


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


@pytest.mark.parametrize(
    "content_type",
    [
        "APPLICATION/JSON",
        "Application/Json;Charset=Utf-8",
        'application/json; charset="utf-8"',
        "application/json ; charset=utf8",
        "application/json; charset=US-ASCII",
        "application/json;",
    ],
)
def test_a_media_type_may_have_other_case_and_a_charset(content_type: str, server: str, rows: pd.DataFrame) -> None:
    body, plain = good_requests(rows)["inputs"]
    assert post(server, body, content_type).json() == post(server, body, plain).json()


def without_header(body: bytes) -> bytes:
    """Deflate without zlib's header."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def encoded(server: str, body: bytes, encoding: str, content_type: str = JSON) -> requests.Response:
    headers = {"Content-Type": content_type, "Content-Encoding": encoding}
    return requests.post(f"{server}/invocations", data=body, headers=headers, timeout=60)


def members(body: bytes) -> bytes:
    """Compress into several gzip members, as RFC 1952 allows."""
    return gzip.compress(body[:10]) + gzip.compress(b"") + gzip.compress(body[10:])


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("GZip", gzip.compress),
        ("gzip", members),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", without_header),
        ("identity", bytes),
        ("identity, gzip", gzip.compress),
        ("", bytes),
    ],
)
def test_a_compressed_body_is_read(
    encoding: str, encode: Callable[[bytes], bytes], server: str, rows: pd.DataFrame
) -> None:
    for name in ("inputs", "csv", "parquet"):
        body, content_type = good_requests(rows)[name]
        answered = encoded(server, encode(body), encoding, content_type)
        assert answered.status_code == 200, (name, answered.text)
        assert answered.json() == post(server, body, content_type).json()


@pytest.mark.parametrize(
    ("encoding", "body", "status", "words"),
    [
        ("br", b"{}", 415, "'br'"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), 415, "'gzip, gzip'"),
        ("gzip", b"{}", 400, "not valid gzip"),
        ("gzip", gzip.compress(b"{}")[:-3], 400, "send it whole"),
        ("gzip", gzip.compress(b"{}") + b"more", 400, "send it whole"),
        ("deflate", b"{}", 400, "not valid deflate"),
        ("deflate", zlib.compress(b"{}") * 2, 400, "not valid deflate"),
        ("gzip", gzip.compress(bytes(MAX_BODY)) + gzip.compress(b"1"), 413, f"larger than {MAX_BODY:,} bytes"),
        ("gzip", gzip.compress(bytes(200 * MAX_BODY)), 413, f"larger than {MAX_BODY:,} bytes"),
        ("deflate", zlib.compress(bytes(MAX_BODY + 1)), 413, f"larger than {MAX_BODY:,} bytes"),
        ("gzip", gzip.compress(bytes(MAX_BODY)), 400, ""),
    ],
    ids=range(11),  # the compressed bytes contain the time
)
def test_a_body_in_a_wrong_encoding_is_one_sentence(
    encoding: str, body: bytes, status: int, words: str, server: str
) -> None:
    refused = encoded(server, body, encoding)
    assert refused.status_code == status, refused.text
    require_one_sentence(refused, words)


def test_a_decompression_bomb_stays_small() -> None:
    bomb = gzip.compress(bytes(64 * 2**20))
    tracemalloc.start()
    with pytest.raises(RefusedError):
        bodies.decoded(bomb, "gzip", MAX_BODY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * MAX_BODY


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


def test_a_version_without_an_example_is_one_sentence(slots: Held) -> None:
    pyfunc = Wrapped(slots.models["1"].pyfunc, lambda rows, go: go())
    pyfunc.input_example = None
    slots.models["7"] = LoadedModel("7", "", pyfunc)
    slots.version = "7"
    with running(build(Follower(slots, every=NEVER))) as url:
        refused = requests.get(f"{url}/example", timeout=60)
    assert (refused.status_code, refused.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    require_one_sentence(refused, "Version 7 was logged without an input example")


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


def bad_requests(rows: pd.DataFrame) -> dict[str, tuple[Any, str | None, int, str]]:
    split = {"columns": list(rows), "data": rows.to_numpy().tolist()}
    records = rows.to_dict(orient="records")
    dumped = json.dumps({"dataframe_split": split})
    missing = {"dataframe_records": [{key: each[key] for key in FEATURES if key != "alcohol"} for each in records]}

    def with_value(value: Any) -> str:
        return json.dumps({"dataframe_records": [{**records[0], "alcohol": value}]})

    return {
        "no body": (b"", JSON, 400, "not JSON"),
        "half a body": (dumped[:40], JSON, 400, "not JSON"),
        "garbage": (b"garbage", JSON, 400, "not JSON"),
        "garbage after it": (f"{dumped} and more", JSON, 400, "Extra data"),
        "not UTF-8": (b'{"inputs": "\xff\xfe"}', JSON, 400, "not UTF-8"),
        "compressed": (b"\x1f\x8b\x08\x00\xff", JSON, 400, "not UTF-8"),
        "nested without end": (b"[" * 40_000, JSON, 400, "nested too deeply"),
        "objects in objects": (b'{"inputs":' + b'{"a":' * 900 + b"1" + b"}" * 901, JSON, 400, ""),
        "null": (b"null", JSON, 400, "exactly one of"),
        "a list": (b"[1, 2]", JSON, 400, "exactly one of"),
        "nothing known": (b'{"rows": []}', JSON, 400, "exactly one of"),
        "two at once": (json.dumps({"inputs": records, "instances": records}), JSON, 400, "exactly one of"),
        "for a language model": (b'{"messages": [{"role": "user", "content": "wine?"}]}', JSON, 400, ""),
        "a prompt": (b'{"prompt": "wine?"}', JSON, 400, ""),
        "a column missing": (json.dumps(missing), JSON, 400, "missing inputs ['alcohol']"),
        "no rows": (b'{"dataframe_records": []}', JSON, 400, "missing inputs"),
        "columns, but no rows": (json.dumps({"dataframe_split": {**split, "data": []}}), JSON, 400, "0 sample"),
        "records: a number": (b'{"dataframe_records": 5}', JSON, 400, "list of records"),
        "records of numbers": (b'{"dataframe_records": [1, 2]}', JSON, 400, "missing inputs"),
        "split: a list": (b'{"dataframe_split": [1]}', JSON, 400, "must be a dictionary"),
        "a split without data": (b'{"dataframe_split": {"columns": []}}', JSON, 400, "data"),
        "rows of two lengths": (json.dumps({"dataframe_split": {**split, "data": [[1], [1, 2]]}}), JSON, 400, ""),
        "a column twice": (
            json.dumps({"dataframe_split": {"columns": [*FEATURES, "alcohol"], "data": [[1.0] * 13]}}),
            JSON,
            400,
            "",
        ),
        "columns that are lists": (b'{"dataframe_split": {"columns": [["a"], {}], "data": [[1, 2]]}}', JSON, 400, ""),
        "instances of two lengths": (b'{"instances": {"alcohol": [1, 2], "pH": [1]}}', JSON, 400, ""),
        "inputs: null": (b'{"inputs": null}', JSON, 400, ""),
        "inputs: empty": (b'{"inputs": {}}', JSON, 400, "missing inputs"),
        "text for a number": (with_value("strong"), JSON, 400, "alcohol"),
        "an object for a number": (with_value({"value": 9}), JSON, 400, "alcohol"),
        "infinity": (with_value(float("inf")), JSON, 400, "infinity"),
        "too large a number": (with_value(1e300), JSON, 400, "too large"),
        "params: a number": (json.dumps({"dataframe_split": split, "params": 3}), JSON, 200, ""),
        "unknown params": (json.dumps({"dataframe_split": split, "params": {"x": 1}}), JSON, 200, ""),
        "csv: empty": (b"", CSV, 400, "No columns"),
        "csv: columns missing": (b"alcohol,pH\n9.5,3.2\n", CSV, 400, "missing inputs"),
        "csv: text for a number": (f"{','.join(FEATURES)}\n{','.join(['x'] * 12)}\n", CSV, 400, ""),
        "csv: no rows": (f"{','.join(FEATURES)}\n", CSV, 400, "0 sample"),
        "csv: not UTF-8": (b"alcohol\n\xff\xfe\n", CSV, 400, "UTF-8"),
        "csv: ragged": (b"a,b\n1,2\n1,2,3,4\n", CSV, 400, ""),
        "parquet: garbage": (b"PAR1 not really", "application/vnd.apache.parquet", 400, ""),
        "no content type": (dumped, None, 400, "content-type"),
        "another content type": (dumped, "text/html", 415, "application/json"),
        "no content type at all": (dumped, ";;;", 415, "application/json"),
        "another character set": (dumped, "application/json; charset=latin-1", 415, "UTF-8"),
        "further parameters": (dumped, "application/json; version=2", 415, "without further parameters"),
    }


@pytest.mark.filterwarnings("ignore:Constructing a DataFrame", "ignore:overflow encountered in cast")
def test_a_bad_request_gets_one_sentence(server: str, rows: pd.DataFrame) -> None:
    for name, (body, content_type, status, words) in bad_requests(rows).items():
        refused = post(server, body, content_type)
        assert refused.status_code == status, (name, refused.text)
        if status != 200:
            require_one_sentence(refused, words, name)
            assert len(refused.content) < 700, name
    body, _ = good_requests(rows)["inputs"]
    assert post(server, body).status_code == 200


def require_one_sentence(refused: requests.Response, words: str, name: str = "") -> None:
    assert refused.headers["content-type"] == JSON, name
    answer = refused.json()
    assert set(answer) == {"error_code", "message"}, name
    sentence = answer["message"]
    assert words.lower() in sentence.lower(), (name, sentence)
    assert sentence.endswith(".") and not sentence.endswith("..") and "\n" not in sentence, (name, sentence)
    assert "Traceback" not in sentence and "site-packages" not in sentence, (name, sentence)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/invocations", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/ping", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/ping/", 404, "ENDPOINT_NOT_FOUND"),
        ("POST", "/invocations/../etc", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/openapi.json", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", "/%00%ff", 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_a_wrong_address_or_method_gets_one_sentence(
    server: str, method: str, path: str, status: int, code: str
) -> None:
    refused = requests.request(method, server + path, timeout=60)
    assert (refused.status_code, refused.json()["error_code"]) == (status, code)
    require_one_sentence(refused, "")
    assert ("allow" in refused.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/ping", "/health", "/version", "/model", "/example", "/metrics"])
def test_head_is_answered_like_get_without_a_body(server: str, path: str) -> None:
    answer = requests.head(server + path, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["content-type"] == requests.get(server + path, timeout=60).headers["content-type"]


def test_a_body_of_the_maximal_size_is_read(server: str, rows: pd.DataFrame) -> None:
    body, _ = good_requests(rows)["inputs"]
    assert post(server, body.ljust(MAX_BODY)).status_code == 200
    refused = post(server, body.ljust(MAX_BODY + 1))
    assert (refused.status_code, refused.json()["error_code"]) == (413, "REQUEST_TOO_LARGE")
    require_one_sentence(refused, "larger than 50,000 bytes")


def test_a_much_too_large_body_is_refused_without_a_reset(server: str) -> None:
    # Larger than the buffers of a connection: the client is still sending when it is refused.
    with requests.Session() as session:
        for body in (b"x" * 20_000_000, b"x" * 20_000_000, (b"x" * 10_000 for _ in range(300))):
            refused = session.post(f"{server}/invocations", body, headers={"Content-Type": JSON}, timeout=60)
            assert refused.status_code == 413
            require_one_sentence(refused, "larger than")


def test_a_content_length_is_refused_before_the_body_arrives(server: str) -> None:
    connection = http.client.HTTPConnection(str(urlparse(server).netloc), timeout=60)
    connection.putrequest("POST", "/invocations")
    connection.putheader("Content-Type", JSON)
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error_code"]) == (413, "REQUEST_TOO_LARGE")
    connection.close()


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


class Wrapped:
    """A pyfunc model with another `predict`."""

    def __init__(self, pyfunc: Any, instead: Any) -> None:
        self.metadata = pyfunc.metadata
        self.input_example = pyfunc.input_example
        self._pyfunc = pyfunc
        self._instead = instead

    def predict(self, rows: Any, params: Any = None) -> Any:
        return self._instead(rows, lambda: self._pyfunc.predict(rows, params=params))


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
