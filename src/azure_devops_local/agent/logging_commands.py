"""Logging commands in a step's output: `##vso[area.event key=value;…]text`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from azure_devops_local.agent.steps import StepAtWork
from azure_devops_local.language.pipeline import Variable
from azure_devops_local.run_store import Result
from kit_common.errors import UserError

_COMMAND = re.compile(r"##vso\[(?P<name>[^\] ]*)(?: (?P<properties>[^\]]*))?\](?P<text>.*)")
_AREAS = {"task", "artifact", "build", "codecoverage", "plugininternal", "release", "results", "telemetry"}
_ESCAPES = {"%3B": ";", "%0D": "\r", "%0A": "\n", "%5D": "]", "%AZP25": "%"}
_RESULTS: dict[str, Result] = {
    "Succeeded": "succeeded",
    "SucceededWithIssues": "succeeded with issues",
    "Failed": "failed",
}
_MULTILINE = "SYSTEM_UNSAFEALLOWMULTILINESECRET"
Properties = Mapping[str, str]


@dataclass(frozen=True)
class LoggingCommand:
    """A command in a line of output."""

    name: str
    """For example `task.setvariable`."""
    properties: Properties
    """By key, in lower case."""
    text: str
    written: str
    """The text with its escapes."""


def parse(line: str) -> LoggingCommand | None:
    """Return the command in a line of output; like Azure's agent, take a line that is not well-formed as text."""
    found = _COMMAND.search(line)
    if found is None or len([part for part in found["name"].split(".") if part]) != 2:
        return None
    pairs = (pair.partition("=") for pair in (found["properties"] or "").split(";"))
    # Azure's agent does not trim keys and values, and ignores a property without a value.
    properties = {key.lower(): _unescaped(value) for key, _, value in pairs if key and value}
    return LoggingCommand(found["name"], properties, _unescaped(found["text"]), found["text"])


def apply(command: LoggingCommand, step: StepAtWork) -> None:
    """Carry out a command, which must be implemented and have all its properties."""
    area = command.name.strip(".").partition(".")[0].lower()
    if area not in _AREAS:
        step.warn(f"The logging command {command.name} is ignored: there is no area {area}.")
        return
    effect = _EFFECTS.get(command.name.lower())
    if effect is None:
        known = ", ".join(sorted(_EFFECTS))
        raise UserError(f"The logging command {command.name} is not implemented here: use one of {known}.")
    if _is_true(command.properties, "issecret") or effect is _set_secret:
        step.place.mask.add(command.written)  # the log has the escaped text
    effect(step, command.properties, command.text)


def implemented() -> list[str]:
    """Return the names of the commands that `apply` carries out."""
    return sorted(_EFFECTS)


def _unescaped(text: str) -> str:
    return re.sub("|".join(_ESCAPES), lambda escape: _ESCAPES[escape[0]], text)


def _is_true(properties: Properties, key: str) -> bool:
    return properties.get(key, "").strip().lower() == "true"


def _wanted(properties: Properties, key: str) -> str:
    if not properties.get(key):
        raise UserError(f"A logging command has no {key}=…: add it.")
    return properties[key]


def _text(text: str, what: str) -> str:
    """Return the text of a command that needs one."""
    if not text.strip():
        raise UserError(f"A logging command has no {what} behind its bracket: add it.")
    return text


def _file(step: StepAtWork, text: str) -> Path:
    path = step.place.sources / _text(text, "path").strip()
    if not path.is_file():
        raise UserError(f"There is no file {path} to upload: check the path.")
    # A line of a log must not put any file of the machine on the run's page.
    if not path.resolve().is_relative_to(step.place.work.resolve()):
        raise UserError(f"{path} is not in the job's own folder: copy it there, then upload it.")
    return path


def _set_variable(step: StepAtWork, properties: Properties, text: str) -> None:
    name, known = _wanted(properties, "variable"), step.place.variables
    is_output, secret = _is_true(properties, "isoutput"), _is_true(properties, "issecret")
    if secret and "\n" in text and (known.get(_MULTILINE) or "").lower() != "true":
        raise UserError(f"The secret {name} has several lines, which logs could show: set one variable for each line.")
    if is_output and not step.step.name:
        step.warn(f"The output variable {name} is lost, because its step has no name: add `name:` to the step.")
        return
    known.refuse_read_only(name)
    if is_output:
        name = f"{step.step.name}.{name}"
        step.place.outputs[name] = text
    secret = secret or known.is_secret(name)  # a secret stays one
    if secret:
        step.place.mask.add(text)
    known.put(Variable(name, text, secret=secret, read_only=is_output or _is_true(properties, "isreadonly")))


def _set_secret(step: StepAtWork, _: Properties, text: str) -> None:
    step.place.mask.add(text)


def _log_issue(step: StepAtWork, properties: Properties, text: str) -> None:
    kind = properties.get("type", "").lower()
    if not kind:
        kind, text = "warning", "A logging command task.logissue was ignored, because it has no type=…: add it."
    if kind not in {"warning", "error"}:
        raise UserError(f"task.logissue has the types warning and error, not {kind}: use one of them.")
    place = ":".join(filter(None, map(properties.get, ("sourcepath", "linenumber", "columnnumber"))))
    step.issue(cast(Literal["warning", "error"], kind), f"{place}: {text}" if place else text)


def _complete(step: StepAtWork, properties: Properties, text: str) -> None:
    result = _RESULTS.get(_wanted(properties, "result"))
    if result is None:
        raise UserError("task.complete has the results Succeeded, SucceededWithIssues and Failed: use one of them.")
    step.limit_result(result)
    if result == "failed":
        step.issue("error", text or "The step has set its own result to Failed.")


def _prepend_path(step: StepAtWork, _: Properties, text: str) -> None:
    step.place.paths[:] = [_text(text, "folder"), *(path for path in step.place.paths if path != text)]


def _upload_summary(step: StepAtWork, _: Properties, text: str) -> None:
    source, run = _file(step, text), step.place.run
    name = f"summaries/{len(run.summaries) + 1}-{source.name}"
    _copy_masked(step, source, step.place.folder / name)
    run.summaries.append(name)
    step.place.save()


def _copy_masked(step: StepAtWork, source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    target.write_text(step.place.mask(source.read_text(encoding="utf-8", errors="replace")), encoding="utf-8")


def _upload_log(step: StepAtWork, _: Properties, text: str) -> None:
    source, logs = _file(step, text), step.place.folder / "logs"
    _copy_masked(step, source, logs / f"{len(list(logs.iterdir())) + 1}-uploaded-{source.name}")


def _upload_artifact(step: StepAtWork, properties: Properties, text: str) -> None:
    name, source = _wanted(properties, "artifactname"), step.place.sources / _text(text, "path").strip()
    if source.is_dir() and not any(path.is_file() for path in source.rglob("*")):
        step.warn(f"{source} has no files: there is nothing to upload to the artifact {name}.")
        return
    # `containerfolder` is not part of the artifact: it is the place in the service that the artifact refers to.
    step.place.keep_artifact(source, name)


def _add_tag(step: StepAtWork, _: Properties, text: str) -> None:
    if (tag := step.place.mask(_text(text, "tag"))) not in step.place.run.tags:
        step.place.run.tags.append(tag)
        step.place.save()


def _set_build_number(step: StepAtWork, _: Properties, text: str) -> None:
    number = _text(text, "build number")
    step.place.predefined["Build.BuildNumber"] = number
    step.place.variables.add({"Build.BuildNumber": number}, read_only=True)
    step.place.notice(f"A step gave this run the build number {number}; here its title stays {step.place.run.title}.")


_EFFECTS: dict[str, Callable[[StepAtWork, Properties, str], None]] = {
    "task.setvariable": _set_variable,
    "task.setsecret": _set_secret,
    "task.logissue": _log_issue,
    "task.issue": _log_issue,
    "task.complete": _complete,
    "task.prependpath": _prepend_path,
    "task.uploadsummary": _upload_summary,
    "task.setprogress": lambda *_: None,  # the log shows the progress
    "task.debug": lambda *_: None,  # and the text
    "artifact.upload": _upload_artifact,
    "build.uploadlog": _upload_log,
    "build.addbuildtag": _add_tag,
    "build.updatebuildnumber": _set_build_number,
}
