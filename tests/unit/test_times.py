from datetime import UTC, datetime, timedelta

import pytest

from fleetsyncd.errors import CommandError
from fleetsyncd.times import parse_time

NOW = datetime(2026, 2, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        (" 24h ", NOW - timedelta(hours=24)),
        ("90s", NOW - timedelta(seconds=90)),
        ("5m", NOW - timedelta(minutes=5)),
        ("30d", NOW - timedelta(days=30)),
        ("2026-02-20T10:30Z", datetime(2026, 2, 20, 10, 30, tzinfo=UTC)),
        ("2026-02-20 10:30+02:00", datetime(2026, 2, 20, 8, 30, tzinfo=UTC)),
        ("2026-02-20 10:30", datetime(2026, 2, 20, 10, 30).astimezone(UTC)),
        ("2026-02-20", datetime(2026, 2, 20).astimezone(UTC)),
    ],
)
def test_ages_and_times_are_understood(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "24", "24w", "2026-13-01", "999999d", "\x1b[2J"])
def test_anything_else_is_refused_and_shown_harmlessly(text: str) -> None:
    with pytest.raises(CommandError, match="is not a time; write") as refusal:
        parse_time(text, NOW)
    assert "\x1b" not in str(refusal.value)
