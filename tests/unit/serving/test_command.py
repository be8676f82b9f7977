"""`workshop serve` as a real process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pandas as pd
import pytest
import requests
from mlflow import MlflowClient

from tests.support.models import MODEL, refusal
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import load_version
from workshop.core.registry.slots import Slot, open_slots
from workshop.serving.command import serve

SERVE = [sys.executable, "-m", "workshop", "serve", "--port", "0", "--every", "0.1"]


@pytest.mark.integration
def test_a_swap_reaches_clients_without_a_failed_request_and_sigterm_ends_the_server(
    registry: MlflowClient, wines: pd.DataFrame
) -> None:
    slots = open_slots(registry, MODEL)
    slots.assign(Slot.PRODUCTION, "1")
    rows = wines[FEATURES].head(3)
    expected = {version: load_version(registry, MODEL, version).probabilities(rows).tolist() for version in ("1", "2")}
    body = json.dumps({"dataframe_split": rows.to_dict(orient="split")})

    process = subprocess.Popen(SERVE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        announced = process.stdout.readline()
        url = re.fullmatch(
            r"wine_quality version 1 \(production\) answers on (http://127\.0\.0\.1:\d+) \(.*\)\n", announced
        )
        assert url is not None, announced

        def answered_by() -> str:
            answer = session.post(
                f"{url[1]}/invocations", body, headers={"Content-Type": "application/json"}, timeout=60
            )
            assert answer.status_code == 200, answer.text
            version = answer.headers["X-Model-Version"]
            assert answer.json() == {"predictions": expected[version]}
            return version

        with requests.Session() as session:
            for version in ("1", "2", "1"):
                slots.assign(Slot.PRODUCTION, version)
                assert any(answered_by() == version for _ in range(3000)), f"Version {version} never answered."
            assert session.get(f"{url[1]}/model", timeout=60).json()["swaps"] == 2
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    swaps = [
        f"wine_quality version {new} (production) answers now, in place of version {old}\n" for new, old in ("21", "12")
    ]
    assert (process.returncode, out, err) == (0, "".join(swaps), "")


def test_ctrl_c_ends_the_server(follower: Follower) -> None:
    versions: list[str] = []

    def request_and_stop(url: str) -> None:
        versions.append(requests.get(f"{url}/model", timeout=60).json()["version"])
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    clients: list[threading.Thread] = []

    def announce(url: str) -> None:
        clients.append(threading.Thread(target=request_and_stop, args=(url,)))
        clients[0].start()

    serve(follower, port=0, announce=announce)
    clients[0].join()
    assert versions == [follower.model.version]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_address_that_can_not_be_used_is_refused(follower: Follower) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with refusal(f"can't listen at 127.0.0.1:{port}", "--port"):
            serve(follower, port=port)
    with refusal("can't listen at no.such.host.invalid:0", "--host"):
        serve(follower, "no.such.host.invalid", 0)
