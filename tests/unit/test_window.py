from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsyncd.models import Vehicle, Window
from fleetsyncd.sync.window import (
    HOURLY_ABOVE,
    HOURLY_STEP,
    MILLISECOND,
    TRUNCATED_STEP,
    Splitter,
    pull_end,
    pull_interval,
)
from fleetsyncd.time_limits import CLOCK_TOLERANCE, accepted_interval
from fleetsyncd.times import month_of

NOW = datetime(2026, 2, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
OVERLAP = 5 * SECOND

moments = st.integers(-(10**10), 10**10).map(lambda ms: NOW + ms * MILLISECOND)
gaps = st.integers(1, 3 * 86_400_000).map(lambda ms: ms * MILLISECOND)
uneven_gaps = st.integers(1, 50_000).map(lambda microsecond: timedelta(microseconds=microsecond))


def vehicle(**changed: Any) -> Vehicle:
    known: dict[str, Any] = {
        "id": UUID(int=1),
        "name": "Truck-01",
        "host": "10.0.0.1",
        "port": 8001,
        "api_key": None,
        "watermark": NOW - MINUTE,
        "status": "ok",
        "software_version": None,
    }
    return Vehicle(**known | changed)


def pulled(skew: timedelta = timedelta(0), end: datetime = NOW, **changed: Any) -> Window:
    oldest = accepted_interval(NOW).start
    return pull_interval(
        vehicle(**changed), end, skew, pull_window=MINUTE, pull_overlap=OVERLAP, oldest=oldest
    )


def answered(pull: Window, dense: Callable[[Window], bool]) -> list[Window]:
    """Answer every question that is not `dense`, and a millisecond in any case."""
    splitter = Splitter(pull)
    questions = []
    while question := splitter.next_window():
        if dense(question) and splitter.shrink(question, 1):
            continue
        splitter.complete(question, 1)
        questions.append(question)
    return questions


def longer_than(limit: timedelta) -> Callable[[Window], bool]:
    return lambda question: question.length > limit


def assert_covers(pull: Window, questions: list[Window]) -> None:
    edges = [pull.start, *(question.end for question in questions)]
    assert [question.start for question in questions] == edges[:-1]
    assert edges[-1] == pull.end
    assert all(question.start < question.end for question in questions)


@settings(deadline=None)
@given(moments, st.integers(1, 2000), st.lists(st.integers(0, 2000)), st.integers(0, 5))
def test_whatever_the_density_the_windows_cover_the_pull_exactly_and_end(
    start: datetime, length: int, stamps: list[int], limit: int
) -> None:
    pull = Window(start, start + length * MILLISECOND)
    rows = [start + stamp * MILLISECOND for stamp in stamps]

    def dense(question: Window) -> bool:
        return sum(question.start <= row < question.end for row in rows) > limit

    questions = answered(pull, dense)
    assert_covers(pull, questions)
    assert all(question.length == MILLISECOND for question in questions if dense(question))


@settings(deadline=None)
@given(moments, gaps | uneven_gaps, st.lists(st.booleans(), max_size=8))
def test_whatever_is_refused_the_windows_cover_the_pull_exactly_and_end(
    start: datetime, gap: timedelta, refusals: list[bool]
) -> None:
    pull = Window(start, start + gap)
    assert_covers(pull, answered(pull, lambda _question: bool(refusals) and refusals.pop()))


@settings(deadline=None)
@given(moments, st.integers(1, 2000).map(lambda ms: ms * MILLISECOND) | uneven_gaps)
def test_a_window_too_dense_everywhere_ends_in_single_milliseconds(
    start: datetime, gap: timedelta
) -> None:
    pull = Window(start, start + gap)
    questions = answered(pull, longer_than(timedelta(0)))
    assert_covers(pull, questions)
    assert all(question.length <= MILLISECOND for question in questions)


@settings(deadline=None)
@given(moments, gaps, gaps)
def test_windows_never_grow_again_within_a_gap(
    start: datetime, gap: timedelta, limit: timedelta
) -> None:
    limit = max(limit, gap / 1000)
    questions = answered(Window(start, start + gap), longer_than(limit))
    lengths = [question.length for question in questions[:-1]]
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    ("gap", "first"),
    [
        (MINUTE, MINUTE),
        (HOURLY_STEP, HOURLY_STEP),
        (HOURLY_ABOVE, HOURLY_ABOVE),
        (HOURLY_ABOVE + MILLISECOND, HOURLY_STEP),
        (timedelta(days=90), HOURLY_STEP),
    ],
)
def test_only_a_gap_over_24_hours_starts_with_hours(gap: timedelta, first: timedelta) -> None:
    assert Splitter(Window(NOW, NOW + gap)).next_window() == Window(NOW, NOW + first)


def test_a_gap_over_24_hours_goes_in_hours_and_a_rest() -> None:
    questions = answered(Window(NOW, NOW + 25.5 * HOURLY_STEP), longer_than(HOURLY_ABOVE))
    assert [question.length for question in questions] == [HOURLY_STEP] * 25 + [HOURLY_STEP / 2]


def test_a_truncated_hour_becomes_ten_minutes_and_then_halves() -> None:
    splitter = Splitter(Window(NOW, NOW + 25 * HOURLY_STEP))
    lengths = []
    while (question := splitter.next_window()) and splitter.shrink(question, 1):
        lengths.append(question.length)
    assert lengths[:5] == [
        HOURLY_STEP,
        TRUNCATED_STEP,
        TRUNCATED_STEP / 2,
        TRUNCATED_STEP / 4,
        TRUNCATED_STEP / 8,
    ]
    assert question is not None
    assert question.length == MILLISECOND
    assert len(lengths) < 25


@pytest.mark.parametrize(
    "gap", [HOURLY_ABOVE, 2 * HOURLY_STEP, timedelta(minutes=11), TRUNCATED_STEP + MILLISECOND]
)
def test_any_truncated_window_over_ten_minutes_becomes_ten_minutes(gap: timedelta) -> None:
    splitter = Splitter(Window(NOW, NOW + gap))
    splitter.shrink(Window(NOW, NOW + gap), 1)
    assert splitter.next_window() == Window(NOW, NOW + TRUNCATED_STEP)


def test_later_windows_keep_the_smaller_step() -> None:
    questions = answered(Window(NOW, NOW + 25 * HOURLY_STEP), longer_than(TRUNCATED_STEP / 2))
    assert {question.length for question in questions} == {TRUNCATED_STEP / 2}


def test_what_was_answered_is_not_requested_again_in_smaller_windows() -> None:
    splitter = Splitter(Window(NOW, NOW + 25 * HOURLY_STEP))
    splitter.complete(Window(NOW, NOW + HOURLY_STEP), 1)
    splitter.shrink(Window(NOW + HOURLY_STEP, NOW + 2 * HOURLY_STEP), 1)
    assert splitter.next_window() == Window(NOW + HOURLY_STEP, NOW + HOURLY_STEP + TRUNCATED_STEP)


def test_a_single_millisecond_cannot_be_made_smaller() -> None:
    moment = Window(NOW, NOW + MILLISECOND)
    assert not Splitter(moment).shrink(moment, 1)


def test_a_pull_begins_the_overlap_before_the_watermark() -> None:
    assert pulled() == Window(NOW - MINUTE - OVERLAP, NOW)


def test_without_a_watermark_a_pull_is_the_first_window() -> None:
    assert pulled(watermark=None) == Window(NOW - MINUTE, NOW)


def test_a_clock_behind_ends_the_pull_at_the_vehicles_clock() -> None:
    clock = NOW - 40 * SECOND
    assert pull_end(NOW, clock) == clock
    assert pulled(end=clock) == Window(NOW - MINUTE - OVERLAP, clock)


@settings(deadline=None)
@given(st.timedeltas(timedelta(0), timedelta(days=36_500)))
def test_a_clock_ahead_never_pushes_the_end_beyond_ours(ahead: timedelta) -> None:
    assert pull_end(NOW, NOW + ahead) == NOW


def test_without_a_vehicles_clock_a_pull_ends_at_the_daemons_in_whole_milliseconds() -> None:
    assert pull_end(NOW + timedelta(microseconds=123_999), None) == NOW + 123 * MILLISECOND


@pytest.mark.parametrize("known", [timedelta(0), -7 * SECOND])
@pytest.mark.parametrize("back", [2 * SECOND, MINUTE, HOURLY_STEP, timedelta(days=3)])
def test_a_clock_set_back_starts_the_pull_as_much_earlier(
    known: timedelta, back: timedelta
) -> None:
    window = pulled(known - back, clock_skew=known)
    assert window == Window(NOW - MINUTE - OVERLAP - back, NOW)


@pytest.mark.parametrize("ahead", [SECOND, HOURLY_STEP, timedelta(days=100)])
@pytest.mark.parametrize("behind", [timedelta(0), MINUTE, timedelta(days=3)])
def test_of_a_clock_that_was_ahead_only_the_part_behind_ours_is_asked_again(
    ahead: timedelta, behind: timedelta
) -> None:
    window = pulled(-behind, clock_skew=ahead)
    assert window == Window(NOW - MINUTE - OVERLAP - behind, NOW)


@pytest.mark.parametrize("step", [MINUTE, SECOND, -SECOND, -CLOCK_TOLERANCE + MILLISECOND])
def test_a_clock_that_went_ahead_or_back_by_under_2_seconds_changes_nothing(
    step: timedelta,
) -> None:
    assert pulled(step) == pulled()


def test_a_clock_that_stays_behind_is_not_a_step() -> None:
    assert pulled(-HOURLY_STEP, clock_skew=-HOURLY_STEP) == pulled()


def test_a_pull_goes_on_where_the_last_one_ended_before_the_watermark() -> None:
    pulled_until = NOW - HOURLY_STEP
    assert pulled(pulled_until=pulled_until) == Window(pulled_until - OVERLAP, NOW)
    assert pulled(pulled_until=NOW) == pulled()


@pytest.mark.parametrize("back", [MINUTE + OVERLAP, HOURLY_STEP, timedelta(days=30)])
def test_from_a_watermark_ahead_of_the_present_the_pull_goes_on_now(back: timedelta) -> None:
    end = NOW - back
    assert pulled(end=end) == Window(end - OVERLAP, end)
    oldest = accepted_interval(NOW).start
    assert pull_interval(
        vehicle(), end, timedelta(0), pull_window=MINUTE, pull_overlap=timedelta(0), oldest=oldest
    ) == Window(end - MILLISECOND, end)


@settings(deadline=None)
@given(
    st.none() | moments,
    st.none() | moments,
    moments,
    st.timedeltas(-timedelta(days=9000), timedelta(days=9000)),
    st.timedeltas(-timedelta(days=9000), timedelta(days=9000)),
)
def test_no_pull_begins_before_what_is_kept_or_is_empty_or_goes_past_its_end(
    watermark: datetime | None,
    pulled_until: datetime | None,
    end: datetime,
    known: timedelta,
    skew: timedelta,
) -> None:
    window = pulled(skew, end, watermark=watermark, pulled_until=pulled_until, clock_skew=known)
    if window is not None:
        assert accepted_interval(NOW).start <= window.start < window.end == end
        assert window.start.microsecond % 1000 == 0


def test_what_is_kept_begins_with_a_month_and_ends_ten_minutes_ahead() -> None:
    assert accepted_interval(NOW) == Window(datetime(2025, 1, 1, tzinfo=UTC), NOW + 10 * MINUTE)


def test_what_retention_drops_is_not_stored_again() -> None:
    assert accepted_interval(NOW, 0).start == month_of(NOW)
    assert accepted_interval(NOW, 2).start == datetime(2025, 12, 1, tzinfo=UTC)
    assert accepted_interval(NOW, 600) == accepted_interval(NOW)


def test_after_a_dense_spot_the_step_grows_back_to_ten_minutes() -> None:
    splitter = Splitter(Window(NOW, NOW + 2 * HOURLY_STEP))
    while (question := splitter.next_window()) and splitter.shrink(question, 50_000):
        pass
    lengths = []
    while question := splitter.next_window():
        splitter.complete(question, 10)
        lengths.append(question.length)
    assert len(lengths) < 35
    assert max(lengths) == TRUNCATED_STEP


def test_an_even_flow_keeps_the_step_that_fits_it() -> None:
    splitter = Splitter(Window(NOW, NOW + 2 * HOURLY_STEP))
    refused = 0
    while question := splitter.next_window():
        rows = int(question.length.total_seconds() * 18)
        if rows > 10_000:
            refused += 1
            splitter.shrink(question, 10_000)
        else:
            splitter.complete(question, rows)
    assert refused == 2
