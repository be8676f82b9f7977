"""Requests to the scoring server, and what their answers must have."""

import io
import json
from typing import Any

import pandas as pd
import requests

JSON = "application/json"


CSV = "text/csv"


MAX_BODY = 50_000


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


def require_one_sentence(refused: requests.Response, words: str, name: str = "") -> None:
    assert refused.headers["content-type"] == JSON, name
    answer = refused.json()
    assert set(answer) == {"error_code", "message"}, name
    sentence = answer["message"]
    assert words.lower() in sentence.lower(), (name, sentence)
    assert sentence.endswith(".") and not sentence.endswith("..") and "\n" not in sentence, (name, sentence)
    assert "Traceback" not in sentence and "site-packages" not in sentence, (name, sentence)


class Wrapped:
    """A pyfunc model with another `predict`."""

    def __init__(self, pyfunc: Any, instead: Any) -> None:
        self.metadata = pyfunc.metadata
        self.input_example = pyfunc.input_example
        self._pyfunc = pyfunc
        self._instead = instead

    def predict(self, rows: Any, params: Any = None) -> Any:
        return self._instead(rows, lambda: self._pyfunc.predict(rows, params=params))
