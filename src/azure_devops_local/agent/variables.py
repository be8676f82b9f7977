"""The variables of a run: replacement of `$(name)`, environment variables, and masked secrets."""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from azure_devops_local import host
from azure_devops_local.language import documents
from azure_devops_local.language.pipeline import Group, Scope, Variable
from azure_devops_local.run_store import Run
from kit_common.errors import UserError

GROUPS_FILE = "variable_groups.yml"
_AT_RUN_TIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
_MACRO = re.compile(r"\$\(([^()]+)\)")
# Linux refuses longer strings in the environment of a process.
_LONGEST = 100_000
_DEEPEST = 50
_ESCAPES = {"\\\\": "\\", "\\'": "'", '\\"': '"', "\\t": "\t"}
_PASSWORD_IN_URL = re.compile(r"(//[^\s/:@]+:)[^\s/@]+(?=@)")
_LONGEST_MESSAGE = 200
_SERVICE = "Microsoft.VisualStudio.Services.TFS"


class _CircularError(Exception):
    """A value leads back to its own variable, or nests too deeply."""


class Variables:
    """Variables by name, without regard to case."""

    def __init__(self, known: Iterable[Variable] = ()) -> None:
        self._known = {variable.name.lower(): variable for variable in known}

    def add(self, values: Mapping[str, str], *, written: bool = False, read_only: bool = False) -> None:
        """Set several variables that are not secret."""
        for name, value in values.items():
            self.put(Variable(name, value, written=written, read_only=read_only))

    def put(self, variable: Variable) -> None:
        """Set a variable, also a read-only one."""
        # An environment variable can't contain a NUL.
        self._known[variable.name.lower()] = replace(variable, value=variable.value.replace("\0", ""))

    def refuse_read_only(self, name: str) -> None:
        """Raise an error if a step must not set this variable."""
        before = self._known.get(name.lower())
        if before is not None and before.read_only:
            raise UserError(f"The variable {before.name} is read-only: choose another name.")

    def get(self, name: str) -> str | None:
        """Return the value of a variable, or None if it is not set."""
        variable = self._known.get(name.lower())
        return None if variable is None else self._resolved(variable)[0]

    def is_secret(self, name: str) -> bool:
        """Return whether a variable is secret or contains a secret."""
        variable = self._known.get(name.lower())
        return variable is not None and self._resolved(variable)[1]

    def expand(self, text: str) -> str:
        """Replace each `$(name)` by the value, once; an unknown name stays as it is."""
        return self._replaced(text, ())[0]

    def circular(self) -> list[str]:
        """Return the names of the variables that stay as written, because they lead back to themselves."""
        found = []
        for key, variable in self._known.items():
            try:
                self._replaced(variable.value, (key,))
            except _CircularError:
                found.append(variable.name)
        return found

    def evaluate(self, evaluate: Callable[[str], str], mask: "Mask") -> None:
        """Replace each value that is a runtime expression, `$[ … ]`, by the expression's value, as data."""
        for key, variable in list(self._known.items()):
            expression = _AT_RUN_TIME.fullmatch(variable.value.strip()) if variable.written else None
            if expression is not None:
                value = evaluate(expression[1])
                secret = variable.secret or mask.holds(value)
                self._known[key] = replace(variable, value=value, written=False, secret=secret)

    def values(self) -> dict[str, str]:
        """Return all values by name."""
        return {variable.name: self._resolved(variable)[0] for variable in self._known.values()}

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a step: all variables except secrets."""
        found = {variable.name: self._resolved(variable) for variable in self._known.values()}
        return {re.sub(r"[.\s=]", "_", name).upper(): value for name, (value, secret) in found.items() if not secret}

    def _resolved(self, variable: Variable) -> tuple[str, bool]:
        """Return the value, in which all macros are replaced or, if it is circular, none; and whether it is secret."""
        try:
            value, secret = self._replaced(variable.value, (variable.name.lower(),))
        except _CircularError:
            return variable.value, variable.secret
        return value, secret or variable.secret

    def _replaced(self, text: str, within: tuple[str, ...]) -> tuple[str, bool]:
        """Return the text with its macros replaced, and whether it contains a secret.

        Args:
            text: the value of the last of the variables `within`, or, if there are none, any text.
            within: the variables from the outermost one, in lower case.
        """
        pieces, end, any_secret = [], 0, False
        for macro in _MACRO.finditer(text):
            nested = self._known.get(macro[1].lower())
            if nested is None:
                continue
            if not within:
                value, secret = self._resolved(nested)
            elif nested.name.lower() in within or len(within) == _DEEPEST:
                raise _CircularError
            else:
                value, secret = self._replaced(nested.value, (*within, nested.name.lower()))
            pieces += [text[end : macro.start()], value]
            end, any_secret = macro.end(), any_secret or secret or nested.secret
            if within and sum(map(len, pieces)) > _LONGEST:
                raise UserError(
                    f"A variable that refers to $({macro[1]}) is longer than {_LONGEST:,} characters: shorten it."
                )
        return "".join([*pieces, text[end:]]), any_secret


class Mask:
    """Replaces secrets by `***`."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """Mask a secret and each of its lines, since logs are written line by line; also with other escapes."""
        parts = [shown for part in (secret, *secret.splitlines()) if part.strip() for shown in (part, part.strip())]
        for part in parts:
            in_json, in_url = json.dumps(part, ensure_ascii=False)[1:-1], quote(part, safe="", errors="replace")
            without = functools.reduce(lambda text, escape: text.replace(*escape), _ESCAPES.items(), part)
            self._secrets |= {part, in_json, in_url, without}

    def holds(self, text: str) -> bool:
        """Return whether the text is a secret."""
        return text in self._secrets

    def __call__(self, text: str) -> str:
        """Return the text with masked secrets, which may overlap, and masked passwords in URLs."""
        spans = sorted(
            (found.start(), found.start() + len(secret))
            for secret in self._secrets
            if secret in text
            for found in re.finditer(f"(?={re.escape(secret)})", text)
        )
        pieces, end = [], 0
        for start, stop in spans:
            if start >= end:
                pieces += [text[end:start], "***"]
            end = max(end, stop)
        return _PASSWORD_IN_URL.sub(r"\1***", "".join([*pieces, text[end:]]))


def predefined(run: Run) -> dict[str, str]:
    """Return the predefined variables of a run."""
    ref = run.branch if run.branch.startswith("refs/") else f"refs/heads/{run.branch}"
    known = {
        "Build.SourceBranch": ref,
        "Build.SourceBranchName": ref.rpartition("/")[2],
        "Build.SourceVersion": run.commit,
        "Build.SourceVersionMessage": run.message[:_LONGEST_MESSAGE],
        "Build.Reason": run.reason[0].upper() + run.reason[1:],
        "Build.BuildId": str(run.number),
        "Build.BuildUri": f"vstfs:///Build/Build/{run.number}",
        "Build.BuildNumber": f"{run.created:%Y%m%d}.{run.number}",
        "Build.RequestedFor": run.requested_for,
        "Build.QueuedBy": run.requested_for if run.reason == "manual" else _SERVICE,
        "Build.Repository.Name": host.current().name,
        "Build.Repository.Provider": "TfsGit",
        "Build.DefinitionName": Path(run.pipeline).stem,
        "System.DefinitionId": "1",
        "System.TeamProject": host.current().name,
        "System.CollectionUri": "",
        "System.TeamFoundationCollectionUri": "",
    }
    if pull_request := re.fullmatch(r"refs/pull/(\d+)/merge", ref):
        known["System.PullRequest.PullRequestId"] = pull_request[1]
    if run.pull_request:
        source, target = run.pull_request
        known["System.PullRequest.SourceBranch"] = f"refs/heads/{source}"
        known["System.PullRequest.TargetBranch"] = f"refs/heads/{target}"
        known["System.PullRequest.TargetBranchName"] = target
    return known


def entries_of(scope: Scope, groups: Mapping[str, list[Variable]]) -> list[Variable]:
    """Return the variables of a pipeline, stage or job, with those of its groups in their place."""
    found: list[Variable] = []
    for entry in scope:
        found += groups[entry.name] if isinstance(entry, Group) else [entry]
    return found


def read_group(group: str) -> list[Variable]:
    """Return the variables of a variable group, from `variable_groups.yml` in the home."""
    folder = host.current().home
    where = f"write `{{group: {{name: value, other: {{value: …, secret: true}}}}}}` into {folder / GROUPS_FILE}"
    groups = documents.load(documents.WorkTree(folder), GROUPS_FILE) if (folder / GROUPS_FILE).is_file() else {}
    members = groups.get(group)
    if not isinstance(members, documents.Mapping):
        raise UserError(f"The variable group {group} is missing: {where}.")
    found = []
    for name, value in members.items():
        given = value if isinstance(value, dict) else {"value": value}
        if not isinstance(given.get("value"), str) or given.keys() - {"value", "secret"}:
            problem = f"`{name}` is neither a text nor a mapping of value and secret."
            raise documents.PipelineError(members.places[name], problem)
        found.append(Variable(name, given["value"], secret=given.get("secret", "").lower() == "true"))
    return found
