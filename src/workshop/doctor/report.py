"""The findings of `workshop doctor`, one line for each check."""

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
    """The result of a check that holds, with a remark."""

    __slots__ = ()


@dataclass(frozen=True)
class Finding:
    """A check and its result."""

    check: str
    mark: Mark
    text: str
    """What holds, or what does not and what to do about it."""

    @property
    def line(self) -> str:
        """The finding for a terminal."""
        return f"{SIGNS[self.mark]} {self.check}: {self.text}"


@dataclass
class Report:
    """The findings, in the order of the checks."""

    findings: list[Finding] = field(default_factory=list)
    show: Callable[[Finding], None] = lambda _: None
    """Called with each finding as soon as it is made."""

    def check(self, name: str, look: Callable[[], str], *, needs: Iterable[str] = ()) -> bool:
        """Run one check.

        Args:
            name: the name of the check, in a word or two.
            look: returns what holds, as a `Note` if it needs a remark; raises WorkshopError or OSError for what fails.
            needs: the checks that this one depends on: if one of them fails, this one is skipped.

        Returns:
            Whether the check holds.
        """
        ground = set(needs) & {finding.check for finding in self.findings if finding.mark in ("fails", "not checked")}
        if ground:
            missing = next(finding.check for finding in self.findings if finding.check in ground)
            return self._found(Finding(name, "not checked", f"not checked, as long as {missing} does not hold"))
        try:
            text = look()
        except UserError as error:
            return self._found(Finding(name, "fails", str(error)))
        except OSError as error:  # the other checks go on
            return self._found(Finding(name, "fails", str(explain_os_error(error))))
        return self._found(Finding(name, "note" if isinstance(text, Note) else "holds", str(text)))

    def _found(self, finding: Finding) -> bool:
        """Keep and show a finding; return whether its check holds."""
        self.findings.append(finding)
        self.show(finding)
        return finding.mark in ("holds", "note")

    @property
    def exit_code(self) -> int:
        """0 if no check fails, else 1."""
        return int(any(finding.mark == "fails" for finding in self.findings))

    def as_json(self, target: str) -> dict[str, Any]:
        """Return the findings for programs."""
        return {
            "target": target,
            "ok": self.exit_code == 0,
            "findings": [asdict(finding) for finding in self.findings],
        }


def require_sdk() -> str:
    """Check that the Databricks SDK is installed, which a laptop does not need.

    Raises:
        WorkshopError: the SDK is not installed.
    """
    if importlib.util.find_spec("databricks") is None or importlib.util.find_spec("databricks.sdk") is None:
        raise WorkshopError("it is not installed: run `pip install 'workshop[laptop]'`, or `make setup` in a clone.")
    return f"{importlib.metadata.version('databricks-sdk')} is installed"
