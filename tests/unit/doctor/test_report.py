"""Findings: which mark each gets, and what depends on what."""

import errno

import pytest

from workshop.core.errors import WorkshopError
from workshop.doctor.report import Finding, Note, Report


def broken() -> str:
    raise WorkshopError("it is broken: mend it.")


def never() -> str:
    pytest.fail("a check without its ground says nothing")


def test_a_check_holds_fails_or_notes() -> None:
    report = Report()
    assert report.check("one", lambda: "all is well")
    assert report.check("two", lambda: Note("all is well, but"))
    assert report.exit_code == 0
    assert not report.check("three", broken)
    assert report.exit_code == 1
    assert [finding.line for finding in report.findings] == [
        "✓ one: all is well",
        "! two: all is well, but",
        "✗ three: it is broken: mend it.",
    ]


def test_what_stands_on_a_failed_check_is_not_checked_and_neither_is_what_stands_on_that() -> None:
    report = Report()
    report.check("ground", broken)
    report.check("apart", lambda: "well")
    report.check("house", never, needs=["apart", "ground"])
    report.check("roof", never, needs=["house"])
    assert report.findings[2:] == [
        Finding("house", "not checked", "not checked, as long as ground does not hold"),
        Finding("roof", "not checked", "not checked, as long as house does not hold"),
    ]


def test_each_finding_is_shown_as_soon_as_it_is_made() -> None:
    shown: list[str] = []
    report = Report(show=lambda finding: shown.append(finding.check))
    report.check("one", lambda: f"{shown}")
    report.check("two", lambda: f"{shown}", needs=["one"])
    assert [finding.text for finding in report.findings] == ["[]", "['one']"]
    assert shown == ["one", "two"]


def test_a_note_is_ground_enough() -> None:
    report = Report()
    report.check("ground", lambda: Note("thin"))
    assert report.check("house", lambda: "stands", needs=["ground"])


def test_what_the_operating_system_refuses_fails_one_line() -> None:
    def full() -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/home")

    report = Report()
    assert not report.check("one", full)
    assert report.check("two", lambda: "well")
    assert report.findings[0].line.startswith("✗ one: Cannot write or read at /home: the disk is full")


def test_other_errors_are_not_findings() -> None:
    def mistaken() -> str:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        Report().check("one", mistaken)


def test_for_programs() -> None:
    report = Report()
    report.check("one", broken)
    assert report.as_json("local") == {
        "target": "local",
        "ok": False,
        "findings": [{"check": "one", "mark": "fails", "text": "it is broken: mend it."}],
    }
