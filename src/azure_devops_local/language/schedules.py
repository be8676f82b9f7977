"""Schedules of a pipeline: they are read and shown, but start no run here."""

import re
from dataclasses import dataclass

from azure_devops_local.language import fields, triggers
from azure_devops_local.language.documents import Mapping, Place

_KEYS = ("cron", "displayName", "branches", "always", "batch")
_FIELDS = {
    **{"minutes": (0, 59, ""), "hours": (0, 23, ""), "days": (1, 31, "")},
    "months": (1, 12, "january february march april may june july august september october november december"),
    "days of the week": (0, 6, "sunday monday tuesday wednesday thursday friday saturday"),
}
"""The smallest and the largest value, and the names of the values; three letters of a name are enough."""
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


@dataclass(frozen=True)
class Schedule:
    """One schedule."""

    cron: str
    """In UTC."""
    name: str
    place: Place

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"{self.place}: the schedule `{self.cron}`{name} starts runs in Azure DevOps only."


def read(tree: Mapping) -> list[Schedule]:
    """Return the schedules of a pipeline.

    Raises:
        PipelineError: a schedule is wrong.
    """
    if tree.get("schedules", "none") == "none":
        return []
    found = []
    for item in fields.mappings(tree, "schedules"):
        fields.only(item, "a schedule", _KEYS)
        fields.begins_with(item, "a schedule", ("cron",))
        cron = fields.text(item, "cron")
        if len(cron.split()) != len(_FIELDS):
            raise item.error("cron", f"`cron` has five fields, {', '.join(_FIELDS)}; not `{cron}`.")
        for field, name in zip(cron.split(), _FIELDS, strict=True):
            if not all(_fits(part, *_FIELDS[name]) for part in field.split(",")):
                low, high, _ = _FIELDS[name]
                problem = f"`{field}` is not a value for the {name} of `cron`: they are {low} to {high}."
                raise item.error("cron", problem)
        for flag in ("always", "batch"):
            fields.flag(item, flag)
        if "branches" in item:
            triggers.include_exclude(item["branches"], item.places["branches"], "branches")
        found.append(Schedule(cron, fields.text(item, "displayName"), item.place))
    return found


def _fits(part: str, low: int, high: int, names: str) -> bool:
    """Return whether a part of a field, such as `1-5` or `*/10`, has values of this range."""
    match = _PART.fullmatch(part)
    if match is None or int(match[3] or 1) == 0:
        return False
    numbers = {key: str(low + index) for index, name in enumerate(names.split()) for key in (name, name[:3])}
    ends = [numbers.get(end.lower(), end) for end in match.groups()[:2] if end]
    return all(end.isdecimal() and low <= int(end) <= high for end in ends)
