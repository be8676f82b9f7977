import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.support.models import refusal
from tests.unit.core.test_databricks_task import Task
from workshop.core.parameters import DevopsAction, Parameters, check_parameter, read_parameters, safe_run_name

LONGEST = 60
anything = st.text(alphabet=st.characters(), max_size=200)  # surrogates too
branch_like = st.text(alphabet="abAB01._-/ $\u00e4\n", max_size=70)
names = anything | branch_like


# Safe run names


@given(names)
@example("refs/heads/dev-Zoë")
@example("-rf")
@example("../../etc/passwd")
@example("x$(command)")
@example("a.")
@example("CON.txt")
@example("con")
@example("x" * 500)
@example("\ud800")
@example("lease")
@example("history")
def test_a_safe_run_name_is_safe_in_paths_urls_and_shells(name: str) -> None:
    safe = safe_run_name(name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", safe)
    assert len(safe) <= LONGEST
    assert ".." not in safe
    assert not safe.endswith(".")
    assert safe not in ("lease", "history")  # the names of experiments of the kit
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", safe)
    assert safe_run_name(safe) == safe


@given(names.filter(lambda name: name.strip() != ""), names.filter(lambda name: name.strip() != ""))
@example("feature/a", "feature-a")
@example("feature/a", "feature_a")
@example("dev-Ann", "dev-ann")
@example("DEV", "Dev")
@example("a" * 100, "a" * 101)
@example("é", "e\u0301")
@example("酒", "葡")
def test_different_names_stay_different_even_if_case_does_not_count(one: str, other: str) -> None:
    assert (safe_run_name(one) == safe_run_name(other)) == (one == other)
    if one.swapcase() != one:
        assert safe_run_name(one).lower() != safe_run_name(one.swapcase()).lower()


@given(st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,57}[a-z0-9])?", fullmatch=True).filter(lambda name: len(name) > 4))
@example("a" * LONGEST)
@example("dev-ann")
@example("release-1.2.3")
def test_a_safe_name_is_kept(name: str) -> None:
    assert safe_run_name(name) == name


def test_a_simplified_name_stays_readable() -> None:
    assert [safe_run_name(name) for name in ("", "   ", "\n")] == ["no_name"] * 3
    assert re.fullmatch(r"feature-grune-walder-[0-9a-f]{8}", safe_run_name("Feature/Grüne Wälder"))


# The limits of the parameters


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("confidence", "0.99", 0.99),
        *[("correct_for_looks", value, True) for value in ("true", "True", "TRUE", "1", "yes", True, 1)],
        *[("correct_for_looks", value, False) for value in ("false", "False", "0", "no", False, 0)],
        ("seed", "7", 7),
        ("run_name", "Dev/Ann", safe_run_name("Dev/Ann")),
        ("model_name", "main.wine.wine_quality", "main.wine.wine_quality"),
        ("devops_action", "deployment", DevopsAction.DEPLOYMENT),
        ("devops_action", "INTEGRATION", DevopsAction.INTEGRATION),
        ("devops_action", "Unknown", DevopsAction.UNKNOWN),
        ("slot", "", ""),
        ("slot", "staging", "staging"),
        ("input_table", "prepared/dev-ann", "prepared/dev-ann"),
    ],
)
def test_text_is_converted_to_the_type_of_the_parameter(name: str, value: Any, expected: Any) -> None:
    found = check_parameter(name, value, str)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("confidence", 0.5, "greater than 0.5"),
        ("confidence", 1, "less than 1"),
        ("confidence", "very", "valid number"),
        ("confidence", "nan", "less than 1"),
        ("source_folder", 3, "string"),
        ("min_improvement", -0.01, "greater than or equal to 0"),
        ("min_improvement", "inf", "less than 0.5"),
        ("min_improvement", "nan", "less than 0.5"),
        ("detectable_improvement", 0, "greater than or equal to 0.001"),
        ("detectable_improvement", 0.5, "less than 0.5"),
        ("slice_tolerance", -0.01, "greater than or equal to 0"),
        ("slice_tolerance", "", "valid number"),
        ("correct_for_looks", "perhaps", "valid boolean"),
        ("correct_for_looks", None, "valid boolean"),
        ("sample", 0, "greater than 0"),
        ("sample", "2", "less than or equal to 1"),
        ("sample", "nan", "less than or equal to 1"),
        ("sample", "half", "valid number"),
        ("seed", -1, "greater than or equal to 0"),
        ("seed", 2**32, "less than 4294967296"),
        ("seed", 1.5, "valid integer"),
        ("seed", "4\n2", "valid integer"),
        ("devops_action", "Release", "Integration, Deployment, unknown"),
        ("model_name", "", "letters, digits"),
        ("model_name", "a.b.c.d", "catalog.schema.name"),
        ("model_name", "../wine", "letters, digits"),
        ("input_table", "../production", "lower-case letters"),
        ("input_table", "prepared/..", "lower-case letters"),
        ("input_table", "/etc", "lower-case letters"),
        ("slot", "previous", "staging"),
        ("run_name", 3, "string"),
    ],
)
def test_a_value_outside_the_limits_is_refused_with_the_limit(name: str, value: Any, limit: str) -> None:
    with refusal(f"parameter {name}", repr(value), limit):
        check_parameter(name, value, str)


def test_a_parameter_of_a_single_notebook_has_the_type_of_its_default() -> None:
    assert check_parameter("n_neighbours", "12", int) == 12
    with refusal("n_neighbours", "'a dozen'", "integer"):
        check_parameter("n_neighbours", "a dozen", int)


def test_the_defaults_are_within_the_limits() -> None:
    defaults = Parameters()
    for name, value in defaults.model_dump().items():
        assert check_parameter(name, value, type(value)) == value


# Reading them in a notebook


def test_the_values_of_the_cell_are_checked() -> None:
    parameters = read_parameters(run_name="Dev/Ann", devops_action="deployment", confidence="0.9", n_neighbours=5)
    assert parameters.run_name == safe_run_name("Dev/Ann")
    assert parameters.devops_action is DevopsAction.DEPLOYMENT
    assert parameters.confidence == 0.9
    assert parameters.model_name == "wine_quality"
    assert parameters.model_dump()["n_neighbours"] == 5
    with refusal("confidence", "2", "less than 1"):
        read_parameters(confidence=2)


def test_parameters_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        read_parameters().confidence = 0.6  # type: ignore[misc]


def test_a_widget_overrides_the_value_of_the_cell_and_is_converted_to_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    widgets = Task(monkeypatch).values
    widgets.update(confidence="0.9", n_neighbours="9", run_name="main", correct_for_looks="true", environment="test")
    parameters = read_parameters(confidence=0.975, n_neighbours=5, run_name="", seed=1, correct_for_looks=False)
    assert parameters.correct_for_looks is True
    assert "environment" not in parameters.model_dump()
    assert parameters.confidence == 0.9
    assert parameters.model_dump()["n_neighbours"] == 9
    assert parameters.run_name == "main"
    assert parameters.seed == 1
    widgets["correct_for_looks"] = "sometimes"
    with refusal("correct_for_looks", "'sometimes'", "boolean"):
        read_parameters(correct_for_looks=False)
