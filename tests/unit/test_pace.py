import resource
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from fleetsyncd import process
from fleetsyncd.models import Window
from fleetsyncd.sync.job_slots import JobSlots, most_connections
from fleetsyncd.sync.pace import ANSWER_SEC, FIRST, GROWTH, MOST_DEBT_SEC, SHORTEST, Pace

START = datetime(2026, 2, 22, 12, tzinfo=UTC)
YEAR = Window(START, START + timedelta(days=365))
KBIT, RATE = 256, 32_000.0


def test_what_was_carried_is_waited_for_at_the_rate() -> None:
    pace = Pace(KBIT, 100.0)
    saved = RATE * ANSWER_SEC
    pace.pay(int(saved), 100.0)
    assert pace.wait_sec(100.0) == 0
    pace.pay(64_000, 100.0)
    assert [pace.wait_sec(now) for now in (100.0, 101.0, 102.0, 500.0)] == [2.0, 1.0, 0.0, 0.0]


def test_a_link_that_was_idle_for_long_gets_no_long_burst() -> None:
    pace = Pace(KBIT, 0.0)
    assert pace.wait_sec(86_400.0) == 0
    pace.pay(int(RATE * (ANSWER_SEC + 3)), 86_400.0)
    assert pace.wait_sec(86_400.0) == pytest.approx(3.0)


def test_one_answer_far_larger_than_expected_does_not_stop_a_gap_for_hours() -> None:
    pace = Pace(1, 0.0)
    pace.pay(1 << 22, 0.0)
    assert pace.wait_sec(0.0) == MOST_DEBT_SEC


@pytest.mark.parametrize("bytes_a_second", [1, 70, 10_000])
def test_questions_come_to_answers_of_two_seconds_in_bounded_steps(bytes_a_second: int) -> None:
    pace = Pace(KBIT, 0.0)
    asked = [pace.fit(YEAR)]
    for _ in range(20):
        window = asked[-1]
        pace.learn(window, int(bytes_a_second * window.length.total_seconds()))
        asked.append(pace.fit(YEAR))
    lengths = [window.length for window in asked]
    assert lengths[0] == FIRST
    assert all(after <= before * GROWTH for before, after in pairwise(lengths))
    size = bytes_a_second * lengths[-1].total_seconds()
    assert size == pytest.approx(RATE * ANSWER_SEC, rel=0.01)


def test_a_rate_that_no_answer_fits_still_asks_for_a_second() -> None:
    pace = Pace(1, 0.0)
    pace.learn(Window(START, START + timedelta(minutes=1)), 1 << 20)
    assert pace.fit(YEAR).length == SHORTEST


def test_an_empty_answer_makes_the_next_question_longer() -> None:
    pace = Pace(KBIT, 0.0)
    pace.learn(pace.fit(YEAR), 0)
    assert pace.fit(YEAR).length == FIRST * GROWTH


def no() -> bool:
    return False


def yes() -> bool:
    return True


def test_a_slot_that_is_lent_is_free_for_others_and_awaited_at_the_end() -> None:
    seen: list[tuple[int, bool]] = []

    def sleep(_seconds: float) -> None:
        seen.append((slots.free, slots.awaited))
        slots.give_back()

    slots = JobSlots(1, sleep)
    slots.take()
    with slots.lent(yes, no):
        assert (slots.free, slots.awaited) == (1, False)
        slots.take()
    assert seen == [(0, True)]
    assert (slots.free, slots.awaited) == (0, False)


@pytest.mark.parametrize(("may_return", "is_stopped"), [(no, yes), (yes, no)])
def test_a_job_that_is_to_end_or_finds_a_slot_does_not_wait(
    may_return: Callable[[], bool], is_stopped: Callable[[], bool]
) -> None:
    sleeps: list[float] = []
    slots = JobSlots(2, sleeps.append)
    slots.take()
    with slots.lent(may_return, is_stopped):
        pass
    assert (sleeps, slots.free) == ([], 1)


def test_a_job_that_dies_outside_leaves_the_slots_as_they_were() -> None:
    slots = JobSlots(1, lambda _seconds: None)
    slots.take()
    with pytest.raises(KeyboardInterrupt), slots.lent(yes, no):
        raise KeyboardInterrupt
    assert slots.free == 0
    slots.give_back()
    assert (slots.free, slots.awaited) == (1, False)


@pytest.mark.parametrize("count", [1, 4])
def test_no_more_jobs_wait_outside_than_may_keep_their_connections(count: int) -> None:
    slots = JobSlots(count, lambda _seconds: None)
    outside = [slots.lent(yes, yes) for _ in range(most_connections(count) - count)]
    for each in outside:
        slots.take()
        each.__enter__()
    for _ in range(count):
        slots.take()
    with slots.lent(yes, no):
        assert slots.free == 0


def test_many_slots_leave_the_cycles_the_files_of_a_usual_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _resource: (1024, 1024))
    assert process.share_open_files(500, 10 + most_connections(128))[0] == 500
