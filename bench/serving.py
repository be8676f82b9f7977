"""`workshop serve` while Production changes hands, against itself without promotions and against a restarted server.

Eight clients ask without a pause; every answer is compared, byte for byte, with what MLflow's own scoring function
gives for the version that the answer names. A minute without promotions, then a minute with twenty, promotion and
rollback in turn, spread evenly: the target is that nobody fails, nobody gets a mixed answer, and that the slowest
hundredth of the requests is at most twice as slow as in the quiet minute of the same round.

The peer is `mlflow models serve`, which speaks the same protocol but takes the version that holds the alias when it
starts, so a promotion reaches nobody until it is restarted. It needs seconds to come up, so it gets fewer promotions.
A client whose request has failed waits a moment before it asks again: the number of failures says how long the peer
was away, not how fast one can be refused. `BENCH_SERVING_SECONDS` shortens the minutes.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from socket import create_server
from urllib.parse import urlparse

from bench.measure import BrokenError, Result, Row, Spread, Target, Tell, compared, environment, timed, workplace
from bench.serving_clients import CLIENTS

SECONDS = float(os.environ.get("BENCH_SERVING_SECONDS", "60"))
EVERY = 0.5
PROMOTIONS = 20
RESTARTS = 3
NONE = Target("≤", 0)
AT_MOST_DOUBLE = Target("≤", 2.0)
PEER = f"mlflow models serve, restarted at {RESTARTS} promotions"
_SECONDS_TO_START = 120
_POLL = 0.05

QUIET, PROMOTING, PEER_QUIET, PEER_RESTARTED = "quiet", "promoting", "peer quiet", "peer restarted"

Figures = Mapping[str, float]
Promote = Callable[[str], object]
"""Gives Production to a version."""


def measure(rounds: int, tell: Tell) -> Result:
    """Measure the quiet and the busy minute of both servers, taking turns."""
    figures: dict[str, list[Figures]] = {name: [] for name in (QUIET, PROMOTING, PEER_QUIET, PEER_RESTARTED)}
    swaps: list[float] = []
    with workplace() as folder:
        variables, expected = environment(folder / "home"), folder / "expected.json"
        tell("serving: registering two versions")
        timed([sys.executable, "-m", "bench.serving_steps", "prepare", expected], variables)
        with _promoter(variables) as promote:
            for number in range(rounds):
                tell(f"serving: round {number + 1} of {rounds}, workshop serve, two times {SECONDS:g} s")
                promote("1")
                with _workshop_serve(variables) as url:
                    figures[QUIET].append(_asked(url, expected))
                    figures[PROMOTING].append(_asked(url, expected, PROMOTIONS, promote))
                    swaps.append(_swaps(url))
                tell(f"serving: round {number + 1} of {rounds}, mlflow models serve, two times {SECONDS:g} s")
                with _Peer(folder / "home", variables) as peer:
                    figures[PEER_QUIET].append(_asked(peer.url, expected))
                    figures[PEER_RESTARTED].append(_asked(peer.url, expected, RESTARTS, peer.following(promote)))
    quiet, promoting, busy = figures[QUIET], figures[PROMOTING], f"p99, {PROMOTIONS} promotions"
    return Result(
        f"serving: {CLIENTS} clients, {SECONDS:g} s each, while Production changes hands",
        f"workshop serve looks every {EVERY:g} s and has taken over {Spread(swaps).shown('{:.0f}')} times in "
        f"{PROMOTIONS} promotions; a client waits a moment after a failed request; p99 is of the answered ones",
        [
            _count("failed", f"failed requests, {PROMOTIONS} promotions", figures),
            _count("mixed", "answers of two versions at once", figures),
            _latency(busy, promoting, "itself, no promotions", quiet, AT_MOST_DOUBLE),
            _latency(busy, promoting, PEER, figures[PEER_RESTARTED], None),
            _latency("p99, no promotions", quiet, "mlflow models serve", figures[PEER_QUIET], None),
            compared(
                "answers a second, no promotions",
                _rate(quiet),
                "mlflow models serve",
                _rate(figures[PEER_QUIET]),
                None,
            ),
        ],
    )


def _asked(url: str, expected: Path, promotions: int = 0, promote: Promote = str) -> Figures:
    """Let the clients ask, and meanwhile promote version 2 and version 1 in turn, spread evenly."""
    command = [sys.executable, "-m", "bench.serving_clients", url, str(expected), str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout is not None
        clients.stdout.readline()
        started = time.perf_counter()
        for number, version in zip(range(1, promotions + 1), cycle("21"), strict=False):
            time.sleep(max(0.0, started + number * SECONDS / (promotions + 1) - time.perf_counter()))
            promote(version)
        said = clients.stdout.read()
    if clients.returncode:
        raise BrokenError(f"The clients of {url} ended with {clients.returncode}: look above.")
    figures: Figures = json.loads(said)
    return figures


@contextmanager
def _promoter(variables: Mapping[str, str]) -> Iterator[Promote]:
    """A process that has MLflow loaded and assigns Production when told to."""
    command = [sys.executable, "-m", "bench.serving_steps", "promote"]
    with subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        said = process.stdout.readline()

        def promote(version: str) -> None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{version}\n")
            process.stdin.flush()
            if process.stdout.readline().strip() != version:
                raise BrokenError(f"Version {version} could not be promoted: look above.")

        if said.strip() != "ready":
            raise BrokenError("The process that promotes did not start: look above.")
        yield promote
        process.stdin.close()


@contextmanager
def _workshop_serve(variables: Mapping[str, str]) -> Iterator[str]:
    """A real `workshop serve`; gives its URL."""
    command = [sys.executable, "-m", "workshop", "serve", "--port", "0", "--every", str(EVERY)]
    # A session of its own, as the peer has: Linux shares the cores out among sessions, not among processes.
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        assert server.stdout is not None
        announced = server.stdout.readline().split()
        urls = [word for word in announced if word.startswith("http://")]
        try:
            if not urls:
                raise BrokenError("`workshop serve` did not start: look above.")
            yield urls[0]
        finally:
            server.terminate()
    if server.returncode:
        raise BrokenError(f"`workshop serve` ended with {server.returncode} when it was told to stop.")


def _swaps(url: str) -> float:
    connection = http.client.HTTPConnection(urlparse(url).netloc, timeout=_SECONDS_TO_START)
    connection.request("GET", "/model")
    swaps = float(json.loads(connection.getresponse().read())["swaps"])
    connection.close()
    if not swaps:
        raise BrokenError("`workshop serve` has followed no promotion, so there is nothing to measure.")
    return swaps


class _Peer:
    """`mlflow models serve` on Production, restarted at each promotion."""

    def __init__(self, home: Path, variables: Mapping[str, str]) -> None:
        with create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        scripts = Path(sys.executable).parent
        self._variables = {
            **variables,
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
            "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def __enter__(self) -> "_Peer":
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def following(self, promote: Promote) -> Promote:
        """How to promote a version so that this server takes it: stop, start, wait until it is there."""

        def promote_and_restart(version: str) -> None:
            promote(version)
            self._stop()
            self._start()

        return promote_and_restart

    def _start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/wine_quality@production"]
        self._process = subprocess.Popen(
            [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(self._port)],
            env=self._variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.perf_counter() + _SECONDS_TO_START
        while not self._is_there():
            if self._process.poll() is not None or time.perf_counter() > until:
                raise BrokenError("`mlflow models serve` did not start.")
            time.sleep(_POLL)

    def _stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def _is_there(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _count(kind: str, what: str, figures: Mapping[str, list[Figures]]) -> Row:
    worst = max(each[kind] for each in figures[PROMOTING])
    ours, peers = (_of_all(kind, figures[name]) for name in (PROMOTING, PEER_RESTARTED))
    return Row(what, ours, PEER, peers, target=NONE, met=NONE.met_by(worst))


def _of_all(kind: str, figures: list[Figures]) -> str:
    number = sum(each[kind] for each in figures)
    return f"{number:,.0f} of {sum(each['answered'] + each['failed'] for each in figures):,.0f}"


def _latency(what: str, ours: list[Figures], peer: str, peers: list[Figures], target: Target | None) -> Row:
    return compared(what, _p99(ours), peer, _p99(peers), target)


def _p99(figures: list[Figures]) -> tuple[str, Spread]:
    spread = Spread([1000 * each["p99"] for each in figures])
    return spread.shown("{:.1f}", "ms"), spread


def _rate(figures: list[Figures]) -> tuple[str, Spread]:
    spread = Spread([each["rate"] for each in figures])
    return spread.shown("{:,.0f}", "/s"), spread
