"""A first connection to the store by several processes at once; small, since each of them imports it."""

import multiprocessing
import os
from multiprocessing.synchronize import Barrier

from workshop.core.registry import mlflow_store


def connect_with_others(barrier: Barrier, home: str, answers: "multiprocessing.Queue[str]") -> None:
    """Open the store in `home` at the same moment as the others, and put the first experiment's name into `answers`."""
    os.environ["WORKSHOP_HOME"] = home
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        os.environ.pop(name, None)  # of the test that started the fork server
    barrier.wait()
    try:
        answers.put(mlflow_store.connect().search_experiments()[0].name)
    except BaseException as error:
        answers.put(repr(error))
        raise
