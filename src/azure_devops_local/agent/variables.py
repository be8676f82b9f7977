"""The variables of a run: what `$(name)` stands for, what reaches the environment, and what no log may show."""

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
# Linux takes no longer string into a process's environment.
_LONGEST = 100_000


@dataclass(frozen=True)
class Variable:
    """One variable."""

    name: str
    value: str
    written: bool = False
    """Its value stands in a file, so `$(other)` in it means that variable; any other value is data."""
    secret: bool = False
    read_only: bool = False


class Variables:
    """Variables by name, whatever its case."""

    def __init__(self, known: Iterable[Variable] = ()) -> None:
        self._known = {variable.name.lower(): variable for variable in known}

    def copy(self) -> "Variables":
        """Return a copy."""
        return Variables(self._known.values())

    def add(self, values: Mapping[str, str], *, written: bool = False, read_only: bool = False) -> None:
        """Set several that are no secrets."""
        for name, value in values.items():
            self.put(Variable(name, value, written=written, read_only=read_only))

    def put(self, variable: Variable) -> None:
        """Set one.

        Raises:
            UserError: it is read-only.
        """
        before = self._known.get(variable.name.lower())
        if before is not None and before.read_only:
            raise UserError(f"The variable {before.name} is read-only: choose another name.")
        # No process can be given a NUL.
        self._known[variable.name.lower()] = replace(variable, value=variable.value.replace("\0", ""))

    def get(self, name: str) -> str | None:
        """Return the value of a variable, or None if it is not set.

        Raises:
            UserError: what it refers to makes it longer than a process can take.
        """
        return self._resolved(name, frozenset())[0]

    def expand(self, text: str) -> str:
        """Replace each `$(name)` by the value, once; a name that nobody set stays as it stands."""
        return self._replaced(text, frozenset())[0]

    def work_out(self, evaluate: Callable[[str], str], mask: "Mask") -> None:
        """Give each variable whose whole value is an expression for run time, `$[ … ]`, what comes out: data."""
        for key, variable in list(self._known.items()):
            expression = _AT_RUN_TIME.fullmatch(variable.value.strip()) if variable.written else None
            if expression is not None:
                value = evaluate(expression[1])
                secret = variable.secret or mask.holds(value)
                self._known[key] = replace(variable, value=value, written=False, secret=secret)

    def values(self) -> dict[str, str]:
        """All values by name."""
        return {variable.name: self.get(key) or "" for key, variable in self._known.items()}

    def environment(self) -> dict[str, str]:
        """Those that a step's process gets by itself: all but the secrets."""
        found = {variable.name: self._resolved(key, frozenset()) for key, variable in self._known.items()}
        return {
            re.sub(r"[.\s=]", "_", name).upper(): value or "" for name, (value, secret) in found.items() if not secret
        }

    def _resolved(self, name: str, within: frozenset[str]) -> tuple[str | None, bool]:
        """Return the value, and whether a secret is in it."""
        key = name.lower()
        variable = self._known.get(key)
        if variable is None or key in within:  # a circle is left as it is written
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
    """Puts `***` in the place of secrets."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def add(self, secret: str) -> None:
        """Never show this; where it has several lines, none of them either, since a log is made of lines."""
        parts = (secret, *secret.splitlines())
        self._secrets |= {shown for part in parts for shown in (part, part.strip()) if part.strip()}

    def holds(self, text: str) -> bool:
        """Whether the text is a secret itself."""
        return text in self._secrets

    def __call__(self, text: str) -> str:
        """Return the text without the secrets, also where two of them overlap."""
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
    """Return the variables that are known of a run before it starts."""
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
    """Return the build number for the pipeline's `name:`; of its counters, `$(Rev:r)` is the run's number here."""
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
    """Return the variables of these variable groups, from `variable_groups.yml` in the home.

    Raises:
        UserError: the file or a group is not there, or something in it can't be understood.
    """
    folder = host.current().home
    where = f"write `{{group: {{name: value, other: {{value: …, secret: true}}}}}}` into {folder / GROUPS_FILE}"
    wanted = list(names)
    if wanted and not (folder / GROUPS_FILE).is_file():
        raise UserError(f"The variable group {wanted[0]} is not there: {where}.")
    groups = documents.load(documents.WorkTree(folder), GROUPS_FILE) if wanted else {}
    found = []
    for group in wanted:
        members = groups.get(group)
        if not isinstance(members, documents.Mapping):
            raise UserError(f"The variable group {group} is not there: {where}.")
        for name, value in members.items():
            given = value if isinstance(value, dict) else {"value": value}
            if not isinstance(given.get("value"), str) or given.keys() - {"value", "secret"}:
                raise documents.PipelineError(members.places[name], f"`{name}` is neither a text nor value and secret.")
            found.append(Variable(name, given["value"], written=True, secret=given.get("secret", "").lower() == "true"))
    return found
