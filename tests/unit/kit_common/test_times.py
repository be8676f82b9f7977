from datetime import UTC, datetime, timedelta, timezone

import pytest

from kit_common.times import utc


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-24T12:34:56+00:00",
        "2026-11-24T12:34:56.789Z",
        "2026-11-24T14:34:56+02:00",
        datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC),
        datetime(2026, 11, 24, 4, 34, 56, tzinfo=timezone(timedelta(hours=-8))),
    ],
)
def test_a_moment_of_any_zone_is_shown_in_utc(moment: datetime | str) -> None:
    assert utc(moment) == "2026-11-24 12:34:56 UTC"
