"""Schedules of a pipeline: they are read and shown, but start no run here."""

import re
from dataclasses import dataclass

from azure_devops_local.language import fields, triggers
from azure_devops_local.language.documents import Mapping, Place

_KEYS = ("cron", "displayName", "branches", "always", "batch")
_FIELDS = ("minutes", "hours", "days", "months", "days of the week")
_FIELD = re.compile(r"[A-Za-z0-9*,/-]+")


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
        cron = fields.text(item, "cron")
        if [bool(_FIELD.fullmatch(field)) for field in cron.split()] != [True] * len(_FIELDS):
            raise item.error("cron", f"`cron` has five fields, {', '.join(_FIELDS)}; not `{cron}`.")
        for flag in ("always", "batch"):
            fields.flag(item, flag)
        if "branches" in item:
            triggers.check_filters(item["branches"], item.places["branches"], "branches")
        found.append(Schedule(cron, fields.text(item, "displayName"), item.place))
    return found
