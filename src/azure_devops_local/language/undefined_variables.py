"""Finds the `$(…)` of a pipeline that nothing defines: Azure Pipelines would leave them standing as they are."""

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
"""The variables that a run has by itself here; those that only Azure Pipelines has are refused like any other."""

_PREFIXES = ("agent.", "build.", "common.", "environment.", "pipeline.", "system.")
_MACRO = re.compile(r"\$\(([A-Za-z_][\w.\-]*)\)")
_SET = re.compile(r"##vso\[task\.setvariable\s[^\]]*?variable=([^;\]\s]+)")
_SCRIPTS = {"script", "bash", "inlineScript"}
_ELSEWHERE = {"trigger", "pool", "condition"}


def refuse(tree: Mapping, groups: bool) -> None:
    """Raise a PipelineError for the first one in a pipeline whose templates are filled in.

    A script is the shell's, where `$(pwd)` runs a command: only names such as Build.X are looked at in there. What a
    variable group may define (`groups`) is not looked at either.
    """
    shared = set(PREDEFINED)
    for step, _ in walk(tree, tree.place):
        if isinstance(step, Mapping):
            inputs: Any = step.get("inputs")
            inputs = inputs if isinstance(inputs, Mapping) else {}
            texts = [text for text in (*step.values(), *inputs.values()) if isinstance(text, str)]
            made = [name for text in texts for name in _SET.findall(text)] + [inputs.get("cacheHitVar", "")]
            shared |= {*made, *(f"{step.get('name')}.{name}" for name in made)}
    for key in tree:
        if key != "name":
            _judge(tree[key], tree.places[key], key, shared | _defined(tree), groups)


def _defined(tree: Mapping) -> set[str]:
    variables = tree.get("variables")
    if isinstance(variables, Sequence):
        return {item["name"] for item in variables if "name" in item}
    return set(variables) if isinstance(variables, Mapping) else set()


def _judge(tree: Any, place: Place, key: str, known: set[str], lenient: bool) -> None:
    if isinstance(tree, Mapping):
        known = known | _defined(tree)
        for inner, value in tree.items():
            if inner not in _ELSEWHERE:
                _judge(value, tree.places[inner], inner, known, lenient or inner in _SCRIPTS)
    elif isinstance(tree, Sequence):
        for value, at in tree.entries():
            _judge(value, at, key, known, lenient)
    else:
        for name in _MACRO.findall(tree):
            if name.lower() not in {one.lower() for one in known} and (
                not lenient or name.lower().startswith(_PREFIXES)
            ):
                close = hint(name, known)
                advice = close if "did you mean" in close else ": add it to `variables:`."
                raise PipelineError(place, f"the variable `{name}` is defined nowhere{advice}")
