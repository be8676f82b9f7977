"""Requests that the server refuses: each gets one sentence."""

import json
from typing import Any

import pandas as pd
import pytest
import requests

from tests.support.serving_requests import CSV, JSON, Wrapped, good_requests, post, require_one_sentence
from tests.unit.serving.conftest import NEVER, Held, running
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel
from workshop.serving.app import build


def test_a_version_without_an_example_is_one_sentence(slots: Held) -> None:
    pyfunc = Wrapped(slots.models["1"].pyfunc, lambda rows, go: go())
    pyfunc.input_example = None
    slots.models["7"] = LoadedModel("7", "", pyfunc)
    slots.version = "7"
    with running(build(Follower(slots, every=NEVER))) as url:
        refused = requests.get(f"{url}/example", timeout=60)
    assert (refused.status_code, refused.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    require_one_sentence(refused, "Version 7 was logged without an input example")


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
