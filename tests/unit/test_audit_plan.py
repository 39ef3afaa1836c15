import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.sync.audit_plan import (
    AGES,
    CALM_FACTOR,
    CALM_VISITS,
    EVERY_SEC,
    LATER_SEC,
    LEAST_BYTES,
    LONGEST_PAUSE_SEC,
    LONGEST_SEC,
    SHORTEST_SEC,
    AuditPlan,
    look_window,
    pulls_apart,
    seconds_to_wait,
)

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=9)
OVERLAP = timedelta(seconds=5)
ID = UUID(int=7)


def plan(percent: float = 2, vehicles: int = 1) -> tuple[AuditPlan, Counter[UUID]]:
    received: Counter[UUID] = Counter()
    made = AuditPlan(percent, received, 30.0)
    made.set_fleet([UUID(int=7 + number) for number in range(vehicles)], 0.0)
    return made, received


def looks(made: AuditPlan, until: float, step: float = 1.0) -> list[tuple[float, UUID, int]]:
    """Let every visit that is due begin; return when each look began."""
    begun, now = [], 0.0
    while now < until:
        for vehicle in made.due(now, set(), 100):
            ages = made.ages(vehicle)
            made.begin(vehicle, ages, now)
            begun += [(now, vehicle, age) for age in ages]
        now += step
    return begun


def visits(made: AuditPlan, until: float) -> list[float]:
    """Let every visit that is due begin; return when each began."""
    return sorted({at for at, _vehicle, _age in looks(made, until)})


def test_every_visit_looks_at_young_ages_and_few_at_older_ones() -> None:
    made, _ = plan()
    ages = Counter(age for _at, _id, age in looks(made, (CALM_VISITS + 12) * EVERY_SEC))
    assert ages == {60: 12, 600: 12, 3_600: 4, 86_400: 1}


def test_a_vehicle_of_which_nothing_was_missing_for_long_is_visited_less_often() -> None:
    made, _ = plan()
    begun = visits(made, 20 * EVERY_SEC)
    pauses = [after - before for before, after in itertools.pairwise(begun)]
    assert pauses[:CALM_VISITS] == [EVERY_SEC] * CALM_VISITS
    assert set(pauses[CALM_VISITS:]) == {CALM_FACTOR * EVERY_SEC}


def test_a_vehicle_of_which_rows_were_missing_is_visited_soon_again() -> None:
    made, _ = plan()
    last = visits(made, 20 * EVERY_SEC)[-1]
    made.note_missing(ID, last + 1)
    assert made.due(last + EVERY_SEC, set(), 1) == []
    assert made.due(last + EVERY_SEC + 1, set(), 1) == [ID]
    made.begin(ID, made.ages(ID), last + EVERY_SEC + 1)
    assert made.due(last + 2 * EVERY_SEC + 1, set(), 1) == [ID]


def paying(cost: int, rate: int, percent: float = 2) -> list[float]:
    """Let visits cost some bytes of a vehicle that sends `rate` a second; return the pauses."""
    made, received = plan(percent)
    begun: list[float] = []
    for now in range(1, int(40 * EVERY_SEC)):
        received[ID] += rate
        for vehicle in made.due(now, set(), 1):
            made.begin(vehicle, made.ages(vehicle), now)
            made.note_cost(vehicle, cost)
            begun.append(now)
    return [after - before for before, after in itertools.pairwise(begun)]


def test_a_visit_that_costs_little_changes_no_pause() -> None:
    pauses = paying(cost=int(0.02 * 100 * EVERY_SEC), rate=100)
    assert pauses[0] == EVERY_SEC
    assert set(pauses[CALM_VISITS:]) == {CALM_FACTOR * EVERY_SEC}


@pytest.mark.parametrize("percent", [1, 2])
def test_the_next_visit_comes_when_the_last_one_is_paid_for(percent: float) -> None:
    pauses = paying(cost=3_000, rate=100, percent=percent)
    assert set(pauses[1:]) == {3_000 / (percent / 100) / 100}


def test_a_vehicle_that_sends_very_little_is_visited_once_an_hour() -> None:
    assert set(paying(cost=3_000, rate=1)[1:]) == {LONGEST_PAUSE_SEC}


def test_a_visit_that_found_rows_missing_delays_no_other() -> None:
    made, received = plan()
    received[ID] = 100
    made.begin(ID, AGES, EVERY_SEC)
    made.note_missing(ID, EVERY_SEC)
    made.note_cost(ID, 1_000_000)
    assert made.due(2 * EVERY_SEC, set(), 1) == [ID]


def test_what_is_found_of_a_vehicle_that_left_the_fleet_changes_nothing() -> None:
    made, _ = plan()
    made.set_fleet([], 1.0)
    made.note_missing(ID, 2.0)
    made.note_cost(ID, 1)
    assert made.due(9e9, set(), 5) == []


def test_a_fleet_is_visited_evenly_over_time() -> None:
    made, _ = plan(vehicles=1000)
    begun = looks(made, (CALM_VISITS + 1) * EVERY_SEC, step=10)
    seen = Counter(int(at // 60) for at, _id, age in begun if age == AGES[0])
    assert max(seen.values()) < 2 * min(seen.values())
    assert len(seen) == (CALM_VISITS + 1) * EVERY_SEC // 60


def test_nothing_is_looked_at_if_it_is_off() -> None:
    made, _ = plan(percent=0)
    assert made.is_off
    assert looks(made, EVERY_SEC) == []


def test_excluded_vehicles_keep_their_turn() -> None:
    made, _ = plan()
    assert made.due(EVERY_SEC, {ID}, 5) == []
    assert made.due(EVERY_SEC, set(), 5) == [ID]
    assert made.due(EVERY_SEC, set(), 0) == []


@pytest.mark.parametrize(("wait", "comes_after"), [(1, LATER_SEC), (400, 400), (9e9, EVERY_SEC)])
def test_a_visit_that_is_not_possible_comes_when_it_may_be(wait: float, comes_after: float) -> None:
    made, _ = plan()
    made.begin(ID, AGES, 0.0)
    made.postpone(ID, 0.0, wait)
    assert made.due(comes_after - 0.1, set(), 5) == []
    assert made.due(comes_after, set(), 5) == [ID]


def test_an_age_at_which_nothing_could_be_proved_comes_with_the_next_visit() -> None:
    made, _ = plan()
    made.begin(ID, [60, 600], 0.0)
    assert made.ages(ID) == list(AGES)
    made.begin(ID, AGES, EVERY_SEC)
    assert made.ages(ID) == [60, 600]


def test_a_vehicle_that_left_the_fleet_is_forgotten() -> None:
    made, _ = plan()
    made.set_fleet([], 1.0)
    assert looks(made, EVERY_SEC) == []


@pytest.mark.parametrize("percent", [5, 20, 100])
def test_looks_ask_for_the_share_that_is_allowed(percent: float) -> None:
    made, received = plan(percent)
    asked, rate = 0.0, 1000
    for now in range(int(6 * EVERY_SEC)):
        received[ID] += rate
        for vehicle in made.due(now, set(), 1):
            ages = made.ages(vehicle)
            for age in ages if now > EVERY_SEC else ():
                length = made.length(vehicle, age, now).total_seconds()
                assert length <= min(LONGEST_SEC, age)
                asked += length
            made.begin(vehicle, ages, now)
    share = asked / (5 * EVERY_SEC)
    assert share <= percent / 100 * 1.05


def test_a_vehicle_that_sends_little_is_asked_for_longer() -> None:
    made, received = plan()
    received[ID] = 600
    assert made.length(ID, 3600, 600.0) == timedelta(seconds=LEAST_BYTES)
    assert made.length(ID, 60, 600.0) == timedelta(seconds=60)


@given(st.integers(0, 10**12), st.floats(0.1, 1e6), st.sampled_from(AGES))
def test_a_look_is_neither_empty_nor_long(sent: int, seconds: float, age: int) -> None:
    made, received = plan()
    received[ID] = sent
    length = made.length(ID, age, seconds).total_seconds()
    assert SHORTEST_SEC <= length <= min(LONGEST_SEC, age)


def test_a_window_ends_at_what_an_earlier_pull_left_to_the_next() -> None:
    window = look_window(NOW, LONG_AGO, LONG_AGO, 600, timedelta(seconds=10), OVERLAP)
    assert window is not None
    assert window.end == NOW - timedelta(seconds=605)
    assert window.length == timedelta(seconds=10)


@pytest.mark.parametrize("interval", [1.0, 20.0, 30.0, 45.0, 50.0, 90.0, 420.0, 900.0])
@pytest.mark.parametrize("age", AGES)
def test_a_place_is_at_the_end_of_an_earlier_pull_whatever_the_interval_is(
    interval: float, age: int
) -> None:
    ended = pulls_apart(age, interval)
    assert ended % interval == 0
    assert age <= ended < age + interval


def test_nothing_that_is_proved_or_no_longer_kept_is_asked_for() -> None:
    cut = NOW - timedelta(seconds=609)
    length = timedelta(seconds=10)
    for proved, oldest in ((cut, LONG_AGO), (LONG_AGO, cut)):
        window = look_window(NOW, proved, oldest, 600, length, OVERLAP)
        assert window is not None
        assert window.start == cut
    late = NOW - timedelta(seconds=607)
    assert look_window(NOW, late, LONG_AGO, 600, length, OVERLAP) is None


@pytest.mark.parametrize(("proved", "oldest"), [(607, 9e5), (3, 9e5), (9e5, 607), (-60, 9e5)])
def test_what_waits_to_be_proved_can_be_when_it_is_told(proved: float, oldest: float) -> None:
    at, cut = (NOW - timedelta(seconds=seconds) for seconds in (proved, oldest))
    length = timedelta(seconds=10)
    wait = timedelta(seconds=seconds_to_wait(NOW, at, cut, 600, OVERLAP))
    moment = timedelta(milliseconds=1)
    assert look_window(NOW + wait - moment, at, cut, 600, length, OVERLAP) is None
    assert look_window(NOW + wait, at, cut, 600, length, OVERLAP) is not None
