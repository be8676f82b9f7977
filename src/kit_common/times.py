"""Times in texts: all are UTC, and name it."""

from datetime import UTC, datetime


def utc(moment: datetime | str) -> str:
    """Return a moment, or its text in ISO 8601, as in `2026-11-24 12:34:56 UTC`."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
