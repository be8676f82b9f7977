"""What a schema can't see in the pipeline files, and which of the team's values have still to be filled in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import PurePosixPath

from azure_devops_local.language.documents import FOLDER, Files, Mapping, PipelineError, Place, WorkTree, load
from azure_devops_local.language.reading import read_pipeline
from azure_devops_local.language.triggers import Push, decide
from workshop.core.errors import WorkshopError

VARIABLES = f"{FOLDER}/variables.yml"
_SETTING = re.compile(r"#setup (?P<where>.*)\n(?:\s*#.*\n)*\s*- name: (?P<name>\S+)\n\s*value: (?P<value>.*)")
_PLACEHOLDER = re.compile(r"<[^<>]+>")
_CHOICES: list[dict[str, str]] = [
    {},
    {"registry": "https://mlflow.example.com", "registryUser": "pipelines", "variableGroup": "a-group"},
    {"target": "databricks", "signIn": "federation"},
    {"target": "databricks", "signIn": "oidc", "databricksGitUrl": "https://dev.azure.com/our-company/wine/_git/wine"},
    {"target": "databricks", "signIn": "secret", "variableGroup": "a-group"},
]
"""The settings that the files branch on: a mistake in a branch that this team does not take is one all the same."""
_USED_ONLY_WITH = {
    "workspaceUrl": {"target": "databricks"},
    "serviceConnection": {"target": "databricks", "signIn": "federation"},
    "databricksHome": {"target": "databricks"},
}
"""The settings that hold a placeholder as we hand them out, and the choices that need them."""
_BRANCHES = ("refs/heads/main", "refs/heads/integration", "refs/heads/dev-somebody")


@dataclass(frozen=True)
class Setting:
    """A value that a team has to set."""

    name: str
    value: str
    where: str
    """Where to find it."""
    place: Place

    @property
    def is_open(self) -> bool:
        """Whether it still holds a placeholder."""
        return _PLACEHOLDER.search(self.value) is not None


@dataclass(frozen=True)
class _With:
    """The files as they are, but for one."""

    files: Files
    path: str
    text: str

    def read(self, path: str) -> str | None:
        return self.text if path == self.path else self.files.read(path)

    def pipelines(self) -> list[str]:
        return self.files.pipelines()


def settings(files: Files) -> list[Setting]:
    """The values of `variables.yml` that are marked #setup."""
    text = files.read(VARIABLES) or ""
    return [
        Setting(
            found["name"],
            found["value"],
            found["where"],
            Place(VARIABLES, text.count("\n", 0, found.start("value")) + 1),
        )
        for found in _SETTING.finditer(text)
    ]


def unfilled(files: Files) -> list[Setting]:
    """Those that hold a placeholder and that the choices of `variables.yml` need."""
    every = settings(files)
    chosen = {setting.name: setting.value for setting in every}
    return [
        setting
        for setting in every
        if setting.is_open
        and all(chosen.get(name, value) == value for name, value in _USED_ONLY_WITH.get(setting.name, {}).items())
    ]


def problems(tree: WorkTree) -> list[str]:
    """What is wrong with the pipelines of a checkout, a sentence each; empty where nothing is.

    Every pipeline is read as it would be for its own branches, with each choice that the settings leave, and with each
    of its yes-or-no parameters turned around.
    """
    found: dict[str, None] = {}  # in order, each once
    verdicts = decide(tree, Push("refs/heads/main", []))
    if not verdicts:
        return [f"There are no pipelines in {tree.root / FOLDER}."]
    for name, verdict in verdicts.items():
        path = f"{FOLDER}/{name}"
        if verdict.broken:
            found[verdict.rule] = None
            continue
        found |= dict.fromkeys(_missing_paths(tree, load(tree, path)))
        for files, branch, given in product(_variants(tree), _BRANCHES, _parameters(load(tree, path))):
            try:
                read_pipeline(files, path, given, {"Build.SourceBranch": branch, "Build.Reason": "Manual"})
            except WorkshopError as error:
                found[str(error)] = None
    return list(found)


def _variants(files: Files) -> Iterator[Files]:
    for choice in _CHOICES:
        text = files.read(VARIABLES) or ""
        for name, value in choice.items():
            text = re.sub(rf"(- name: {name}\n\s*value: ).*", rf"\g<1>{value}", text)
        yield _With(files, VARIABLES, text)


def _parameters(pipeline: Mapping) -> list[dict[str, str]]:
    """The parameters' defaults, and those with one yes-or-no turned around."""
    declared = pipeline.get("parameters", [])
    switches = [each for each in declared if isinstance(each, Mapping) and each.get("type") == "boolean"]
    flipped = ({each["name"]: str(str(each.get("default")).lower() != "true")} for each in switches)
    return [{}, *flipped]


def _missing_paths(tree: WorkTree, pipeline: Mapping) -> Iterator[str]:
    """Path filters for which there is nothing: a file that was renamed no longer starts anything."""
    trigger = pipeline.get("trigger")
    paths = trigger.get("paths", {}) if isinstance(trigger, Mapping) else {}
    for filters in paths.values():
        for text, place in zip(filters, filters.places, strict=True):
            fixed = PurePosixPath(re.split(r"[*?]", text)[0].rstrip("/") if re.search(r"[*?]", text) else text)
            if not (tree.root / fixed).exists():
                yield str(
                    PipelineError(place, f"the path filter {text} fits nothing in the repository: mend or remove it.")
                )
