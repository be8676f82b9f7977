"""The bodies of requests over real HTTP: media types, encodings, sizes."""

import gzip
import http.client
import json
import tracemalloc
import zlib
from collections.abc import Callable
from urllib.parse import urlparse

import pandas as pd
import pytest
import requests

from tests.support.serving_requests import JSON, MAX_BODY, good_requests, post, require_one_sentence
from workshop.serving import bodies
from workshop.serving.answers import RefusedError


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
