import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleetsyncd.errors import CommandError
from fleetsyncd.models import Window
from fleetsyncd.time_limits import backfill_window
from fleetsyncd.times import parse_length, parse_time, utc_day, utc_span, utc_text

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
        ("2026-02-20 10:30:05 UTC", datetime(2026, 2, 20, 10, 30, 5, tzinfo=UTC)),
        ("2026-02-20 10:30+02:00", datetime(2026, 2, 20, 8, 30, tzinfo=UTC)),
        ("2026-02-20 10:30", datetime(2026, 2, 20, 10, 30).astimezone(UTC)),
        ("2026-02-20", datetime(2026, 2, 20).astimezone(UTC)),
    ],
)
def test_ages_and_times_are_understood(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "24h UTC", " UTC", "24", "24w", "2026-13-01", "\x1b[2J", "\udcff"]
)
def test_anything_else_is_refused_and_shown_harmlessly(text: str) -> None:
    with pytest.raises(CommandError, match="is not a time; write") as refusal:
        parse_time(text, NOW)
    assert "\x1b" not in str(refusal.value)


@pytest.mark.parametrize("text", ["999999d", "999999999h"])
def test_an_age_before_the_first_year_is_told_as_such(text: str) -> None:
    with pytest.raises(CommandError, match=f"^{text} is too long ago$"):
        parse_time(text, NOW)


@pytest.mark.parametrize("digits", [10, 5000])
def test_an_age_of_any_length_is_refused_in_a_short_line(digits: int) -> None:
    with pytest.raises(CommandError, match="is not a time; write") as refusal:
        parse_time("9" * digits + "s", NOW)
    assert len(str(refusal.value)) < 150


@pytest.mark.parametrize(("text", "length"), [("90m", 90), ("1h", 60), (" 2d ", 2880)])
def test_a_length_of_time_is_understood(text: str, length: int) -> None:
    assert parse_length(text) == timedelta(minutes=length)


@pytest.mark.parametrize("text", ["now", "0s", "-1h", "2026-11-23", "1h30m", "\x1b[2J"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is not a length of time; write 90m, 1h or 2d") as error:
        parse_length(text)
    assert "\x1b" not in str(error.value)


def test_a_backfill_reaches_back_as_far_as_it_says_and_no_further() -> None:
    oldest = datetime(2025, 1, 1, tzinfo=UTC)
    assert backfill_window("400d", "now", NOW) == Window(NOW - timedelta(days=400), NOW)
    with pytest.raises(CommandError) as refusal:
        backfill_window("3650d", "now", NOW)
    assert str(refusal.value) == (
        "3650d is before 2025-01-01 UTC, and nothing older is kept: write 417d at most"
    )
    assert oldest <= backfill_window("417d", "now", NOW).start
    with pytest.raises(CommandError, match="is before 2025-01-01"):
        backfill_window("418d", "now", NOW)


def test_a_backfill_reaches_back_no_further_than_measurements_are_kept() -> None:
    with pytest.raises(CommandError, match=r"60d is before 2026-01-01 UTC, .* write 52d at most"):
        backfill_window("60d", "now", NOW, 1)
    assert backfill_window("52d", "1d", NOW, 1) == Window(
        NOW - timedelta(days=52), NOW - timedelta(days=1)
    )


@pytest.mark.parametrize(("start", "end"), [("1d", "2d"), ("1d", "1d"), ("now", "now")])
def test_a_backfill_begins_before_it_ends(start: str, end: str) -> None:
    with pytest.raises(CommandError, match="must begin before it ends, and before now"):
        backfill_window(start, end, NOW)


def test_a_backfill_ends_now_at_the_latest() -> None:
    assert backfill_window("1d", "2030-01-01", NOW) == Window(NOW - timedelta(days=1), NOW)


def test_a_time_in_a_message_is_utc_and_says_so() -> None:
    elsewhere = datetime(2026, 2, 23, 1, 30, 15, 999_999, timezone(timedelta(hours=2)))
    assert utc_text(elsewhere) == "2026-02-22 23:30:15 UTC"
    assert utc_day(elsewhere) == "2026-02-22 UTC"
    assert utc_span(elsewhere, NOW) == "2026-02-22 23:30:15 to 2026-02-22 12:00:00 UTC"


def test_no_other_module_of_the_daemon_writes_a_time_without_its_zone() -> None:
    package = Path(__file__).parents[2] / "fleetsyncd"
    clock = re.compile(r"%H|%T|%X|%c|:%Y-%m-%d\}(?! 00:00\+00)")
    zoned = re.compile(r"%H:%M\}'?\+00|T%H:%M:%S")
    lines = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name not in ("times.py", "logs.py")
        for line in path.read_text().splitlines()
        if clock.search(line) and not zoned.search(line)
    ]
    assert lines == []
