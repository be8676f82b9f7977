"""The name of a run, which is its build number, from the pipeline's `name:`."""

import re
from collections.abc import Callable
from datetime import datetime

from azure_devops_local.agent.variables import Variables, predefined
from azure_devops_local.run_store import Run
from kit_common.errors import UserError

_DATE = {
    **{"yyyy": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "dddd": "%A", "ddd": "%a", "dd": "%d"},
    **{"HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S", "tt": "%p"},
}
_UNPADDED = {"M": "%m", "d": "%d", "H": "%H", "h": "%I", "m": "%M", "s": "%S"}
_TOKEN = re.compile(r"\$\(([A-Za-z]+)(?::([^()]*))?\)")
_FORBIDDEN = re.compile(r"[\"/:<>\\|?@*]")
_LONGEST = 255


def build_number(run: Run, form: str, known: Variables) -> str:
    """Return the build number of a run.

    Args:
        run: the run; here `$(Rev:r)` is its number.
        form: the pipeline's `name:`.
        known: the pipeline's own variables, with their values; the predefined ones are added.
    """
    if "$[" in form:
        raise UserError("An expression in the `name:` of the pipeline is not implemented: put it into a variable.")
    own = predefined(run)
    own["Build.SourceBranch"] = own["Build.SourceBranch"].replace("/", "_")
    tokens = _tokens(run, own)

    def filled(match: "re.Match[str]") -> str:
        token = tokens.get(match[1].lower())
        return match[0] if token is None else token(match[2] or "")

    known.add(own)
    number = known.expand(_TOKEN.sub(filled, form)).strip()
    if _FORBIDDEN.search(number) or number.endswith(".") or len(number) > _LONGEST:
        advice = f'use at most {_LONGEST} characters without " / : < > \\ | ? @ * and without a full stop at the end'
        raise UserError(f"The `name:` of the pipeline becomes `{number}`, which is not a name of a run: {advice}.")
    return number


def _tokens(run: Run, own: dict[str, str]) -> dict[str, Callable[[str], str]]:
    """Return what replaces each token, by its name in lower case, given what follows its colon."""
    at = run.created

    def counter(form: str) -> str:
        return ("." if form.startswith(".") else "") + str(run.number).zfill(form.count("r"))

    return {
        "date": lambda form: _date(at, form),
        "year": lambda form: _date(at, form or "yyyy"),
        "rev": counter,
        "dayofmonth": lambda _: str(at.day),
        "dayofyear": lambda _: str(at.timetuple().tm_yday),
        "month": lambda _: str(at.month),
        "hours": lambda _: str(at.hour),
        "minutes": lambda _: str(at.minute),
        "seconds": lambda _: str(at.second),
        "buildid": lambda _: own["Build.BuildId"],
        "builddefinitionname": lambda _: own["Build.DefinitionName"],
        "sourcebranchname": lambda _: own["Build.SourceBranchName"],
        "teamproject": lambda _: own["System.TeamProject"],
    }


def _date(at: datetime, form: str) -> str:
    """Return a time in a format of .NET."""

    def part(match: "re.Match[str]") -> str:
        letters = match[0]
        if letters in _UNPADDED:
            return at.strftime(_UNPADDED[letters]).removeprefix("0")
        if letters not in _DATE:
            known = ", ".join((*_DATE, *_UNPADDED))
            raise UserError(f"The date format `{letters}` in the pipeline's `name:` is not implemented: use {known}.")
        return at.strftime(_DATE[letters])

    return re.sub(r"([A-Za-z])\1*", part, form)
