"""The parameters of a run, and values that are refused."""

from typing import Any

import pytest

from azure_devops_local.language.templates import expand
from kit_common.errors import UsageError
from tests.support.pipeline_files import Fake

CD = ".azure_pipelines/cd.yml"


PARAMETERS = """
    parameters:
    - name: text
      default: x
    - name: flag
      type: boolean
      default: false
    - name: number
      type: number
      default: 1
      values: [1, 2.5]
    - name: colour
      displayName: Which wine
      default: red
      values:
      - red
      - white
    - name: list
      type: object
      default: []
    steps:
    - script: ${{ parameters.flag }} ${{ parameters.number }}
"""


@pytest.mark.parametrize(
    ("given", "values", "script"),
    [
        ({}, ["x", False, 1, "red", []], "False 1"),
        ({"flag": "TRUE", "number": "2.5"}, ["x", True, 2.5, "red", []], "True 2.5"),
        ({"list": "[a, {b: c}]", "text": "true"}, ["true", False, 1, "red", ["a", {"b": "c"}]], "False 1"),
    ],
)
def test_parameters_of_a_run(given: dict[str, str], values: list[Any], script: str) -> None:
    tree, parameters = expand(Fake({CD: PARAMETERS}), CD, given, {})
    assert list(parameters.values()) == values
    assert tree == {"steps": [{"script": script}]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"flga": "true"}, f"{CD} has no parameter flga: it has text, flag, number, colour, list."),
        ({"flag": "1"}, f"The parameter flag of {CD} must be true or false, not `1`."),
        ({"number": "two"}, f"The parameter number of {CD} must be a number, not `two`."),
        ({"number": "nan"}, f"The parameter number of {CD} must be a number, not `nan`."),
        ({"number": "2"}, f"The parameter number of {CD} must be one of 1, 2.5, not `2`."),
        ({"colour": "blue"}, f"The parameter colour of {CD} must be one of red, white, not `blue`."),
        ({"list": "[a"}, "--param list, line 1: this is not YAML"),
    ],
)
def test_a_run_with_wrong_parameters(given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        expand(Fake({CD: PARAMETERS}), CD, given, {})
    assert message in str(caught.value)


def test_a_run_without_a_required_parameter() -> None:
    text = "parameters:\n- name: who\nsteps: []\n"
    with pytest.raises(UsageError, match="needs a value for its parameter who: add --param who=VALUE"):
        expand(Fake({CD: text}), CD, {}, {})
    # The file's name begins the sentence, without a capital.
    with pytest.raises(UsageError, match=r"^azure-pipelines\.yml needs a value"):
        expand(Fake({"azure-pipelines.yml": text}), "azure-pipelines.yml", {}, {})
