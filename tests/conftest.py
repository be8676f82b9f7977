"""Every test has a home of its own, and leaves nothing behind in the process."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from azure_devops_local import host
from workshop.cli.devops import HOST

# Before MLflow is imported anywhere: its client decides then whether to send usage data.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# The tests start hundreds of processes: each would compile the project again, as pytest would every test module.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Of all that is imported next to nothing is ever garbage: looking through it as often as Python does takes an eighth of
# the time of what runs in this process.
gc.set_threshold(100_000, 50, 100)

# The same examples every time, and no stop-watch: a busy machine must not turn a test red.
hypothesis.settings.register_profile("workshop", deadline=None, derandomize=True)
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, max_examples=10)
hypothesis.settings.load_profile("workshop")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make thorough`."""
    parser.addoption("--thorough", action="store_true", help="only what `make test` leaves out or does in part")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what takes an MLflow store, select for `make test` or `make thorough`, and begin with what takes longest."""
    for item in items:
        if {"fresh_store", "registry"} & _fixtures_of(item):
            item.add_marker("registry")
    left_out = {item for item in items if _is_left_out(item, config.getoption("--thorough"))}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _is_left_out(item: pytest.Item, thorough: bool) -> bool:
    only_thorough = item.get_closest_marker("thorough") is not None
    return not (only_thorough or "thorough" in _fixtures_of(item)) if thorough else only_thorough


def _fixtures_of(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", []))


@contextmanager
def isolated(home: Path, user_home: Path) -> Iterator[None]:
    """Let the kit keep its state in `home`, as if nobody had set anything; put everything back afterwards."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _ours():
            environment.delenv(name)
        environment.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        environment.setenv("WORKSHOP_HOME", str(home))
        environment.setenv("HOME", str(user_home))
        environment.setenv("USERPROFILE", str(user_home))
        host.use(HOST)
        try:
            yield
        finally:
            _forget_stores()
            for name in _ours():
                del os.environ[name]


@pytest.fixture(scope="session")
def user_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's home folder; one for all tests, so that Matplotlib builds its font cache only once."""
    return tmp_path_factory.mktemp("user")


@pytest.fixture(autouse=True)
def usual_signals() -> None:
    """Let Ctrl-C and SIGTERM do in this test what they do in a new process, whatever a test before has set.

    A command that runs in this process keeps Ctrl-C for itself, and a test that interrupts waits in vain after that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, user_home: Path) -> Iterator[Path]:
    """The kit's home in this test; it does not exist yet."""
    folder = tmp_path / "home"
    with isolated(folder, user_home):
        yield folder


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether to try every case of what this test enumerates, as `make thorough` does, or some of them."""
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory, user_home: Path) -> Path:
    """An embedded MLflow store without any content, as a file: copy it to `home / "mlflow.db"`, it saves 1.6 s."""
    from workshop.core.registry import mlflow_store

    folder = tmp_path_factory.mktemp("fresh-store")
    with isolated(folder, user_home):
        mlflow_store.connect()
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory, user_home: Path) -> Path:
    """A home after its first deployment, the same for all processes that test: version 1 holds Production.

    Copy it: the artifacts of version 1 stay here, where the registry says that they are.
    """
    from tests.support.commands import latest_summary, workshop_here

    place = tmp_path_factory.getbasetemp()
    home = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "delivered"
    with FileLock(home.with_suffix(".lock")):
        if not home.exists():
            with isolated(home, user_home):
                first = workshop_here("run", "--action", "deployment")
            assert first.code == 0, first.out + first.err
            assert "Version 1 is promoted: it is the first to hold Production." in first.out
            summary = latest_summary(home)
            assert summary["status"] == "promoted"
            assert (summary["slots_before"]["production"], summary["slots_after"]["production"]) == (None, "1")
    return home


def _ours() -> list[str]:
    return [name for name in os.environ if name.startswith(("WORKSHOP_", "AZURE_DEVOPS_LOCAL_", "MLFLOW_"))]


def _forget_stores() -> None:
    """MLflow keeps its URIs in the process, and in the environment for child processes."""
    if mlflow := sys.modules.get("mlflow"):
        while mlflow.active_run() is not None:
            mlflow.end_run()
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
