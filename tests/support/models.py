"""Registered models for tests, and the check of a refusal."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit_common.errors import UserError
from workshop.core.data.originals import ORIGINALS
from workshop.core.registry.model import LoadedModel
from workshop.core.settings import PACKAGE

MODEL = "wine_quality"


@contextmanager
def refusal(*words: str) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Require an error of one sentence that contains these words."""
    with pytest.raises(UserError) as caught:
        yield caught
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".") and not sentence.endswith("..")
    assert len(sentence) < 700
    for word in words:
        assert word.lower() in sentence.lower()


@dataclass(frozen=True)
class Gallery:
    """A home in which four fitted models are registered, each under a run name of its own, and no slot is held.

    Version 1 is `first`, 2 is `again` (the same classifier), 3 is `better`, and 4 is `rival`, which 3 does not beat.
    """

    home: Path
    classifiers: dict[str, Any]

    def hang_in(self, home: Path) -> None:
        """Copy tables and registry; the artifacts stay, at the place that the registry contains."""
        home.mkdir(parents=True)
        shutil.copy(self.home / "mlflow.db", home)
        shutil.copytree(self.home / "data", home / "data")


class Answers:
    """An MLflow pyfunc model without a signature, whose answer is that of a function."""

    def __init__(self, function: Callable[[pd.DataFrame], np.ndarray]) -> None:
        self.predict = function
        self.metadata = self
        self.signature = None


def answering(function: Callable[[pd.DataFrame], np.ndarray]) -> LoadedModel:
    """Return a loaded model, version 7, whose answer is that of the function."""
    return LoadedModel("7", "", Answers(function))


def originals_in(folder: Path, **edited: Callable[[bytes], bytes]) -> Path:
    """Copy the original files, edit `red` or `white`, and write the digests of the result."""
    folder.mkdir()
    lines = []
    for name in ORIGINALS:
        colour = name.removeprefix("winequality-").removesuffix(".csv")
        content = edited.get(colour, bytes)((PACKAGE / "originals" / name).read_bytes())
        (folder / name).write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return folder
