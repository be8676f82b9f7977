"""The outcome of a comparison: the decision, and what was done about it."""

import html
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workshop.core.promotion.gate import Decision

Status = Literal["promoted", "staged", "compared", "not better", "vetoed", "refused", "unchanged"]


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    status: Status
    sentence: str
    model_name: str
    candidate_version: str
    champion_version: str | None
    rows: str
    slots_before: dict[str, str | None]
    slots_after: dict[str, str | None]
    decision: "Decision"
    drift: dict[str, float] = field(default_factory=dict)
    """The population stability index of each feature."""

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON types."""
        return asdict(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return what a notebook shows."""
        colour = {"not better": "#8a1c4a", "vetoed": "#8a1c4a", "refused": "#a3262a"}.get(self.status, "#1b6e3c")
        text = f"<strong style='color:{colour}'>{html.escape(self.sentence)}</strong><br>"
        said = [self.decision.reason, *self.decision.notes]
        text += "<br>".join(html.escape(each) for each in said)
        return {
            "text/html": f"<p>{text}</p>",
            "text/plain": "\n".join([self.sentence, *said]),
        }
