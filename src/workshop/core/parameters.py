"""The notebooks' parameters: meaning, limits, defaults, and how to read them."""

import ast
import hashlib
import json
import re
import unicodedata
from contextlib import suppress
from enum import StrEnum
from types import NoneType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from workshop.core import databricks_task
from workshop.core.errors import WorkshopError

_CLEAN_RUN_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?!\.)){0,59}(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|history|lease")
"""Names that Windows reserves, and the names of the kit's two experiments per model."""
_LONGEST_SLUG = 48
_read_last: dict[str, "Parameters"] = {}


class DevopsAction(StrEnum):
    """The purpose of a run: it determines the wines to compare on and the slot that a better candidate takes."""

    INTEGRATION = "Integration"
    DEPLOYMENT = "Deployment"
    UNKNOWN = "unknown"
    """A person in Jupyter; treated as Integration. In a store on this machine without a model in Production, the first
    candidate is deployed as the baseline."""

    @property
    def slot(self) -> Literal["production", "staging"]:
        """The slot that a better candidate takes."""
        return "production" if self is DevopsAction.DEPLOYMENT else "staging"

    @property
    def compares_on(self) -> Literal["production", "test"]:
        """The wines to compare on: the production table, or the test part of the run's prepared wines."""
        return "production" if self is DevopsAction.DEPLOYMENT else "test"

    @classmethod
    def _missing_(cls, value: object) -> "DevopsAction":
        for action in cls:
            if action.lower() == str(value).lower():
                return action
        raise ValueError(f"choose one of {', '.join(cls)}")


def safe_run_name(name: str) -> str:
    """Turn any text, such as a branch name, into a name that is safe in paths, URLs and shells.

    A name of up to 60 lower-case letters, digits, `.`, `_` and `-` is not changed. Any other is simplified and gets a
    digest of the original, so that different names stay different, even on file systems that ignore case. The empty
    name becomes `no_name`.
    """
    if not name.strip():
        return "no_name"
    if _CLEAN_RUN_NAME.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", ascii_only).strip("-_")[:_LONGEST_SLUG].rstrip("-_")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug or 'run'}-{digest}"


def _model_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,2}", name):
        raise ValueError(
            "a registered model's name has letters, digits, '_' and '-' (catalog.schema.name in Unity Catalog)"
        )
    return name


def _table_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+(/[a-z0-9_.-]+)?", name) or ".." in name:
        raise ValueError("a table's name has lower-case letters, digits, '_' and '-'")
    return name


def _shown(value: Any) -> str:
    return repr(value.value if isinstance(value, StrEnum) else value)


RunName = Annotated[str, AfterValidator(safe_run_name)]


class Terms(BaseModel):
    """The terms of the gate, with their limits and defaults."""

    model_config = ConfigDict(frozen=True)

    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.975
    """The one-sided confidence of the verdict that the candidate is better."""
    min_improvement: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The AUC difference that the lower confidence bound must exceed."""
    detectable_improvement: Annotated[float, Field(ge=0.001, lt=0.5)] = 0.05
    """Smallest improvement beyond `min_improvement` that the test must detect with 80 % power."""
    slice_tolerance: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    """The AUC that the candidate may lose on a slice, for example on red wines."""
    correct_for_looks: bool = True
    """Whether the verdict takes into account how often models were compared on the same production wines."""


class Parameters(Terms):
    """The parameters that the notebooks share, with their limits; extra ones of a single notebook are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    run_name: RunName = "no_name"
    """Separates a participant's files, experiment and candidates from those of others."""
    model_name: Annotated[str, AfterValidator(_model_name)] = "wine_quality"
    """The registered model."""
    devops_action: Annotated[DevopsAction, BeforeValidator(DevopsAction)] = DevopsAction.UNKNOWN
    """Integration, Deployment or unknown; see `DevopsAction`."""
    compare_only: bool = False
    """Compare and report only; every slot stays as it is."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """The seed of all random choices: same seed, data and code give the same result."""
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the wines to prepare."""
    source_folder: str = ""
    """The folder of the two original CSV files and their SHA256SUMS; empty for those of the kit."""
    input_table: Annotated[str, AfterValidator(_table_name)] = "production"
    """The table to score."""
    slot: Literal["", "production", "staging"] = ""
    """The slot to score with; empty for Production, or for Staging until the first promotion."""

    @property
    def terms(self) -> Terms:
        """The terms of the gate among the parameters."""
        return Terms(**self.model_dump(include=set(Terms.model_fields)))


def read_parameters(**cell_values: Any) -> Parameters:
    """Check the values of a notebook's parameters cell, after a Databricks job's widgets have overridden them.

    On this machine, papermill has injected a run's values as a cell before. On Databricks they are widgets, whose text
    is converted to the type of the cell's value; widgets for environment variables are set first.

    Raises:
        WorkshopError: a value is of the wrong type or outside its limits.
    """
    widgets = databricks_task.widgets()
    databricks_task.take_environment(widgets)
    given = {name: widgets.get(name, value) for name, value in cell_values.items()}
    read = Parameters(**{name: check_parameter(name, value, type(cell_values[name])) for name, value in given.items()})
    require_as_given(read)
    _read_last["parameters"] = read
    return read


def last_read() -> dict[str, Any]:
    """Return the last result of `read_parameters` in this process, as JSON types; empty before the first."""
    return _read_last["parameters"].model_dump(mode="json") if "parameters" in _read_last else {}


def require_as_given(parameters: Parameters, *names: str) -> None:
    """Check that parameters have the values that the run has passed to this notebook.

    Papermill injects the values of a run as a cell, and a later cell can overwrite them. This must not change what the
    run may do.

    Args:
        parameters: the notebook's values.
        names: the parameters to check besides those that were set.

    Raises:
        WorkshopError: a value differs.
    """
    given, actual = databricks_task.given_parameters(), parameters.model_dump()
    for name in sorted({*names, *parameters.model_fields_set}):
        if name not in given:
            continue
        asked = check_parameter(name, given[name], type(actual[name]))
        if actual[name] != asked:
            raise WorkshopError(
                f"The run gives the parameter {name} the value {_shown(asked)}, and a cell of the notebook sets it to "
                f"{_shown(actual[name])}: remove that cell, or the second cell that is tagged parameters."
            )


def check_parameter(name: str, value: Any, declared_type: Any) -> Any:
    """Convert `value` to the parameter's type and check its limits.

    Args:
        name: the parameter's name.
        value: its value; text is converted.
        declared_type: the type of the notebook's default, for a parameter of a single notebook; NoneType allows any.

    Raises:
        WorkshopError: the value is wrong; the message contains the limits.
    """
    field = Parameters.model_fields.get(name)
    shape: Any = Annotated[field.annotation, field] if field is not None else declared_type
    if field is None and isinstance(value, str) and declared_type not in {str, int, float, bool}:
        shape, value = _read_as(declared_type, value)
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should", "it should")
        raise WorkshopError(f"The parameter {name} cannot be {value!r}: {problem}.") from error


def _read_as(declared_type: Any, text: str) -> tuple[Any, Any]:
    """Return type and value of a text that may be a list, a dictionary or None, in Python or in JSON."""
    if declared_type not in {list, dict, tuple, NoneType}:  # a union with None, whose other type converts the text
        return declared_type, None if text == "None" else text
    value: Any = text
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # not a literal of that kind
            found = read(text)
            json.dumps(found)  # a run passes it on as JSON
            value = found
    return (Any if declared_type is NoneType else declared_type), value
