"""What the doctor finds: one line for each thing looked at."""

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from kit_common.errors import UserError
from workshop.core.errors import WorkshopError, explain_os_error

Mark = Literal["holds", "fails", "note", "not checked"]
SIGNS: dict[Mark, str] = {"holds": "✓", "fails": "✗", "note": "!", "not checked": "·"}


class Note(str):
    """What a check says that found nothing wrong, and something to know."""

    __slots__ = ()


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what came of it."""

    check: str
    mark: Mark
    text: str
    """What holds; or what does not, and what to do about it."""

    @property
    def line(self) -> str:
        """The finding for a terminal."""
        return f"{SIGNS[self.mark]} {self.check}: {self.text}"


@dataclass
class Report:
    """The findings, in the order in which they were made."""

    findings: list[Finding] = field(default_factory=list)

    def check(self, name: str, look: Callable[[], str], *, needs: Iterable[str] = ()) -> bool:
        """Look at one thing.

        Args:
            name: what it is, in a word or two.
            look: says what holds, as a `Note` where there is something to know; raises WorkshopError for what fails, or
                an OSError that it does not know about.
            needs: the checks without which it says nothing: if one of them fails, this one is left out.

        Returns:
            Whether it holds.
        """
        ground = set(needs) & {finding.check for finding in self.findings if finding.mark in ("fails", "not checked")}
        if ground:
            missing = next(finding.check for finding in self.findings if finding.check in ground)
            self.findings.append(Finding(name, "not checked", f"not checked, as long as {missing} does not hold"))
            return False
        try:
            said = look()
        except UserError as error:
            self.findings.append(Finding(name, "fails", str(error)))
            return False
        except OSError as error:  # of one check; the others still say something
            self.findings.append(Finding(name, "fails", str(explain_os_error(error))))
            return False
        self.findings.append(Finding(name, "note" if isinstance(said, Note) else "holds", str(said)))
        return True

    @property
    def exit_code(self) -> int:
        """0 as long as nothing fails, else 1."""
        return int(any(finding.mark == "fails" for finding in self.findings))

    def as_json(self, target: str) -> dict[str, Any]:
        """The same for programs."""
        return {
            "target": target,
            "ok": self.exit_code == 0,
            "findings": [asdict(finding) for finding in self.findings],
        }


def require_sdk() -> str:
    """Whether the SDK is here, which a laptop does not need.

    Raises:
        WorkshopError: it is not.
    """
    if importlib.util.find_spec("databricks") is None or importlib.util.find_spec("databricks.sdk") is None:
        raise WorkshopError("it is not installed: run `pip install 'workshop[laptop]'`, or `make setup` in a clone.")
    return f"{importlib.metadata.version('databricks-sdk')} is installed"
