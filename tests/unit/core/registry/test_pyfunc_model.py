import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow import MlflowClient

from tests.support.models import MODEL, Gallery
from workshop.core.data.schemas import FEATURES
from workshop.core.registry.model import TRUSTED_TYPES
from workshop.core.registry.pyfunc_model import ProbabilityModel


class Stranger:
    """A type that no model's record names."""


def loaded(path: Path, trusted: list[str]) -> ProbabilityModel:
    model = ProbabilityModel()
    model.load_context(SimpleNamespace(artifacts={"classifier": str(path)}, model_config={"trusted_types": trusted}))
    return model


@pytest.mark.parametrize("name", ["first", "better"])
def test_the_answer_is_the_probability_of_the_positive_class(
    classifiers: dict[str, Any], production: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    skops.io.dump(classifiers[name], tmp_path / "classifier.skops")
    wines = production[FEATURES].head(20)
    answer = loaded(tmp_path / "classifier.skops", TRUSTED_TYPES).predict(None, wines)
    np.testing.assert_array_equal(answer, classifiers[name].predict_proba(wines)[:, 1].astype("float64"))
    assert answer.dtype == np.float64
    assert answer.shape == (20,)


def test_a_type_that_the_record_does_not_name_is_not_loaded(tmp_path: Path) -> None:
    skops.io.dump(Stranger(), tmp_path / "classifier.skops")
    with pytest.raises(TypeError, match="Stranger"):
        loaded(tmp_path / "classifier.skops", TRUSTED_TYPES)


CONSUMER = """
import sys
sys.modules["workshop"] = None  # importing it would fail
import json, mlflow, pandas
wines = pandas.read_parquet(sys.argv[2])
print(json.dumps(mlflow.pyfunc.load_model(sys.argv[1]).predict(wines).tolist()))
"""


@pytest.mark.integration
def test_a_consumer_needs_no_workshop(
    registry: MlflowClient, gallery: Gallery, production: pd.DataFrame, tmp_path: Path
) -> None:
    folder = mlflow.artifacts.download_artifacts(f"models:/{MODEL}/1")
    wines = production[FEATURES].head(5)
    wines.to_parquet(tmp_path / "wines.parquet")
    command = [sys.executable, "-c", CONSUMER, folder, str(tmp_path / "wines.parquet")]
    consumer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert consumer.returncode == 0, consumer.stderr
    expected = gallery.classifiers["first"].predict_proba(wines)[:, 1]
    assert json.loads(consumer.stdout.splitlines()[-1]) == pytest.approx(expected)
