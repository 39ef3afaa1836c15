"""What is learned of a vehicle's lateness, and where pulls begin for it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.lateness import (
    LATE_HALF_LIFE,
    LONGEST_OVERLAP,
    SHORTEST_OVERLAP,
    Added,
    Lateness,
    LatenessUpdate,
    overlap_for,
)
from fleetsyncd.models import Window
from fleetsyncd.sync.lateness import LatenessMeter
from fleetsyncd.sync.window import LivePull, overlap_start
from fleetsyncd.telemetry import BadRow, DataPage, Measurements
from tests.unit.test_window import MINUTE, NOW, SECOND, vehicle

SETTING = 5 * SECOND
HEAD = NOW - 30 * SECOND

lengths = st.integers(0, 200_000).map(lambda ms: timedelta(milliseconds=ms))


def met(
    *late_sec: float,
    lateness: Lateness,
    start: datetime | None = None,
    head: datetime | None = HEAD,
) -> tuple[LatenessUpdate, str | None]:
    """Return what a pull changes in which rows were so late, and its remark."""
    begins = start or HEAD - (lateness.overlap or SETTING)
    window = Window(begins, NOW)
    meter = LatenessMeter(vehicle(lateness=lateness), LivePull(window, head), SETTING)
    times = [HEAD - late * SECOND for late in late_sec]
    page = DataPage(Measurements((), (), ()), truncated=False, newest=NOW - SECOND)
    added = Added(100, len(times), min(times, default=None))
    update = meter.update(window, page, added)
    meter.take(update, added)
    return update, meter.remark


def near(one: timedelta | None, other: timedelta, most: timedelta) -> bool:
    return one is not None and abs(one - other) <= most


def known(late: float = 0, overlap: float = 5, since: datetime | None = None) -> Lateness:
    return Lateness(late * SECOND, overlap * SECOND, since, HEAD - SECOND / 2)


@pytest.mark.parametrize(("late", "overlap"), [(4, 8), (2, 4.8), (70, 120), (0.2, 4.8)])
def test_the_overlap_grows_at_once_to_twice_what_was_met(late: float, overlap: float) -> None:
    update, _ = met(late, lateness=known(), start=HEAD - 2 * MINUTE)
    assert near(update.now.overlap, overlap * SECOND, SECOND / 10)
    assert update.now.late == late * SECOND


@given(lengths, lengths, lengths)
def test_it_stays_within_its_limits_and_holds_what_was_met_twice(
    late: timedelta, overlap: timedelta, again: timedelta
) -> None:
    now = Lateness(late, overlap).after_proof(30 * SECOND).after_meeting(again, SETTING)
    assert now.overlap is not None
    assert now.late is not None
    assert SHORTEST_OVERLAP <= now.overlap <= max(LONGEST_OVERLAP, overlap)
    assert now.late >= again
    assert now.overlap >= min(2 * again, LONGEST_OVERLAP)


@given(lengths, lengths, st.integers(1, 300))
def test_it_shrinks_by_time_whatever_the_interval(
    late: timedelta, overlap: timedelta, seconds: int
) -> None:
    begun = Lateness(late, max(overlap, overlap_for(late)))
    at_once = begun.after_proof(seconds * SECOND)
    stepwise = begun
    for _ in range(seconds):
        stepwise = stepwise.after_proof(SECOND)
    assert at_once.late is not None
    assert at_once.overlap is not None
    assert near(stepwise.late, at_once.late, timedelta(milliseconds=1))
    assert near(stepwise.overlap, at_once.overlap, timedelta(milliseconds=1))
    assert at_once.overlap <= max(begun.overlap or SECOND, SHORTEST_OVERLAP)


def test_it_shrinks_slowly_to_the_shortest_and_lateness_lasts_longer() -> None:
    now = known(late=8, overlap=60)
    for _ in range(60):
        now = now.after_proof(MINUTE)
    assert near(now.late, 4 * SECOND, SECOND / 100)
    assert now.overlap == overlap_for(now.late or SECOND)
    for _ in range(4):
        now = now.after_proof(LATE_HALF_LIFE)
    assert now.overlap == SHORTEST_OVERLAP


def test_a_pull_of_a_long_time_proves_no_more_than_five_minutes_do() -> None:
    lateness = known(late=8, overlap=60)
    day = timedelta(days=1)
    meter = LatenessMeter(
        vehicle(lateness=lateness), LivePull(Window(HEAD - MINUTE, HEAD + day), HEAD), SETTING
    )
    page = DataPage(Measurements((), (), ()), truncated=False, newest=HEAD)
    for hour in range(24):
        window = Window(HEAD + hour * timedelta(hours=1), HEAD + (hour + 1) * timedelta(hours=1))
        update = meter.update(window, page, Added())
        meter.take(update, Added())
    assert meter.lateness.overlap == lateness.after_proof(5 * MINUTE).overlap


def test_the_times_of_bad_rows_are_taken_for_the_newest() -> None:
    meter = LatenessMeter(vehicle(), LivePull(Window(HEAD, NOW), None), SETTING)
    page = DataPage(Measurements((), (), ()), False, (BadRow("/data", "{}", "no"),), HEAD)
    assert meter.update(Window(HEAD, NOW), page, Added()).now.newest == NOW


def test_an_operators_longer_overlap_is_the_limit() -> None:
    setting = 300 * SECOND
    begun = Lateness().begun_with(setting, None)
    assert begun.overlap == setting
    assert begun.after_meeting(200 * SECOND, setting).overlap == setting
    assert begun.after_meeting(100 * SECOND, setting).after_proof(MINUTE).overlap is not None


def test_the_first_pull_begins_with_the_setting_and_measures_nothing() -> None:
    update, remark = met(4, lateness=Lateness(), head=None)
    assert update.now.overlap == SETTING
    assert (update.now.late, update.suspect_from, remark) == (None, None, None)
    assert update.now.since == HEAD - SETTING


@pytest.mark.parametrize(
    ("late", "newest", "is_suspect"),
    [
        (4.9, HEAD - SECOND / 2, True),
        (3, HEAD - SECOND / 2, False),
        (4.9, HEAD - 5 * SECOND, False),
        (4.9, HEAD - 6 * SECOND, True),
    ],
    ids=["near the edge", "not near", "all in order", "in order, but the pull began later"],
)
def test_rows_from_near_the_edge_tell_that_others_may_be_missing(
    late: float, newest: datetime, *, is_suspect: bool
) -> None:
    lateness = Lateness(timedelta(0), SETTING, HEAD - 10 * MINUTE, newest)
    update, _ = met(late, lateness=lateness)
    assert update.suspect_from == (HEAD - 10 * MINUTE if is_suspect else None)
    trusted = HEAD - SETTING - LONGEST_OVERLAP
    assert update.now.since == (trusted if is_suspect else HEAD - 10 * MINUTE)


def test_what_may_still_come_after_a_suspicion_is_suspected_again_by_the_next_one() -> None:
    begun = HEAD - MINUTE
    first, _ = met(4.9, lateness=known(since=begun))
    second, _ = met(9.5, lateness=first.now)
    assert (first.suspect_from, second.suspect_from) == (begun, begun)


def test_at_most_an_hour_is_suspected() -> None:
    for since in (None, NOW - timedelta(days=2)):
        update, _ = met(4.9, lateness=known(since=since))
        assert update.suspect_from == HEAD - timedelta(hours=1)


@pytest.mark.parametrize(
    ("late", "before", "remark"),
    [
        (4, 0, "1 row(s) came up to 4 s late: the overlap is 8 s now"),
        (2, 0, "1 row(s) came up to 2 s late"),
        (4, 3.9, None),
        (0.4, 0, None),
    ],
    ids=["grows", "fits", "known", "prompt"],
)
def test_what_is_later_than_was_known_is_told(
    late: float, before: float, remark: str | None
) -> None:
    assert met(late, lateness=known(late=before))[1] == remark


@pytest.mark.parametrize(
    ("lateness", "begins"),
    [
        (Lateness(), HEAD - SETTING),
        (known(overlap=1), HEAD - SECOND),
        (Lateness(None, SECOND, None, HEAD - 90 * SECOND), HEAD - 90 * SECOND),
        (Lateness(None, SECOND, None, HEAD - 10 * MINUTE), HEAD - LONGEST_OVERLAP),
        (Lateness(None, SETTING, HEAD - MINUTE, None), HEAD - MINUTE),
        (Lateness(None, SECOND, None, HEAD + MINUTE), HEAD - SECOND),
        (Lateness(None, SETTING, HEAD - SECOND, HEAD), HEAD - SECOND),
        (Lateness(None, 2 * LONGEST_OVERLAP, HEAD - SECOND, HEAD), HEAD - 2 * LONGEST_OVERLAP),
        (Lateness(None, SETTING, HEAD + SECOND, HEAD), HEAD - SETTING),
    ],
    ids=[
        "new",
        "prompt",
        "all late",
        "silent",
        "nothing came yet",
        "clock was ahead",
        "first pull was short",
        "operators want more",
        "clock was set back",
    ],
)
def test_a_pull_begins_early_by_the_overlap_or_with_the_newest_row(
    lateness: Lateness, begins: datetime
) -> None:
    it = vehicle(lateness=lateness)
    assert overlap_start(it, HEAD, NOW, timedelta(0), SETTING) == begins


def test_a_short_overlap_still_holds_a_small_step_of_the_clock() -> None:
    it = vehicle(lateness=known(overlap=1), clock_skew=timedelta(0))
    step = timedelta(seconds=-1.7)
    assert overlap_start(it, HEAD, NOW, step, SETTING) == HEAD + step


def test_a_vehicle_whose_clock_is_behind_its_own_past_is_not_late() -> None:
    update, remark = met(3, lateness=known(), head=NOW + MINUTE)
    assert (update.now.late, remark) == (timedelta(0), None)


def test_added_rows_of_batches_are_summed() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    both = Added(3, 2, at) + Added(4, 1, at - SECOND) + Added(5)
    assert both == Added(12, 3, at - SECOND)


def asked_again(*seconds: float, seen: float, head: float, ends: float = 60) -> bool:
    """Tell whether the next pull goes on from where rows had come to before this one: `seen`.

    In seconds after some time: those of the rows that come, where this pull begins to be new, and
    where it ends.
    """
    at = [NOW + second * SECOND for second in seconds]
    lateness = Lateness(timedelta(0), SECOND, NOW - MINUTE, NOW + seen * SECOND)
    window = Window(NOW, NOW + ends * SECOND)
    meter = LatenessMeter(
        vehicle(lateness=lateness), LivePull(window, NOW + head * SECOND), SETTING
    )
    rows = Measurements.from_rows((each, 1, 0.5) for each in at)
    page = DataPage(rows, truncated=False, newest=at[-1])
    newest = meter.update(window, page, Added(len(at), 0, None)).now.newest
    assert newest in (NOW + seen * SECOND, max(at[-1], NOW + seen * SECOND))
    return newest == NOW + seen * SECOND != at[-1]


@pytest.mark.parametrize(("ends", "again"), [(60, True), (144, True), (145, False)])
def test_an_unusual_time_without_rows_is_asked_for_again_for_as_long_as_rows_may_be_late(
    ends: float, again: bool
) -> None:
    assert asked_again(1, 2, 30, 31, seen=2, head=25, ends=ends) is again


@pytest.mark.parametrize(
    ("seconds", "seen", "head"),
    [
        ((1, 2, 3, 4), 2, 3),
        ((1, 11, 21, 31), 11, 25),
        ((1, 2, 6, 7), 2, 6),
        ((1, 2, 30, 31), 2, 2),
        ((30,), 2, 25),
        ((1, 2), 2, 25),
    ],
    ids=["none", "usual", "short", "it was away", "nothing to compare with", "none came again"],
)
def test_a_usual_time_without_rows_is_not(
    seconds: tuple[float, ...], seen: float, head: float
) -> None:
    assert not asked_again(*seconds, seen=seen, head=head)
