from datetime import UTC, datetime, timedelta

import pytest

from fleetsyncd.models import Window
from fleetsyncd.sync.identity import history_remark, software_remark
from fleetsyncd.telemetry import DataPage, Measurements

NEWEST = datetime(2026, 2, 22, 12, 0, 0, 250_000, tzinfo=UTC)
SHORT = Window(NEWEST - timedelta(seconds=4), NEWEST + timedelta(seconds=30))
LONG = Window(SHORT.start, SHORT.start + timedelta(hours=25))
HOUR = Window(SHORT.start, SHORT.start + timedelta(hours=1))


def page(*milliseconds: int) -> DataPage:
    """Return an answer with rows so long after the newest stored one."""
    rows = [(NEWEST + timedelta(milliseconds=each), 1, 0.5) for each in milliseconds]
    return DataPage(Measurements.from_rows(rows), truncated=False)


@pytest.mark.parametrize("rows", [(0,), (-1000, 0, 1000), (0, 0, 700)])
def test_a_vehicle_that_has_the_newest_stored_row_is_the_one_of_before(
    rows: tuple[int, ...],
) -> None:
    assert history_remark(NEWEST, SHORT, SHORT, page(*rows)) is None
    assert history_remark(NEWEST, LONG, HOUR, page(*rows)) is None


@pytest.mark.parametrize("rows", [(-1000, 1), (-1, 1), (-3000,)])
def test_a_vehicle_that_has_rows_around_the_newest_stored_one_but_not_it_is_told_of(
    rows: tuple[int, ...],
) -> None:
    for pull, window in ((SHORT, SHORT), (LONG, HOUR)):
        remark = str(history_remark(NEWEST, pull, window, page(*rows)))
        assert remark.startswith("it lacks the newest stored row, of 2026-02-22T12:00:00.250Z")


@pytest.mark.parametrize("rows", [(), (1, 1000)])
def test_rows_of_long_ago_may_have_been_dropped_with_age(rows: tuple[int, ...]) -> None:
    assert history_remark(NEWEST, LONG, HOUR, page(*rows)) is None
    assert history_remark(NEWEST, SHORT, SHORT, page(*rows)) is not None


def test_only_the_window_that_must_hold_the_newest_stored_row_is_judged() -> None:
    later = Window(NEWEST + timedelta(milliseconds=1), SHORT.end)
    earlier = Window(SHORT.start, NEWEST)
    for window in (later, earlier):
        assert history_remark(NEWEST, SHORT, window, page()) is None
    assert history_remark(None, SHORT, SHORT, page(-1000)) is None


@pytest.mark.parametrize(
    ("known", "told", "is_older"),
    [
        ("1.10.0", "1.9.3", True),
        ("v2.0.0", "v1.9", True),
        ("2.0.1-rc1", "2.0.0", True),
        ("1.9.3", "1.10.0", False),
        ("2.0", "2.0.0", False),
        ("2.0.0", "2.0", False),
        ("2.0.0-rc2", "2.0.0-rc1", False),
        ("build 7", "build 6", False),
        ("7", "6", False),
        ("1.2.", "1.1.", False),
        ("f00d1.5", "1.4", False),
        (None, "1.0", False),
        ("1.0", None, False),
    ],
)
def test_older_software_is_told_as_far_as_the_numbers_of_its_version_say(
    known: str | None, told: str | None, is_older: bool
) -> None:
    expected = f"software {told}, was {known}: another machine, or set up anew?"
    assert software_remark(known, told) == (expected if is_older else None)
