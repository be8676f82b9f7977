"""Clients of a scoring server: several at once, each asking again as soon as it is answered.

`python -m bench.serving_clients URL EXPECTED SECONDS`; EXPECTED is the file that `bench.serving_steps` writes. It
imports nothing big, because on few cores the clients must leave the machine to the server. It says `asking` when it
begins; the last line printed is JSON.

A request fails when nobody answers, or with another status than 200. An answer is mixed when it is not, byte for byte,
that of the version which its header names, or, without such a header, that of any version.
"""

import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

CLIENTS = 8
PAUSE = 0.05
"""Seconds that a client waits after a failed request; without it, failures would count the client's speed."""
_TIMEOUT = 30


@dataclass
class Tally:
    """What one client, or all together, have seen."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    mixed: int = 0


def ask(address: str, body: bytes, expected: Mapping[str, bytes], until: float, tally: Tally) -> None:
    """Ask again and again over one connection, as long as it holds."""
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT)
    while time.perf_counter() < until:
        started = time.perf_counter()
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            answer = None
        if answer is None or answer.status != 200:
            tally.failed += 1
            connection.close()
            time.sleep(PAUSE)
            continue
        tally.latencies.append(time.perf_counter() - started)
        version = answer.getheader("X-Model-Version")
        right = said in expected.values() if version is None else said == expected.get(version)
        tally.mixed += not right
    connection.close()


def main(url: str, expected_file: str, seconds: str) -> None:
    """Let all clients ask for so many seconds, and print what they saw."""
    told = json.loads(Path(expected_file).read_text(encoding="utf-8"))
    body = told["body"].encode()
    expected = {version: answer.encode() for version, answer in told["answers"].items()}
    tallies = [Tally() for _ in range(CLIENTS)]
    until = time.perf_counter() + float(seconds)
    threads = [
        threading.Thread(target=ask, args=(urlparse(url).netloc, body, expected, until, tally)) for tally in tallies
    ]
    print("asking", flush=True)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = [latency for tally in tallies for latency in tally.latencies]
    percentiles = statistics.quantiles(latencies, n=100)
    figures = {
        "answered": len(latencies),
        "failed": sum(tally.failed for tally in tallies),
        "mixed": sum(tally.mixed for tally in tallies),
        "rate": len(latencies) / float(seconds),
        "p50": percentiles[49],
        "p99": percentiles[98],
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
