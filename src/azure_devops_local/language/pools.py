"""Pools of agents: those that this machine is not are refused."""

import os
import platform
import re
import shutil

from azure_devops_local.language import fields
from azure_devops_local.language.documents import Mapping, PipelineError, Place, Sequence

KEYS = ("vmImage", "name", "demands")
_WINDOWS = re.compile(r"windows.*|win\d.*|vs20\d\d.*|hosted( vs20\d\d| windows.*)?", re.IGNORECASE)
_MACOS = re.compile(r"macos.*|hosted macos.*", re.IGNORECASE)
_UBUNTU = re.compile(r"ubuntu-(latest|\d\d\.04)", re.IGNORECASE)
_DEMAND = re.compile(r"\s*(\S+)(?:\s+(-\S+)\s+(.*?))?\s*")


def read(tree: Mapping) -> str:
    """Check the `pool` of a pipeline, stage or job; return its image, or its name, which may contain `$(…)`."""
    pool = tree.get("pool", "")
    if not isinstance(pool, Mapping):
        named = fields.text(tree, "pool")
        if named == "server":
            raise tree.error("pool", "`pool: server` is not implemented by this agent: jobs run on this machine.")
    else:
        fields.only(pool, "`pool`", KEYS)
        image = fields.text(pool, "vmImage")
        named = image or fields.text(pool, "name")
        for demand, place in _demands(pool):
            _check_demand(demand, place)
        is_known = unsupported(image) or _UBUNTU.fullmatch(image) or "$(" in image
        if image and "name" not in pool and not is_known:
            raise pool.error("vmImage", f"`{image}` is not an image of Azure Pipelines: choose ubuntu-latest.")
    if reason := unsupported(named):
        raise tree.error("pool", reason)
    return named


def unsupported(image: str) -> str:
    """Return why this machine can't stand for an image or a pool; empty if it can."""
    for pattern, system in ((_WINDOWS, "Windows"), (_MACOS, "Darwin")):
        if pattern.fullmatch(image) and platform.system() != system:
            return f"the pool `{image}` is not this machine, which runs {platform.system()}: choose ubuntu-latest."
    return ""


def _demands(pool: Mapping) -> list[tuple[str, Place]]:
    given = pool.get("demands", [])
    listed = list(given.entries()) if isinstance(given, Sequence) else [(given, pool.place_of("demands"))] * bool(given)
    for demand, place in listed:
        if not isinstance(demand, str):
            raise PipelineError(place, "`demands` is a capability or a list of them: `- name -equals value`.")
    return listed


def _check_demand(demand: str, place: Place) -> None:
    found = _DEMAND.fullmatch(demand)
    name, operator, wanted = found.groups() if found else (demand, "?", "")
    value = {"agent.os": platform.system()}.get(name.lower()) or os.environ.get(name) or shutil.which(name)
    if not (value and (operator is None or (operator == "-equals" and value.lower() == wanted.lower()))):
        problem = f"this machine does not meet the demand `{demand}`: remove it to run the pipeline here."
        raise PipelineError(place, problem)
