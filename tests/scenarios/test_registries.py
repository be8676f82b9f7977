"""Promotions on each kind of registry: whole, interrupted and in parallel."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier

from databricks_local.mlflow_server import mlflow_server
from tests.conftest import isolated
from tests.support.commands import workshop
from tests.support.concurrent_runs import Entry, ForkServer
from tests.support.faulty_proxy import How, faulty_proxy
from tests.support.faulty_registry import MOST_CALLS, after_the_next_run, fresh_models
from tests.support.models import MODEL, refusal
from tests.support.postgres import postgres
from tests.support.servers import AuthenticatedServer, authenticated_mlflow_server
from workshop.core.data import datasets
from workshop.core.data.delta_table import Snapshot
from workshop.core.data.originals import read_originals
from workshop.core.data.schemas import FEATURES, TARGET
from workshop.core.errors import WorkshopError
from workshop.core.parameters import Parameters, Terms
from workshop.core.promotion import evaluate, manual
from workshop.core.promotion.evaluate import act, judge
from workshop.core.promotion.gate import Judgement
from workshop.core.promotion.history import History
from workshop.core.promotion.replay import replay
from workshop.core.registry import mlflow_store
from workshop.core.registry.model import log_candidate
from workshop.core.registry.slots import Slot, open_slots
from workshop.core.settings import current_settings

pytestmark = pytest.mark.integration

ROUNDS, ROUNDS_OF_A_QUICK_TEST = 20, 2
STRIDE_OF_A_QUICK_TEST = 12
PASSWORD = "a-participants-password"
EMBEDDED, SQLITE, POSTGRESQL = "embedded", "server with SQLite", "server with PostgreSQL"
REMAINING = [(POSTGRESQL, "stage"), (SQLITE, "alias"), (SQLITE, "stage")]


@pytest.fixture(scope="module")
def server_of(
    tmp_path_factory: pytest.TempPathFactory, user_home: Path, fresh_store: Path
) -> Iterator[Callable[[str], str | None]]:
    """A function that starts a kind of server at its first use, for all tests of this module.

    A parametrized fixture would start a new one for each test with parameters of its own.
    """
    serving: dict[str, str | None] = {EMBEDDED: None}
    with ExitStack() as running:

        def uri(kind: str) -> str | None:
            if kind not in serving:
                folder = tmp_path_factory.mktemp("registry")
                with isolated(folder / "home", user_home):
                    if kind == SQLITE:
                        shutil.copy(fresh_store, folder)
                        backend = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
                    else:
                        backend = running.enter_context(postgres())
                    serving[kind] = running.enter_context(mlflow_server(folder, backend, hands_out_artifacts=False))
            return serving[kind]

        yield uri


@pytest.fixture(params=[EMBEDDED, pytest.param(SQLITE, marks=pytest.mark.thorough), POSTGRESQL])
def server_uri(request: pytest.FixtureRequest, server_of: Callable[[str], str | None]) -> str | None:
    """A server that all tests of this module share, or None for the embedded store."""
    return server_of(request.param)


@pytest.fixture
def registry_uri(server_uri: str | None, home: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The registry of this test: a shared server, or a new embedded store."""
    if server_uri is None:
        home.mkdir()
        shutil.copy(fresh_store, home)
        return mlflow_store.embedded_uri(current_settings())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server_uri)
    return server_uri


@pytest.fixture
def model_name(request: pytest.FixtureRequest) -> str:
    """A registered model for this test alone, since all tests share the server."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


@pytest.fixture(scope="module")
def wines() -> pd.DataFrame:
    """Enough wines of each class for a verdict."""
    return datasets.prepare(datasets.without_duplicates(read_originals()).head(400))


def register(client: MlflowClient, model_name: str, wines: pd.DataFrame, seed: int) -> str:
    """Fit a small classifier, register it, and return its version."""
    parameters = Parameters(model_name=model_name, run_name=f"seed-{seed}")
    mlflow_store.use_experiment(client, model_name, parameters.run_name)
    with mlflow.start_run() as run:
        classifier = RandomForestClassifier(5, random_state=seed).fit(wines[FEATURES], wines[TARGET])
    return log_candidate(classifier, run.info.run_id, wines, "development@0", parameters)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: that would take longer than the rest, and test_plots_in_mlflow covers it."""
    monkeypatch.setattr(evaluate, "illustrate", lambda *_: None)


def calls(start: int, every: bool) -> range:
    """Return the calls that fail: all, or every twelfth from `start` on."""
    return range(1 if every else start, MOST_CALLS, 1 if every else STRIDE_OF_A_QUICK_TEST)


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    """The process that forks all others, started at its first use."""
    fork_server = ForkServer()
    yield fork_server
    fork_server.close()


@pytest.fixture
def entry(registry_uri: str, model_name: str, wines: pd.DataFrame) -> Entry:
    """A candidate, version 2, that is better than version 1 in Production; version 3 equals 2."""
    client = mlflow_store.connect()
    by_chance = wines.assign(**{TARGET: np.random.default_rng(0).permutation(wines[TARGET])})
    for seed, learned in ((0, by_chance), (1, wines), (1, wines)):
        register(client, model_name, learned, seed)
    open_slots(client, model_name).assign(Slot.PRODUCTION, "1")
    return Entry(model_name, "2", Snapshot("production", 0, wines), Terms(detectable_improvement=0.4))


@pytest.fixture
def judgement(entry: Entry) -> Judgement:
    """The judgement of the entry, which is the same for each copy of the model."""
    made = judge(entry.contest(open_slots(MlflowClient(), entry.model_name)))
    assert made.decision.verdict == "better", made.decision.reason
    return made


def environment(**more: str) -> dict[str, str]:
    """Return this test's environment with more variables."""
    return {**os.environ, **more}


@pytest.mark.parametrize(
    ("server_uri", "kind"),
    [
        (EMBEDDED, "alias"),
        (EMBEDDED, "stage"),
        (POSTGRESQL, "alias"),
        *(pytest.param(*both, marks=pytest.mark.thorough) for both in REMAINING),
    ],
    indirect=["server_uri"],
)
def test_promote_reject_roll_back_override_and_replay(
    registry_uri: str, entry: Entry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKSHOP_SLOTS", kind)
    client = mlflow_store.connect()
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == registry_uri
    slots = open_slots(client, entry.model_name)
    if kind == "stage":
        slots.assign(Slot.PRODUCTION, "1")

    def answers() -> list[float]:
        found: list[float] = mlflow.pyfunc.load_model(slots.uri(Slot.PRODUCTION)).predict(entry.rows.frame).tolist()
        return found

    def enter(candidate: str) -> str:
        contest = replace(entry, candidate=candidate).contest(slots)
        return act(contest, judge(contest)).status

    before = answers()
    assert enter("2") == "promoted"
    assert slots.holders() == {"production": "2", "staging": None, "previous": "1"}
    better = answers()
    assert enter("3") == "not better"
    manual.roll_back(slots, reason="The panel disagrees.")
    assert answers() == before
    assert enter("2") == "promoted"
    manual.override(slots, "3", "The cellar master likes the number.")
    assert answers() == better
    assert slots.holders() == {"production": "3", "staging": None, "previous": "2"}
    events = History(client, entry.model_name).events()
    assert [event.kind for event in events] == ["promotion", "rejection", "rollback", "promotion", "override"]
    monkeypatch.setattr(datasets, "rows_compared_on", lambda label: entry.rows)
    assert [replay(client, entry.model_name, event) for event in events if event.decision] == [[], [], []]


@pytest.mark.parametrize(
    "server_uri",
    [
        pytest.param(EMBEDDED, marks=pytest.mark.thorough),
        pytest.param(SQLITE, marks=pytest.mark.thorough),
        POSTGRESQL,
    ],
    indirect=True,
)
def test_a_run_killed_at_any_call_leaves_production_held_and_the_next_cleans_up(
    server_uri: str | None, fork_server: ForkServer, entry: Entry, judgement: Judgement, thorough: bool
) -> None:
    made_ready = fresh_models(MlflowClient(), "1", "2", of=entry.model_name)
    held_after_the_fault, held_after_the_next_run = set(), set()
    tried = calls(5 if server_uri is None else 5 if "sqlite" in entry.model_name else 8, thorough)
    steps = 0
    for call in tried:
        slots = made_ready()
        killed = fork_server.killed_at(call, environment(), replace(entry, model_name=slots.model_name), judgement)
        held_after_the_fault.add(slots.holder(Slot.PRODUCTION))
        held_after_the_next_run.add(after_the_next_run(slots))
        if not killed:
            break
        steps += 1
    print(f"kill -9: at {steps} calls")
    assert not killed and call > 12
    assert held_after_the_fault == held_after_the_next_run == {"1", "2"}


def test_one_of_two_simultaneous_promotions_wins_and_the_other_compares_again(
    server_uri: str | None, fork_server: ForkServer, entry: Entry, tmp_path: Path, thorough: bool
) -> None:
    made_ready = fresh_models(MlflowClient(), "1", "2", "3", of=entry.model_name)
    rounds = ROUNDS if thorough else ROUNDS_OF_A_QUICK_TEST
    models = [made_ready() for _ in range(rounds)]
    # Two processes of one machine where the store is the home's own, two machines where they share a server.
    homes = [{}, {}] if server_uri is None else [{"WORKSHOP_HOME": str(tmp_path / name)} for name in ("ours", "theirs")]
    entries = [
        [replace(entry, model_name=slots.model_name, candidate=candidate) for slots in models] for candidate in "23"
    ]
    reports = fork_server.raced([environment(**each) for each in homes], entries)
    for slots, *both in zip(models, *reports, strict=True):
        assert sorted(report.status for report in both) == ["not better", "promoted"]
        winner, loser = ("2", "3") if both[0].status == "promoted" else ("3", "2")
        assert slots.holders() == {"production": winner, "staging": None, "previous": "1"}
        history = History(slots.client, slots.model_name)
        assert {(event.kind, event.version, event.champion) for event in history.events()} == {
            ("promotion", winner, "1"),
            ("rejection", loser, winner),
        }
        assert history.pending() == []
        (notes,) = [report.notes for report in both if report.status == "not better"]
        assert any(f"from version 1 to {winner} " in note and "compared again" in note for note in notes)
    won = sum(report.status == "promoted" for report in reports[0])
    print(f"two at the same time: {rounds} rounds, won {won} to {rounds - won}, no update lost")


@pytest.mark.parametrize(
    ("server_uri", "how"),
    [
        pytest.param(SQLITE, "lost answer", marks=pytest.mark.thorough),
        pytest.param(SQLITE, "hang", marks=pytest.mark.thorough),
        (POSTGRESQL, "500"),
        pytest.param(POSTGRESQL, "lost answer", marks=pytest.mark.thorough),  # test_swap loses them each time
    ],
    indirect=["server_uri"],
)
def test_a_fault_at_any_request_leaves_production_held_and_the_next_run_cleans_up(
    server_uri: str, entry: Entry, judgement: Judgement, how: How, thorough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One attempt and one second, or the test would wait for each fault.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    held_after_the_fault, held_after_the_next_run, steps = set(), set(), 0
    with faulty_proxy(server_uri, counted="/api/2.0/mlflow/") as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
        made_ready = fresh_models(mlflow_store.connect(), "1", "2", of=entry.model_name)
        for request in calls({"lost answer": 1, "hang": 4, "500": 6}[how], thorough):
            slots = made_ready()
            contest = replace(entry, model_name=slots.model_name).contest(slots)
            proxy.fail(request, how)
            with suppress(WorkshopError):
                act(contest, judgement)
            struck = proxy.struck.is_set()
            proxy.heal()
            held_after_the_fault.add(slots.holder(Slot.PRODUCTION))
            held_after_the_next_run.add(after_the_next_run(slots))
            if not struck:
                break
            steps += 1
    print(f"{how}: at {steps} requests")
    assert not struck and request > 12
    assert held_after_the_fault == held_after_the_next_run == {"1", "2"}


@pytest.mark.parametrize("server_uri", [POSTGRESQL], indirect=True)
def test_long_reasons_fit_into_the_columns_of_postgresql(server_uri: str, entry: Entry) -> None:
    slots = open_slots(mlflow_store.connect(), entry.model_name)
    for number in range(3):
        manual.override(slots, "21"[number % 2], "😀" * manual.LONGEST_REASON)
    history = History(slots.client, entry.model_name)
    assert [event.state for event in history.events()] == 3 * ["done"]
    assert history.events()[-1].reason == "😀" * manual.LONGEST_REASON
    assert slots.holders() == {"production": "2", "staging": None, "previous": "1"}


# Servers that need credentials, and servers that refuse them


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, user_home: Path, fresh_store: Path, wines: pd.DataFrame
) -> Iterator[AuthenticatedServer]:
    """A server with authentication, two versions, and a participant with the right to read only."""
    folder = tmp_path_factory.mktemp("guarded")
    shutil.copy(fresh_store, folder)
    with isolated(folder, user_home), ExitStack() as running:
        # Registered before the server starts, whose authentication is slow.
        client = mlflow_store.connect()
        for seed in (0, 1):
            register(client, MODEL, wines, seed)
        open_slots(client, MODEL).assign(Slot.PRODUCTION, "1")
        backend = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
        server = running.enter_context(authenticated_mlflow_server(folder, backend))
        server.create_user("participant", PASSWORD)
        yield server


@pytest.mark.thorough  # such a server takes its time for every request
def test_a_user_without_rights_gets_one_sentence_and_production_stays(
    guarded: AuthenticatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", guarded.uri)
    with refusal("does not accept your credentials", "MLFLOW_TRACKING_USERNAME"):
        mlflow_store.connect()
    user = {"MLFLOW_TRACKING_USERNAME": "participant", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    refused = workshop("promote", "2", "--reason", "I like it.", **user)
    assert refused.code == 1
    assert "MLflow could not" in refused.err and "its server does not let you: ask its administrator" in refused.err
    assert "Traceback" not in refused.out + refused.err
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "participant")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert open_slots(mlflow_store.connect(), MODEL).holder(Slot.PRODUCTION) == "1"
