"""A local Spark for tests; `make spark` installs it."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

MARKS = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17, which is not on the PATH"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@contextmanager
def local_spark(warehouse: Path) -> Iterator[Any]:
    """Run a Spark with two workers on this machine."""
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": str(warehouse),
        # So small that each file is a task.
        "spark.sql.files.maxPartitionBytes": "30000",
        "spark.sql.files.openCostInBytes": "0",
    }
    builder = import_module("pyspark.sql").SparkSession.builder.master("local[2]").config(map=options)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    try:
        yield session
    finally:
        session.stop()
