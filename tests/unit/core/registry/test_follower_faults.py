"""A follower whose slot is empty, whose version is broken, or whose registry is in trouble."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from databricks_local.mlflow_server import free_port
from tests.support.follower import NEVER, until
from tests.support.models import MODEL, Gallery, answering, refusal
from workshop.core.registry.follower import Follower
from workshop.core.registry.model import LoadedModel
from workshop.core.registry.slots import Slot, Slots, open_slots

BROKEN = -1_000_000


def test_an_empty_slot_is_refused_at_the_start(kind: str, registry: MlflowClient) -> None:
    with refusal("No version holds production of wine_quality", "promote one first"):
        Follower(open_slots(registry, MODEL))


def test_a_model_that_is_not_there_is_refused_at_the_start(kind: str, registry: MlflowClient) -> None:
    with refusal("No version holds production of cider"):
        Follower(open_slots(registry, "cider"))


def test_a_first_version_that_can_not_be_loaded_is_refused(slots: Slots, loads: dict[str, int]) -> None:
    loads["1"] = BROKEN
    with refusal("Version 1 is broken"):
        Follower(slots)


def test_a_slot_that_is_emptied_leaves_the_old_version_answering(kind: str, slots: Slots) -> None:
    follower = Follower(slots, every=NEVER)
    if kind == "alias":
        slots.client.delete_registered_model_alias(MODEL, "production")
    else:
        with pytest.warns(FutureWarning):
            slots.client.transition_model_version_stage(MODEL, "1", "None")
    state = follower.look()
    assert state.model.version == "1"
    assert state.problem == (
        "No version holds production of wine_quality any more: promote one; version 1 continues to answer."
    )
    assert state.in_step < state.looked
    slots.assign(Slot.PRODUCTION, "2")
    assert (follower.look().model.version, follower.state.problem) == ("2", None)


def test_a_version_that_is_deleted_goes_on_answering(kind: str, slots: Slots, production: pd.DataFrame) -> None:
    follower = Follower(slots, every=NEVER)
    before = follower.model.probabilities(production)
    if kind == "stage":
        with pytest.warns(FutureWarning):
            slots.client.transition_model_version_stage(MODEL, "1", "Archived")
    slots.client.delete_model_version(MODEL, "1")
    state = follower.look()
    assert "version 1 continues to answer" in str(state.problem)
    assert np.array_equal(follower.model.probabilities(production), before)


def test_a_version_whose_artifacts_are_damaged_does_not_take_over(
    kind: str, slots: Slots, gallery: Gallery, production: pd.DataFrame
) -> None:
    follower = Follower(slots, every=NEVER)
    before = follower.model.probabilities(production)
    with damaged(slots.client, "3"):
        slots.assign(Slot.PRODUCTION, "3")
        state = follower.look()
    assert (state.model.version, state.swaps, state.failed_loads) == ("1", 0, 1)
    assert "version 3" in str(state.problem) and str(state.problem).endswith("; version 1 continues to answer.")
    assert np.array_equal(follower.model.probabilities(production), before)
    follower.look()
    recovered = follower.look()
    assert (recovered.model.version, recovered.problem, recovered.swaps) == ("3", None, 1)


def test_a_broken_version_is_tried_again_with_growing_pauses(slots: Slots, loads: dict[str, int]) -> None:
    follower = Follower(slots, every=NEVER)
    loads["2"] = BROKEN
    slots.assign(Slot.PRODUCTION, "2")
    tried = []
    for number in range(250):
        before = loads["2"]
        state = follower.look()
        assert "Version 2 is broken" in str(state.problem)
        if loads["2"] != before:
            tried.append(number)
    assert [later - earlier - 1 for earlier, later in pairwise(tried)] == [1, 2, 4, 8, 16, 32, 64, 64]
    assert follower.state.failed_loads == len(tried)


def test_another_version_does_not_wait_for_a_broken_one(slots: Slots, loads: dict[str, int]) -> None:
    follower = Follower(slots, every=NEVER)
    loads["2"] = BROKEN
    slots.assign(Slot.PRODUCTION, "2")
    for _ in range(8):
        follower.look()
    slots.assign(Slot.PRODUCTION, "3")
    assert follower.look().model.version == "3"
    attempts = follower.state.failed_loads
    slots.assign(Slot.PRODUCTION, "2")
    assert follower.look().failed_loads == attempts + 1


def test_a_version_that_can_not_answer_its_own_example_does_not_take_over(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = Follower(slots, every=NEVER)

    def load(client: MlflowClient, model_name: str, version: str) -> LoadedModel:
        def exits(_: pd.DataFrame) -> np.ndarray:
            raise SystemExit(3)

        stand_in = answering(exits)
        stand_in.pyfunc.input_example = pd.DataFrame()
        return stand_in

    monkeypatch.setattr("workshop.core.registry.follower.load_version", load)
    slots.assign(Slot.PRODUCTION, "3")
    state = follower.look()
    assert state.model.version == "1"
    assert state.problem == (
        "Could not let wine_quality version 3 answer its own input example (SystemExit: 3): look at its training code; "
        "version 1 continues to answer."
    )


@pytest.mark.parametrize("manner", ["refuses", "hangs up", "fails", "talks nonsense", "answers too late"])
def test_a_registry_in_trouble_leaves_the_old_version_answering(
    kind: str, manner: str, slots: Slots, monkeypatch: pytest.MonkeyPatch, loads: dict[str, int]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    follower = Follower(slots, every=NEVER)
    embedded = slots.client
    with registry_that(manner) as uri:
        slots.client = MlflowClient(uri, uri)
        state = follower.look()
    assert (state.model.version, state.failed_loads) == ("1", 0)
    assert state.problem is not None and "\n" not in state.problem
    assert state.problem.endswith("; version 1 continues to answer.")
    assert state.in_step < state.looked
    slots.client = embedded
    slots.assign(Slot.PRODUCTION, "2")
    assert (follower.look().model.version, follower.state.problem) == ("2", None)


def test_a_registry_that_hangs_holds_up_neither_answers_nor_the_end(
    slots: Slots, monkeypatch: pytest.MonkeyPatch, production: pd.DataFrame
) -> None:
    monkeypatch.setattr("workshop.core.registry.follower._SECONDS_TO_STOP", 0.01)
    hanging, let_go = threading.Event(), threading.Event()

    def hang(slot: Slot) -> str:
        hanging.set()
        let_go.wait()
        return "1"

    with Follower(slots, every=0.01) as follower:
        monkeypatch.setattr(slots, "holder", hang)
        assert hanging.wait(timeout=60)
        assert len(follower.model.probabilities(production)) == len(production)
    let_go.set()
    until(lambda: not [each for each in threading.enumerate() if each.name == "follow-production"])


def test_an_unexpected_error_does_not_end_the_thread(
    slots: Slots, loads: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_thought_of(slot: Slot) -> str:
        raise ZeroDivisionError("division by zero")

    with Follower(slots, every=0.01) as follower:
        monkeypatch.setattr(slots, "holder", nobody_thought_of)
        until(lambda: follower.state.problem is not None)
        assert "(ZeroDivisionError: division by zero)" in str(follower.state.problem)
        monkeypatch.undo()
        until(lambda: follower.state.problem is None)


@contextmanager
def damaged(client: MlflowClient, version: str) -> Iterator[None]:
    """The version's classifier is no classifier for a while; the artifacts are everybody's, so they come back."""
    location = client.get_model_version_download_uri(MODEL, version)
    folder = Path(unquote(urlparse(location).path))
    (classifier,) = folder.rglob("classifier.skops")
    kept = classifier.with_suffix(".kept")
    shutil.move(classifier, kept)
    classifier.write_bytes(b"no classifier")
    try:
        yield
    finally:
        shutil.move(kept, classifier)


@contextmanager
def registry_that(manner: str) -> Iterator[str]:
    """The URI of a registry that is in trouble."""
    if manner == "refuses":
        yield f"http://127.0.0.1:{free_port()}"
        return
    let_go = threading.Event()

    class Trouble(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if manner == "answers too late":
                let_go.wait(timeout=60)
            if manner in ("hangs up", "answers too late"):
                return
            body = b"<html>Please sign in</html>"
            self.send_response(500 if manner == "fails" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Trouble)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
