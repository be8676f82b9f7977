"""Templates and `${{ }}`."""

from itertools import pairwise

import pytest

from azure_devops_local.language.documents import Mapping, PipelineError
from azure_devops_local.language.templates import expand
from tests.support.pipeline_files import Fake

CD = ".azure_pipelines/cd.yml"
STEPS = ".azure_pipelines/templates/steps.yml"
PREDEFINED = {"Build.SourceBranch": "refs/heads/main", "Build.Reason": "Manual"}


def filled(text: str, /, *given: tuple[str, str], **templates: str) -> Mapping:
    """The pipeline with its templates, which are called by their names in the folder `templates`."""
    files = {f".azure_pipelines/templates/{name}.yml": content for name, content in templates.items()}
    return expand(Fake({CD: text, **files}), CD, dict(given), PREDEFINED)[0]


def refusal(text: str, **templates: str) -> tuple[str, int, str]:
    with pytest.raises(PipelineError) as caught:
        filled(text, **templates)
    place = caught.value.place
    return place.file.rpartition("/")[2], place.line, str(caught.value)


def test_plain_text_stays_as_it_is() -> None:
    assert filled("steps:\n- script: echo $(x) $[y] {{z}} ${w}\n") == {
        "steps": [{"script": "echo $(x) $[y] {{z}} ${w}"}]
    }


def test_expressions_in_values_and_keys() -> None:
    tree = filled(
        """
        variables:
          Name: wine
          full: ${{ variables.name }}-model
        steps:
        - script: echo ${{ variables.full }} '${{ format('{0}', '}}') }}' ${{ variables['Build.SourceBranch'] }}
          env:
            ${{ upper(variables.Name) }}: ${{ eq(variables['Build.Reason'], 'manual') }}
            NOTHING: ${{ variables.absent }}
        """
    )
    assert tree["variables"] == {"Name": "wine", "full": "wine-model"}
    assert tree["steps"] == [{"script": "echo wine-model '}}' refs/heads/main", "env": {"WINE": "True", "NOTHING": ""}}]


def test_values_are_not_expanded_again() -> None:
    files = Fake({CD: "steps:\n- script: echo ${{ variables['Build.SourceBranch'] }} ${{ variables.x }}\n"})
    hostile = {"Build.SourceBranch": "refs/heads/${{ variables.secret }}", "secret": "s"}
    assert expand(files, CD, {}, hostile)[0]["steps"][0]["script"] == "echo refs/heads/${{ variables.secret }} "


CHAIN = """
    parameters:
    - name: target
    variables:
      ${{ if eq(parameters.target, 'a') }}:
        x: is a
      ${{ elseif eq(parameters.target, 'b') }}:
        x: is b
      ${{ else }}:
        x: is other
      last: ${{ variables.x }}!
    steps:
    - ${{ if eq(parameters.target, 'a') }}:
      - script: a1
      - script: a2
    - ${{ elseif eq(parameters.target, 'b') }}:
      - script: b
    - ${{ else }}:
      - script: other
    - script: always
"""


@pytest.mark.parametrize(
    ("target", "x", "scripts"),
    [("a", "is a", ["a1", "a2"]), ("b", "is b", ["b"]), ("c", "is other", ["other"])],
)
def test_if_in_mappings_and_sequences(target: str, x: str, scripts: list[str]) -> None:
    tree = filled(CHAIN, ("target", target))
    assert tree["variables"] == {"x": x, "last": f"{x}!"}
    assert [step["script"] for step in tree["steps"]] == [*scripts, "always"]


def test_each_and_insert() -> None:
    tree = filled(
        """
        parameters:
        - name: models
          type: object
          default:
            red: 1
            white: 2
        - name: names
          type: object
          default: [a, b]
        - name: more
          type: object
          default: {X: "1"}
        - name: none
          type: object
          default: []
        steps:
        - ${{ each model in parameters.models }}:
          - ${{ each name in parameters.names }}:
            - script: ${{ model.key }}${{ model.value }}${{ name }}
        - ${{ each x in parameters.none }}:
          - script: never
        - script: env
          env:
            ${{ insert }}: ${{ parameters.more }}
            ${{ each model in parameters.models }}:
              M_${{ model.key }}: ${{ model.value }}
        """
    )
    assert [step["script"] for step in tree["steps"]] == ["red1a", "red1b", "white2a", "white2b", "env"]
    assert tree["steps"][-1]["env"] == {"X": "1", "M_red": "1", "M_white": "2"}


def test_steps_in_a_parameter_keep_their_places() -> None:
    tree = filled(
        """
        steps:
        - template: templates/around.yml
          parameters:
            before:
            - script: own
            - bash: two
              env: {A: "1"}
        """,
        around="""
        parameters:
        - name: before
          type: stepList
        steps:
        - script: first
        - ${{ parameters.before }}
        - ${{ each step in parameters.before }}:
          - ${{ each pair in step }}:
              ${{ pair.key }}: ${{ pair.value }}
            displayName: again
        """,
    )
    assert tree["steps"] == [
        {"script": "first"},
        {"script": "own"},
        {"bash": "two", "env": {"A": "1"}},
        {"script": "own", "displayName": "again"},
        {"bash": "two", "env": {"A": "1"}, "displayName": "again"},
    ]
    assert [(place.file.rpartition("/")[2], place.line) for place in tree["steps"].places[:3]] == [
        ("around.yml", 5),
        ("cd.yml", 5),
        ("cd.yml", 6),
    ]


def test_templates_of_every_kind() -> None:
    tree = filled(
        """
        parameters:
        - name: fast
          type: boolean
          default: true
        variables:
        - template: templates/variables.yml
        - name: full
          value: ${{ variables.model }}-full
        stages:
        - template: templates/stages.yml
          parameters: {fast: "${{ parameters.fast }}"}
        """,
        variables="variables:\n  model: wine\n",
        stages="""
        parameters:
        - name: fast
          type: boolean
        stages:
        - stage: one
          variables: {level: stage}
          jobs:
          - template: jobs.yml
            parameters: {name: "${{ variables.full }}_${{ variables.level }}"}
          - ${{ if parameters.fast }}:
            - job: fast
        """,
        jobs="""
        parameters: {name: unnamed}
        jobs:
        - job: ${{ parameters.name }}
          steps:
          - template: /.azure_pipelines/templates/steps.yml
        """,
        steps="steps:\n- script: work\n",
    )
    assert tree["variables"] == [{"name": "model", "value": "wine"}, {"name": "full", "value": "wine-full"}]
    assert tree["stages"][0]["jobs"] == [{"job": "wine-full_stage", "steps": [{"script": "work"}]}, {"job": "fast"}]


def test_variables_of_a_stage_end_with_it() -> None:
    tree = filled(
        """
        stages:
        - stage: one
          variables: {x: "1"}
          displayName: ${{ variables.x }}
        - stage: two
          displayName: ${{ variables.x }}.
        """
    )
    assert [stage["displayName"] for stage in tree["stages"]] == ["1", "."]


TEMPLATE = "parameters:\n- name: n\n  type: number\n  values: [1, 2]\nsteps:\n- script: x\n"
USE = "steps:\n- template: templates/t.yml\n"
DECLARE = "parameters:\n- name: a\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("steps:\n- script: x\n- template: templates/a.yml\n", 3, "no file .azure_pipelines/templates/a"),
        ("steps:\n- template: ../../x.yml\n", 2, "'../../x.yml' is outside of the repository"),
        ('steps:\n- template: "x\\0.yml"\n', 2, "is outside of the repository"),
        ("steps:\n- template: x.yml@other\n", 2, "another repository"),
        (USE, 2, "needs a value for its parameter n"),
        (USE + "  parameters:\n    n: 1\n    m: 2\n", 5, "has no parameter m: it has n"),
        (USE + "  parameters:\n    n: x\n", 4, "must be a number, not `x`"),
        (USE + "  parameters:\n    n: 3\n", 4, "must be one of 1, 2, not `3`"),
        (USE + "  parameters: 3\n", 3, "are a mapping"),
        (USE + "  displayName: x\n", 3, "`displayName` is not a key of an entry with `template`"),
        ("steps:\n- template: templates/none.yml\n", 2, "has no `steps`"),
        ("steps:\n- script: x\n- ${{ else }}:\n  - script: y\n", 3, "`else` has no `if` before it"),
        (
            "steps:\n- ${{ if true }}:\n  - script: y\n- ${{ each x in '' }}:\n  - script: z\n"
            "- ${{ else }}:\n  - script: z\n",
            6,
            "no `if`",
        ),
        ("steps:\n- ${{ if true }}:\n  - script: y\n- ${{ else if true }}:\n  - script: z\n", 4, "write `elseif`"),
        ("steps:\n- script: y\n  ${{ insert x }}: {a: b}\n", 3, "`insert` takes nothing behind it"),
        ("steps:\n- ${{ if }}:\n  - script: y\n", 2, "the expression is empty"),
        ("steps:\n- ${{ IF true }}:\n  - script: y\n", 2, "is not an expression"),
        ("steps:\n- ${{ else }}\n", 2, "`else` is not known"),
        ("steps:\n- ${{ if false }}:\n  - script: ${{ eq(1 }}\n", 3, "is not an expression"),
        ("steps:\n- ${{ if false }}:\n  - script: ${{ nope.x }}\n", 3, "`nope` is not known"),
        ("steps:\n- ${{ if false }}:\n  - ${{ 3 + 4 }}\n", 3, "is not an expression"),
        ("steps:\n- ${{ each variables in 'x' }}:\n  - script: y\n", 2, "the name `variables` is taken"),
        ("steps:\n- script: ${{ parameters.acton }}\n", 2, "the parameter `acton` is not declared: none is"),
        ("steps:\n- script: x\n  env:\n    A: b\n    ${{ insert }}: {a: c}\n", 5, "`a` is repeated, as `A`"),
        ("extends: {template: templates/one.yml, parameters: {n: 1}}\nsteps: []\n", 2, "`steps` cannot stand beside"),
        ("extends: {parameters: {n: 1}}\n", 1, "`extends` names its template"),
        ("variables:\n  ${{ if true }}:\n  - script: y\n", 2, "write `key: value` lines"),
        ("variables:\n  a: 1\n  ${{ if true }}:\n    a: 2\n", 4, "`a` is repeated"),
        ("variables:\n  ${{ lower('A') }}: 1\n  ${{ lower('A') }}: 2\n", 3, "`a` is repeated"),
        ("steps:\n- ${{ each x of y }}:\n  - script: y\n", 2, "each NAME in LIST"),
        ("steps:\n- ${{ each x in 'text' }}:\n  - script: y\n", 2, "neither a list nor an object"),
        ("steps:\n- script: ${{ eq(1 }}\n", 2, "is not an expression"),
        ("steps:\n- script: x ${{ variables.x\n", 2, "is not closed"),
        (DECLARE + "  type: object\n  default: {}\nsteps:\n- ${{ parameters.a }}: x\n", 6, "convertToJson"),
        (
            DECLARE + "  type: object\n  default: {k: v}\nsteps:\n- ${{ each x in parameters.a }}:\n  - a${{x}}\n",
            7,
            "Json",
        ),
        (DECLARE + "  type: object\n  default: []\nsteps:\n- script: a ${{ parameters.a }}\n", 6, "Json"),
        ("parameters:\n  a: 1\n", 1, "`parameters` is a list"),
        ("parameters:\n- nam: a\n", 2, "a parameter is declared as"),
        (DECLARE + "  tpye: string\n", 3, "`tpye` is not a key of a parameter; did you mean `type`?"),
        (DECLARE + "  type: environment\n", 3, "the type `environment` is not implemented"),
        (DECLARE + "  type: boolean\n  default: maybe\n", 4, "must be true or false, not `maybe`"),
        (DECLARE + "  values: x\n", 3, "`values` is a list"),
        (DECLARE + "  default: c\n  values: [x]\n", 3, "must be one of x"),
        (DECLARE + "  default: x\n- name: a\n", 4, "a second time"),
        (DECLARE + "  default: ${{ variables.x }}\n", 3, "can't have `${{ }}` in it"),
    ],
)
def test_refused_at_its_line(text: str, line: int, message: str) -> None:
    file, found, problem = refusal(text, t=TEMPLATE, none="parameters: []\n")
    assert (file, found) == ("cd.yml", line), problem
    assert message in problem


def test_a_mistake_in_a_template_is_reported_there() -> None:
    file, line, problem = refusal("jobs:\n- template: templates/t.yml\n", t="jobs: []\nsteps: []\n")
    assert (file, line) == ("t.yml", 2)
    assert "`steps` is not a key of a template of jobs" in problem


def test_a_template_that_includes_itself_names_the_chain() -> None:
    file, line, problem = refusal(
        "steps:\n- template: templates/a.yml\n",
        a="steps:\n- script: x\n- template: b.yml\n",
        b="steps:\n- template: ../templates/a.yml\n",
    )
    assert (file, line) == ("b.yml", 2)
    folder = ".azure_pipelines/templates"
    assert f"({folder}/a.yml → {folder}/b.yml → {folder}/a.yml)" in problem


def test_the_number_of_templates_is_limited() -> None:
    names = "abcdefgh"
    doubling = {name: f"steps:\n- template: {nxt}.yml\n- template: {nxt}.yml\n" for name, nxt in pairwise(names)}
    *_, problem = refusal("steps:\n- template: templates/a.yml\n", **doubling, h="steps: []\n")
    assert "more than 100 templates" in problem
