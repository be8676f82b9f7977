"""The outcome of a comparison: guards, decision, what was done about it, and one table of what each status means.

Only plain data: whatever prints or passes on an outcome imports this module, and it must import in milliseconds.
"""

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic.dataclasses import dataclass as validated_dataclass

Protects = Literal["callers", "verdict"]
"""What a guard protects: the programs that call the model, or the meaning of the verdict."""
Verdict = Literal["better", "not better", "baseline", "vetoed", "refused"]
"""`vetoed`: better overall, but a guard failed. `refused`: callers would break, or the rows allow no verdict."""
Kind = Literal["promotion", "staging", "comparison", "rejection", "refusal", "rollback", "override"]
"""The kinds of event in the history. `comparison`: of a run with `compare_only`, whatever its verdict."""
Status = Literal["promoted", "staged", "compared", "not better", "vetoed", "refused", "unchanged"]
"""What was done about the candidate; the version is tagged with it."""
RunStatus = Literal[Status, "done", "failed", "interrupted"]
"""How a run ended: with an outcome's status; `done` is a run without a comparison."""
Colour = Literal["green", "yellow", "red"]
Result = Literal["passed", "failed", "not judged"]
"""The result of a guard; `not judged`: there were too few rows to tell, and the verdict does not depend on it."""

MARKS: dict[Result, str] = {"passed": "✓", "failed": "✗", "not judged": "–"}

HEX: dict[Colour, str] = {"green": "#1b6e3c", "yellow": "#8a1c4a", "red": "#a3262a"}
"""The colours of a page, by those of a terminal; on white paper yellow is unreadable."""
_GROUND: dict[Colour, str] = {"green": "#e6f3ea", "yellow": "#f8e8ef", "red": "#fbe9e9"}
"""What they stand on in a notebook: no colour is readable on both JupyterLab's white and its black."""


class Meaning(NamedTuple):
    """A row of the table of statuses."""

    verdicts: tuple[Verdict, ...]
    """The verdicts that lead to the status."""
    event: Kind | None
    """The event in the history; None where nothing is recorded."""
    exit_code: int
    colour: Colour


MEANINGS: dict[RunStatus, Meaning] = {
    "promoted": Meaning(("better", "baseline"), "promotion", 0, "green"),
    "staged": Meaning(("better", "baseline"), "staging", 0, "green"),
    "compared": Meaning(("better", "baseline"), "comparison", 0, "green"),
    "unchanged": Meaning(("better", "not better", "baseline", "vetoed", "refused"), None, 0, "green"),
    "not better": Meaning(("not better",), "rejection", 3, "yellow"),
    "vetoed": Meaning(("vetoed",), "rejection", 3, "yellow"),
    "refused": Meaning(("refused",), "refusal", 1, "red"),
    "done": Meaning((), None, 0, "green"),
    "failed": Meaning((), None, 1, "red"),
    "interrupted": Meaning((), None, 1, "red"),
}
"""Every status of a run: the verdicts before it, its event, its exit code and its colour.

The tag `workshop.status` of a candidate is the status itself.
"""
COMPARED_ON = {"production": "production wines", "staging": "held-out test wines"}
"""The wines that decide about a slot."""
TAG_IN_PRODUCTION: dict[Kind, str] = {
    "promotion": "promoted",
    "override": "promoted",
    "rollback": "rolled back to",
}
"""The tag of a version that an event has given Production to."""


@dataclass(frozen=True)
class Guard:
    """One check of a candidate."""

    name: str
    passed: bool | None
    """None if the guard could not judge. Histories from before this value was used contain true instead."""
    finding: str
    """The result in one sentence."""
    protects: Protects
    figures: Mapping[str, int | float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the guard refuses or vetoes the candidate."""
        return self.passed is False

    @property
    def result(self) -> Result:
        """The result in words."""
        return result_of(self.passed)


@dataclass(frozen=True)
class Looks:
    """The effect of repeated comparisons on the same rows on the error rate; see `looks`."""

    number: int
    """The number of this look at these rows, from 1."""
    false_promotion_chance: float
    """Upper bound on the probability that any look so far promoted a candidate that was no better."""
    corrected_confidence: float
    """The confidence that this look must reach, so that all looks together keep the error rate of a single one."""
    corrected_lower_bound: float | None = None
    corrected: bool = True
    """Whether the verdict uses the corrected confidence."""
    spends: bool = False
    """Whether the comparison could have promoted the candidate, so that later ones must reach more confidence."""
    new_wines: float = 1.0
    """The share of the rows that no earlier look has compared on."""
    more_looks: int = 0
    """The number of looks that are left until the confidence to reach grows steeply."""


@dataclass(frozen=True)
class Decision:
    """The verdict of the gate, with every figure that it rests on."""

    verdict: Verdict
    reason: str
    rows: int
    positives: int
    confidence: float
    """The confidence of the bounds below."""
    min_improvement: float
    guards: list[Guard]
    looks: Looks
    auc_candidate: float | None = None
    auc_champion: float | None = None
    difference: float | None = None
    standard_error: float | None = None
    lower_bound: float | None = None
    upper_bound: float | None = None
    p_value: float | None = None
    notes: list[str] = field(default_factory=list)
    """Remarks for the reader that the verdict does not depend on."""

    @property
    def passed(self) -> bool:
        """Whether the candidate may take the slot."""
        return self.verdict in ("better", "baseline")

    @property
    def vetoes(self) -> list[Guard]:
        """The guards that failed."""
        return [guard for guard in self.guards if guard.failed]

    @property
    def not_judged(self) -> list[Guard]:
        """The guards that could not judge."""
        return [guard for guard in self.guards if guard.passed is None]

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as JSON types."""
        return asdict(self)


@validated_dataclass(frozen=True)
class Outcome:
    """A decision about a candidate, and what was done about it."""

    status: Status
    sentence: str
    model_name: str
    candidate_version: str
    champion_version: str | None
    rows: str
    slots_before: dict[str, str | None]
    slots_after: dict[str, str | None]
    decision: Decision
    drift: dict[str, float] = field(default_factory=dict)
    """The population stability index of each feature."""

    def as_dict(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return asdict(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return the forms in which a notebook shows the outcome."""
        colour = MEANINGS[self.status].colour
        style = f"color:{HEX[colour]};background:{_GROUND[colour]};padding:1px 8px;border-radius:4px"
        lines = [self.decision.reason, *self.decision.notes]
        text = f"<strong style='{style}'>{html.escape(self.sentence)}</strong><br>"
        text += "<br>".join(html.escape(line) for line in lines)
        return {
            "text/html": f"<p>{text}</p>",
            "text/plain": "\n".join([self.sentence, *lines]),
        }


def result_of(passed: bool | None) -> Result:
    """Return the result of a guard in words, from its value in a record."""
    return "not judged" if passed is None else "passed" if passed else "failed"


def status_for(verdict: Verdict, slot: str, *, compare_only: bool) -> Status:
    """Return the status of a candidate that does not hold the slot yet."""
    match verdict:
        case "not better" | "vetoed" | "refused":
            return verdict
        case _ if compare_only:
            return "compared"
        case _:
            return "promoted" if slot == "production" else "staged"


def sentence_for(status: Status, candidate: str, champion: str | None, slot: str, decision: Decision) -> str:
    """Return the sentence of an outcome.

    Args:
        status: of the outcome.
        candidate: its version.
        champion: the version in Production, if any.
        slot: the slot that the comparison was about.
        decision: of the gate.
    """
    held = "production" if candidate == champion else slot
    wines = COMPARED_ON[slot]
    better = f"better than version {champion} on {wines}"
    kept = "Production is untouched." if slot == "production" else "Staging and Production are untouched."
    empty = champion is None
    vetoes = ", ".join(f'the guard "{guard.name}" failed' for guard in decision.vetoes)
    sentences: dict[Status, str] = {
        "promoted": "is promoted: it is the first to hold Production."
        if empty
        else f"is promoted to Production: it is {better}; version {champion} is archived.",
        "staged": "holds Staging; no version holds Production yet."
        if empty
        else f"holds Staging: it is {better}; Production is untouched.",
        "compared": f"{'passes, and no version holds Production yet' if empty else f'is {better}'}, but this run only "
        f"compares; {kept}",
        "unchanged": f"holds {held.capitalize()} already; nothing was changed.",
        "not better": f"is not {better}; {kept}",
        "vetoed": f"is {better} overall, but {vetoes}; {kept}",
        "refused": f"is refused, since {vetoes}; {kept}",
    }
    return f"Version {candidate} {sentences[status]}"
