"""Steps from the tree of a pipeline file."""

import re
import shutil
from typing import Literal

from azure_devops_local.language import fields
from azure_devops_local.language.documents import Mapping, PipelineError
from azure_devops_local.language.pipeline import Step

TASKS: dict[str, dict[str, str]] = {
    "Bash@3": {"targetType!": "inline", "script!": "", "workingDirectory": "", "failOnStderr": ""},
    "AzureCLI@2": {
        "azureSubscription!": "",
        "scriptType!": "bash",
        "scriptLocation!": "inlineScript",
        "inlineScript!": "",
        "addSpnToEnvironment": "",
        "workingDirectory": "",
        "failOnStandardError": "",
        "useGlobalConfig": "",
        "visibleAzLogin": "",
        "keepAzSessionActive": "",
    },
    "UsePythonVersion@0": {"versionSpec!": "", "addToPath": "true", "architecture": "x64"},
    "Cache@2": {"key!": "", "path!": "", "restoreKeys": "", "cacheHitVar": ""},
    "PublishTestResults@2": {
        "testResultsFormat": "JUnit",
        "testResultsFiles!": "",
        "searchFolder": "",
        "mergeTestResults": "",
        "failTaskOnFailedTests": "",
        "failTaskOnFailureToPublishResults": "",
        "failTaskOnMissingResultsFile": "",
        "testRunTitle": "",
    },
    "PublishPipelineArtifact@1": {"targetPath!": "", "artifact!": "", "publishLocation": "pipeline"},
    "DownloadPipelineArtifact@2": {
        **dict.fromkeys(("source", "buildType"), "current"),
        **dict.fromkeys(("artifact", "artifactName", "patterns", "itemPattern", "path", "targetPath"), ""),
    },
}
"""Inputs of each implemented task; `!`: required; with a value: only this value is implemented."""

STEP_KEYS = ("displayName", "name", "condition", "continueOnError", "enabled", "env", "timeoutInMinutes")
STEP_KINDS: dict[str, tuple[Literal["script", "task", "checkout", "publish", "download"], tuple[str, ...]]] = {
    "script": ("script", ("workingDirectory", "failOnStderr")),
    "bash": ("script", ("workingDirectory", "failOnStderr")),
    "pwsh": ("script", ("workingDirectory", "failOnStderr")),
    "powershell": ("script", ("workingDirectory", "failOnStderr")),
    "task": ("task", ("inputs",)),
    "checkout": ("checkout", ("clean", "fetchDepth", "persistCredentials", "fetchTags", "lfs", "submodules")),
    "publish": ("publish", ("artifact",)),
    "download": ("download", ("artifact", "patterns")),
}
_PATTERNS = {"patterns", "itemPattern", "testResultsFiles"}
# Exclusions, comments, braces, and lists in brackets that are no macro.
_UNKNOWN_PATTERN = re.compile(r"^\s*[!#]|[{}]|[?*+@!]\(", re.MULTILINE)
_CHECKOUT_LIMITS = {
    "lfs": "does not fetch LFS files",
    "submodules": "does not fetch submodules",
}


def step(item: Mapping, taken: list[str]) -> Step:
    """Return a step; its name must not be taken."""
    keys = [key for key in STEP_KINDS if key in item]
    further = [key for kind in keys or STEP_KINDS for key in STEP_KINDS[kind][1]]
    fields.only(item, "a step", dict.fromkeys((*(keys or STEP_KINDS), *STEP_KEYS, *further)))
    if len(keys) != 1:
        raise PipelineError(item.place, f"a step has exactly one of {', '.join(STEP_KINDS)}.")
    fields.begins_with(item, "the step", keys)
    kind = STEP_KINDS[keys[0]][0]
    what = fields.text(item, keys[0])
    if not what.strip():
        raise PipelineError(item.places[keys[0]], f"`{keys[0]}` is empty: add its value.")
    inputs, shown = _inputs(item, kind, what)
    name = fields.name(item, "name", "", taken) if "name" in item else ""
    return Step(
        kind=kind,
        display_name=fields.text(item, "displayName") or name or shown,
        name=name,
        condition=fields.condition(item, {}),
        continue_on_error=fields.flag(item, "continueOnError"),
        enabled=fields.flag(item, "enabled", True),
        env=fields.texts(item, "env"),
        timeout_minutes=fields.whole_number(item, "timeoutInMinutes"),
        script=what if kind == "script" else "",
        powershell=_is_powershell(item, keys[0]),
        working_directory=fields.text(item, "workingDirectory"),
        fail_on_stderr=fields.text(item, "failOnStderr").lower() == "true",  # the tasks take any other text as false
        task=what if kind == "task" else "",
        inputs=inputs,
    )


def _inputs(item: Mapping, kind: str, what: str) -> tuple[dict[str, str], str]:
    """Return a step's inputs, and its default name."""
    if kind == "task":
        return _task(item, what), what.partition("@")[0]
    if kind == "checkout":
        _checkout(item)
        return {
            key: fields.text(item, key) for key in ("checkout", *STEP_KINDS["checkout"][1]) if key in item
        }, "Checkout"
    if kind == "download":
        fields.one_of(item, "download", ("current", "none"))
        own = {key: fields.text(item, key) for key in ("artifact", "patterns")}
        _check_patterns(item, "patterns", own["patterns"])
        return {"download": what, **own}, f"Download {own['artifact'] or 'artifacts'}"
    if kind == "publish":
        artifact = fields.text(item, "artifact")
        if not artifact:
            raise item.error("publish", "`publish` needs `artifact` here, the name of the artifact: add it.")
        return {"publish": what, "artifact": artifact}, f"Publish {artifact}"
    lines = [line.strip() for line in what.splitlines()]
    return {}, next((line for line in lines if line and not line.startswith(("#", "set "))), "Bash")


def _is_powershell(item: Mapping, key: str) -> bool:
    """Return whether a script is one for PowerShell, which must be installed."""
    if key not in {"pwsh", "powershell"}:
        return False
    if shutil.which("pwsh") is None:
        raise item.error(key, f"`{key}` needs PowerShell, and there is no pwsh here: install it, or use `bash`.")
    return True


def _task(item: Mapping, task: str) -> dict[str, str]:
    if task not in TASKS:
        problem = f"the task `{task}` is not implemented by this agent{fields.hint(task, TASKS)}"
        raise item.error("task", problem)
    known = {name.rstrip("!"): value for name, value in TASKS[task].items()}
    tree, inputs = fields.mapping(item, "inputs"), fields.texts(item, "inputs")
    for name, value in inputs.items():
        if name not in known:
            problem = f"`{name}` is not an input of {task} here{fields.hint(name, known)}"
            raise tree.error(name, problem)
        if known[name] and value.lower() != known[name].lower():
            problem = f"`{name}: {value}` is not implemented by this agent: it can only be {known[name]}."
            raise tree.error(name, problem)
        if name in _PATTERNS:
            _check_patterns(tree, name, value)
    for name in TASKS[task]:
        if name.endswith("!") and not inputs.get(name[:-1]):
            raise item.error("task", f"{task} needs the input `{name[:-1]}`: add it below `inputs:`.")
    return inputs


def _check_patterns(tree: Mapping, name: str, patterns: str) -> None:
    if found := _UNKNOWN_PATTERN.search(patterns):
        problem = f"`{found[0].strip()}` in a pattern is not implemented by this agent: use only *, **, ? and [ ]."
        raise tree.error(name, problem)


def _checkout(item: Mapping) -> None:
    fields.one_of(item, "checkout", ("self", "none"))
    if not re.fullmatch(r"\d{0,6}", fields.text(item, "fetchDepth")):
        raise item.error("fetchDepth", f"`fetchDepth` is a whole number, not `{item['fetchDepth']}`.")
    for key, limit in _CHECKOUT_LIMITS.items():
        if fields.text(item, key).lower() not in {"", "false"}:
            raise item.error(key, f"`{key}` can only be false here: this agent {limit}.")
