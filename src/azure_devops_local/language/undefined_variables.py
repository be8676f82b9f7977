"""Undefined `$(…)` of a pipeline, which Azure Pipelines would not replace."""

import re
from typing import Any

from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence, walk
from azure_devops_local.language.fields import hint

_PREDEFINED = """
Agent.BuildDirectory Agent.HomeDirectory Agent.Id Agent.JobName Agent.JobStatus Agent.MachineName Agent.Name Agent.OS
Agent.OSArchitecture Agent.TempDirectory Agent.ToolsDirectory Agent.WorkFolder Build.ArtifactStagingDirectory
Build.BinariesDirectory Build.BuildId Build.BuildNumber Build.BuildUri Build.DefinitionName Build.QueuedBy
Build.Reason Build.Repository.LocalPath Build.Repository.Name Build.Repository.Provider Build.Repository.Uri
Build.RequestedFor Build.SourceBranch Build.SourceBranchName Build.SourcesDirectory Build.SourceVersion
Build.SourceVersionMessage Build.StagingDirectory Common.TestResultsDirectory Environment.Name Pipeline.Workspace
System.AccessToken System.ArtifactsDirectory System.CollectionUri System.Debug System.DefaultWorkingDirectory
System.DefinitionId System.JobAttempt System.JobDisplayName System.JobId System.JobName System.PhaseName
System.PullRequest.PullRequestId System.StageAttempt System.StageDisplayName System.StageName
System.TeamFoundationCollectionUri System.TeamProject System.WorkFolder
"""
PREDEFINED = frozenset(_PREDEFINED.split())
"""Variables of every run; those that only the service has are refused like any other."""

_PREFIXES = ("agent.", "build.", "common.", "environment.", "pipeline.", "system.")
_MACRO = re.compile(r"\$\(([A-Za-z_][\w.\-]*)\)")
_SET = re.compile(r"##vso\[task\.setvariable\s[^\]]*?variable=([^;\]\s]+)")
_SCRIPTS = {"script", "bash", "inlineScript"}
_WITHOUT_MACROS = {"trigger", "pool", "condition"}


def refuse(tree: Mapping, groups: bool) -> None:
    """Raise a PipelineError for the first undefined variable of an expanded pipeline.

    In scripts, where `$(pwd)` runs a command, only names such as `Build.X` are checked; with variable groups, which may
    define any other name, this holds for the whole pipeline.
    """
    shared = set(PREDEFINED)
    for step, _ in walk(tree, tree.place):
        if isinstance(step, Mapping):
            inputs: Any = step.get("inputs")
            inputs = inputs if isinstance(inputs, Mapping) else {}
            texts = [text for text in (*step.values(), *inputs.values()) if isinstance(text, str)]
            outputs = [name for text in texts for name in _SET.findall(text)] + [inputs.get("cacheHitVar", "")]
            shared |= {*outputs, *(f"{step.get('name')}.{name}" for name in outputs)}
    for key in tree:
        if key not in {"name", *_WITHOUT_MACROS}:
            _check(tree[key], tree.places[key], key, shared | _defined(tree), groups)


def _defined(tree: Mapping) -> set[str]:
    variables = tree.get("variables")
    if isinstance(variables, Sequence):
        return {item["name"] for item in variables if "name" in item}
    return set(variables) if isinstance(variables, Mapping) else set()


def _check(tree: Any, place: Place, key: str, known: set[str], lenient: bool) -> None:
    if isinstance(tree, Mapping):
        known = known | _defined(tree)
        for inner, value in tree.items():
            if inner not in _WITHOUT_MACROS:
                _check(value, tree.places[inner], inner, known, lenient or inner in _SCRIPTS)
    elif isinstance(tree, Sequence):
        for value, at in tree.entries():
            _check(value, at, key, known, lenient)
    else:
        for name in _MACRO.findall(tree):
            if lenient and not name.lower().startswith(_PREFIXES):
                continue
            if name.lower() not in {other.lower() for other in known}:
                close = hint(name, known)
                advice = close if "did you mean" in close else ": add it to `variables:`."
                raise PipelineError(place, f"the variable `{name}` is not defined{advice}")
