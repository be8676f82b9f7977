"""The variables of a run: replacement of `$(name)`, environment variables, and masked secrets."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from azure_devops_local import host
from azure_devops_local.language import documents
from azure_devops_local.run_store import Run
from kit_common.errors import UserError

GROUPS_FILE = "variable_groups.yml"
_AT_RUN_TIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
_DATE = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_MACRO = re.compile(r"\$\(([^()]+)\)")
# Linux refuses longer strings in the environment of a process.
_LONGEST = 100_000


@dataclass(frozen=True)
class Variable:
    """One variable."""

    name: str
    value: str
    written: bool = False
    """The value was written in a file, so `$(other)` in it is replaced; any other value is data."""
    secret: bool = False
    read_only: bool = False


class Variables:
    """Variables by name, without regard to case."""

    def __init__(self, known: Iterable[Variable] = ()) -> None:
        self._known = {variable.name.lower(): variable for variable in known}

    def copy(self) -> "Variables":
        """Return a copy."""
        return Variables(self._known.values())

    def add(self, values: Mapping[str, str], *, written: bool = False, read_only: bool = False) -> None:
        """Set several variables that are not secret."""
        for name, value in values.items():
            self.put(Variable(name, value, written=written, read_only=read_only))

    def put(self, variable: Variable) -> None:
        """Set a variable that is not read-only."""
        before = self._known.get(variable.name.lower())
        if before is not None and before.read_only:
            raise UserError(f"The variable {before.name} is read-only: choose another name.")
        # An environment variable can't contain a NUL.
        self._known[variable.name.lower()] = replace(variable, value=variable.value.replace("\0", ""))

    def get(self, name: str) -> str | None:
        """Return the value of a variable, or None if it is not set."""
        return self._resolved(name, frozenset())[0]

    def expand(self, text: str) -> str:
        """Replace each `$(name)` by the value, once; an unknown name stays as it is."""
        return self._replaced(text, frozenset())[0]

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
        return {variable.name: self.get(key) or "" for key, variable in self._known.items()}

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a step: all variables except secrets."""
        found = {variable.name: self._resolved(key, frozenset()) for key, variable in self._known.items()}
        return {
            re.sub(r"[.\s=]", "_", name).upper(): value or "" for name, (value, secret) in found.items() if not secret
        }

    def _resolved(self, name: str, within: frozenset[str]) -> tuple[str | None, bool]:
        """Return the value, and whether it contains a secret."""
        key = name.lower()
        variable = self._known.get(key)
        if variable is None or key in within:  # a circular reference is not replaced
            return None, False
        if not variable.written:
            return variable.value, variable.secret
        value, secret = self._replaced(variable.value, within | {key})
        return value, secret or variable.secret

    def _replaced(self, text: str, within: frozenset[str]) -> tuple[str, bool]:
        pieces, end, any_secret = [], 0, False
        for macro in _MACRO.finditer(text):
            value, secret = self._resolved(macro[1], within)
            pieces += [text[end : macro.start()], macro[0] if value is None else value]
            end, any_secret = macro.end(), any_secret or secret
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
        """Mask this secret, and each of its lines, since logs are written line by line."""
        parts = (secret, *secret.splitlines())
        self._secrets |= {shown for part in parts for shown in (part, part.strip()) if part.strip()}

    def holds(self, text: str) -> bool:
        """Return whether the text is a secret."""
        return text in self._secrets

    def __call__(self, text: str) -> str:
        """Return the text with masked secrets, which may overlap."""
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
        return "".join([*pieces, text[end:]])


def predefined(run: Run) -> dict[str, str]:
    """Return the predefined variables of a run."""
    ref = run.branch if run.branch.startswith("refs/") else f"refs/heads/{run.branch}"
    known = {
        "Build.SourceBranch": ref,
        "Build.SourceBranchName": ref.rpartition("/")[2],
        "Build.SourceVersion": run.commit,
        "Build.SourceVersionMessage": run.message,
        "Build.Reason": run.reason[0].upper() + run.reason[1:],
        "Build.BuildId": str(run.number),
        "Build.BuildUri": f"vstfs:///Build/Build/{run.number}",
        "Build.BuildNumber": f"{run.created:%Y%m%d}.{run.number}",
        "Build.RequestedFor": run.requested_for,
        "Build.QueuedBy": run.requested_for,
        "Build.Repository.Name": host.current().name,
        "Build.Repository.Provider": "TfsGit",
        "Build.DefinitionName": Path(run.pipeline).stem,
        "System.DefinitionId": "1",
        "System.Debug": "False",
        "System.TeamProject": host.current().name,
        "System.CollectionUri": "",
        "System.TeamFoundationCollectionUri": "",
    }
    if pull_request := re.fullmatch(r"refs/pull/(\d+)/merge", ref):
        known["System.PullRequest.PullRequestId"] = pull_request[1]
    return known


def build_number(run: Run, form: str) -> str:
    """Return the build number in the format of the pipeline's `name:`; here `$(Rev:r)` is the run's number."""
    if not form:
        return predefined(run)["Build.BuildNumber"]

    def date(found: "re.Match[str]") -> str:
        return run.created.strftime(re.sub("|".join(_DATE), lambda part: _DATE[part[0]], found[1]))

    def counter(found: "re.Match[str]") -> str:
        return found[1] + str(run.number).zfill(len(found[2]))

    dated = re.sub(r"\$\(Date:([^()%]*)\)", date, form)
    counted = re.sub(r"\$\(Rev:(\.?)(r+)\)", counter, dated)
    return Variables(Variable(name, value) for name, value in predefined(run).items()).expand(counted)


def read_groups(names: Iterable[str]) -> list[Variable]:
    """Return the variables of these variable groups, from `variable_groups.yml` in the home."""
    folder = host.current().home
    where = f"write `{{group: {{name: value, other: {{value: …, secret: true}}}}}}` into {folder / GROUPS_FILE}"
    wanted = list(names)
    if wanted and not (folder / GROUPS_FILE).is_file():
        raise UserError(f"The variable group {wanted[0]} is missing: {where}.")
    groups = documents.load(documents.WorkTree(folder), GROUPS_FILE) if wanted else {}
    found = []
    for group in wanted:
        members = groups.get(group)
        if not isinstance(members, documents.Mapping):
            raise UserError(f"The variable group {group} is missing: {where}.")
        for name, value in members.items():
            given = value if isinstance(value, dict) else {"value": value}
            if not isinstance(given.get("value"), str) or given.keys() - {"value", "secret"}:
                raise documents.PipelineError(
                    members.places[name], f"`{name}` is neither a text nor a mapping of value and secret."
                )
            found.append(Variable(name, given["value"], written=True, secret=given.get("secret", "").lower() == "true"))
    return found
