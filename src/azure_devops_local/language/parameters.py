"""Parameters of a pipeline or a template: declarations and values."""

import re
from collections.abc import Callable
from collections.abc import Mapping as Values
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from azure_devops_local.language import fields
from azure_devops_local.language.documents import Mapping, PipelineError, Place, Plain, Sequence, parse, walk
from azure_devops_local.language.values import as_text, number
from kit_common.errors import UsageError

_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_OTHER_BASE = re.compile(r"0o[0-7]{1,32}|0x[0-9a-fA-F]{1,24}")
TYPES = {
    "string": (str, "text"),
    "number": (str, "a number"),
    "boolean": (str, "true or false"),
    "object": (object, "anything"),
    "step": (Mapping, "a step"),
    "stepList": (Sequence, "a list of steps"),
    "job": (Mapping, "a job"),
    "jobList": (Sequence, "a list of jobs"),
    "deployment": (Mapping, "a deployment job"),
    "deploymentList": (Sequence, "a list of deployment jobs"),
    "stage": (Mapping, "a stage"),
    "stageList": (Sequence, "a list of stages"),
}


@dataclass(frozen=True)
class Parameter:
    """One declared parameter."""

    name: str
    type: str = "string"
    required: bool = True
    default: Any = None
    choices: list[Any] = field(default_factory=list)
    """Empty: any value of the type."""
    is_untyped: bool = False
    """Every scalar is text, as in the short form of a declaration."""

    def value(self, written: Any) -> Any:
        """Return what a file or the command line contains as a value of the type.

        Raises:
            ValueError: it is not of the type or not a choice; the text continues "the parameter x ".
        """
        kind, meaning = TYPES[self.type]
        if self.type == "object":
            return untyped(written) if self.is_untyped else typed(written)
        given = as_text(written) if kind is str and not isinstance(written, Mapping | Sequence) else written
        value = given if isinstance(given, kind) else None
        if self.type == "boolean":
            value = {"true": True, "false": False}.get(str(given).lower())
        elif self.type == "number":
            value = number(str(given))
        if value is None:
            shown = f", not `{written}`" if isinstance(written, str) else ""
            raise ValueError(f"must be {meaning}{shown}")
        if self.choices and value not in self.choices:
            raise ValueError(f"must be one of {', '.join(map(str, self.choices))}, not `{written}`")
        return value


def declared(tree: Mapping, root: bool = False) -> dict[str, Parameter]:
    """Return the parameters that a file declares; only templates have the short form `name: default`.

    Raises:
        PipelineError: a declaration is wrong.
    """
    listed = tree.get("parameters") or Sequence(tree.place)
    for text, place in walk(listed, tree.place_of("parameters")):
        if isinstance(text, str) and "${{" in text:
            raise PipelineError(place, "a parameter's declaration can't have `${{ }}` in it: write the value itself.")
    if isinstance(listed, Mapping) and not root:
        defaults = listed.items()
        return {
            name: Parameter(name, "object", required=False, default=text, is_untyped=True) for name, text in defaults
        }
    if not isinstance(listed, Sequence):
        raise tree.error("parameters", "`parameters` is a list: begin each with `- name: …`.")
    found: dict[str, Parameter] = {}
    for item, place in listed.entries():
        parameter = _declaration(item, place)
        if parameter.name.lower() in {name.lower() for name in found}:
            raise PipelineError(place, f"the parameter {parameter.name} is declared a second time.")
        found[parameter.name] = parameter
    return found


def of_run(declared: Values[str, Parameter], given: Values[str, str], path: str) -> dict[str, Any]:
    """Return the values for a run; some are given on the command line.

    Raises:
        UsageError: a given parameter is not declared or has a wrong value, or a required one is not given.
    """
    place = Place(path, 1)
    structured = {name for name, parameter in declared.items() if TYPES[parameter.type][0] is not str}
    try:
        parsed = {name: parse(text, f"--param {name}") if name in structured else text for name, text in given.items()}
    except PipelineError as error:
        raise UsageError(str(error)) from error
    try:
        entries = Mapping(place, ((name, value, place) for name, value in parsed.items()))
        return of_template(declared, entries, place, path, "add --param {name}=VALUE.")
    except PipelineError as error:
        raise UsageError(re.sub("^the ", "The ", error.problem)) from error


def of_template(
    declared: Values[str, Parameter],
    given: Any,
    place: Place,
    path: str,
    advice: str = "give it below `parameters:`.",
) -> dict[str, Any]:
    """Return the values for a template that is included at `place`.

    Raises:
        PipelineError: a given parameter is not declared or has a wrong value, or a required one is not given.
    """
    if not isinstance(given, Mapping):
        raise PipelineError(place, f"the parameters for {path} are a mapping: `name: value`.")
    spelled = {name.lower(): name for name in declared}
    given = Mapping(given.place, ((spelled.get(name.lower(), name), *entry) for name, *entry in given.entries()))
    for name, at in given.places.items():
        if name not in declared:
            known = f"it has {', '.join(declared)}" if declared else "it has none"
            raise PipelineError(at, f"{path} has no parameter {name}: {known}.")
    values: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name not in given and parameter.required:
            problem = f"{path} needs a value for its parameter {name}: {advice.format(name=name)}"
            raise PipelineError(place, problem)
        try:
            values[name] = parameter.value(given[name]) if name in given else parameter.default
        except ValueError as error:
            raise given.error(name, f"the parameter {name} of {path} {error}.") from error
    return values


def typed(tree: Any) -> Any:
    """Return a tree whose scalars without quotes are numbers, true, false or null where YAML reads them so."""
    return _with_scalars(tree, lambda scalar: _typed(scalar) if isinstance(scalar, Plain) else scalar)


def untyped(tree: Any) -> Any:
    """Return a tree whose scalars are text, as a pipeline has it after its expansion."""
    return _with_scalars(tree, as_text)


def _with_scalars(tree: Any, convert: Callable[[Any], Any]) -> Any:
    if isinstance(tree, Mapping):
        return Mapping(tree.place, ((key, _with_scalars(value, convert), at) for key, value, at in tree.entries()))
    if isinstance(tree, Sequence):
        return Sequence(tree.place, ((_with_scalars(value, convert), at) for value, at in tree.entries()))
    return convert(tree)


def _typed(text: Plain) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    value = number(format(Decimal(text), "f")) if _FLOAT.fullmatch(text) else None
    return str(text) if value is None else value


def _declaration(item: Any, place: Place) -> Parameter:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str) or not item["name"]:
        raise PipelineError(place, "a parameter is declared as `- name: …`, with `type:` and `default:` below.")
    fields.only(item, "a parameter", ("name", "type", "default", "values", "displayName"))
    fields.begins_with(item, "a parameter", ("name",))
    if not isinstance(item.get("values", Sequence(place)), Sequence):
        raise item.error("values", "`values` is a list of the values that are allowed.")
    kind = item.get("type", "string")
    if not isinstance(kind, str) or kind not in TYPES:
        raise PipelineError(
            item.places["type"], f"the type `{kind}` is not implemented: use one of {', '.join(TYPES)}."
        )
    parameter = Parameter(item["name"], kind)
    key = "values"
    try:
        parameter = replace(parameter, choices=[parameter.value(choice) for choice in item.get("values", [])])
        key = "default"
        if "default" in item:
            parameter = replace(parameter, required=False, default=parameter.value(item["default"]))
    except ValueError as error:
        raise item.error(key, f"the parameter {parameter.name} {error}.") from error
    return parameter
