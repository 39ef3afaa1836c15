from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid1, uuid4

from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport, Failure, Outcome
from fleetsyncd.sync.own_intervals import OwnIntervals, slot
from fleetsyncd.terms import Terms

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
SYNC = timedelta(seconds=30)
TEN_MINUTES = Terms(interval_sec=600)


def vehicle(key: UUID | None = None, terms: Terms = TEN_MINUTES) -> Vehicle:
    known = Vehicle(key or uuid4(), "Truck-01", "10.8.0.1", 8001, None, None, "ok", None)
    return replace(known, terms=terms)


def report(of: Vehicle, at: datetime, *, good: bool = True, stopped: bool = False) -> CycleReport:
    if good:
        return CycleReport(of, at, at, Outcome.OK, stopped=stopped)
    return CycleReport(of, at, at, Outcome.TIMEOUT, "/status", failure=Failure.TIMEOUT)


class Fleet:
    """Cycles of vehicles, of which each is asked when it is its turn."""

    def __init__(self, vehicles: list[Vehicle], *, answers: bool = True) -> None:
        self.vehicles = vehicles
        self.answers = answers
        self.turns = OwnIntervals(SYNC)
        self.now = NOW

    def cycle(self) -> list[UUID]:
        waiting = self.turns.waiting(self.vehicles, self.now)
        asked = [each for each in self.vehicles if each.id not in waiting]
        for each in asked:
            self.turns.note(report(each, self.now, good=self.answers))
        if self.answers:
            self.vehicles = [
                replace(each, watermark=self.now) if each in asked else each
                for each in self.vehicles
            ]
        self.now += SYNC
        return [each.id for each in asked]


def test_a_vehicle_of_ten_minutes_is_asked_in_one_of_twenty_cycles() -> None:
    fleet = Fleet([vehicle()])
    asked = [bool(fleet.cycle()) for _ in range(200)]
    turns = [number for number, was_asked in enumerate(asked) if was_asked]
    assert turns[0] == 0
    assert {later - first for first, later in pairwise(turns[1:])} == {20}


def test_one_that_does_not_answer_is_asked_no_more_often() -> None:
    fleet = Fleet([vehicle()], answers=False)
    assert sum(bool(fleet.cycle()) for _ in range(400)) in {20, 21}


def test_vehicles_of_one_interval_are_spread_over_its_cycles() -> None:
    fleet = Fleet([vehicle(uuid1()) for _ in range(2000)])
    for _ in range(20):
        fleet.cycle()
    counts = [len(fleet.cycle()) for _ in range(20)]
    assert sum(counts) == 2000
    assert max(counts) < 150, "they come in the same cycle"


def test_a_daemon_that_was_just_started_leaves_alone_who_was_pulled_in_its_slot() -> None:
    fleet = Fleet([vehicle() for _ in range(50)])
    for _ in range(30):
        fleet.cycle()
    fleet.turns = OwnIntervals(SYNC)
    rest = Counter(key for _ in range(20) for key in fleet.cycle())
    assert rest == Counter(each.id for each in fleet.vehicles)


def test_one_whose_turn_was_missed_while_no_daemon_ran_is_asked_at_once() -> None:
    fleet = Fleet([vehicle() for _ in range(50)])
    for _ in range(30):
        fleet.cycle()
    fleet.turns, fleet.now = OwnIntervals(SYNC), fleet.now + timedelta(minutes=10)
    assert len(fleet.cycle()) == 50


def test_a_cycle_that_was_stopped_does_not_use_up_the_turn() -> None:
    turns, truck = OwnIntervals(SYNC), vehicle()
    turns.note(report(truck, NOW, stopped=True))
    assert not turns.waiting([truck], NOW)
    turns.note(report(truck, NOW))
    assert turns.waiting([truck], NOW) == {truck.id}
    turns.end([truck.id])
    assert not turns.waiting([truck], NOW)


def test_what_postgresql_refused_is_asked_again_in_the_next_cycle() -> None:
    turns, truck = OwnIntervals(SYNC), replace(vehicle(), watermark=NOW)
    turns.note(replace(report(truck, NOW), unstored="alarms will be asked for again"))
    assert not turns.waiting([truck], NOW + SYNC)
    turns.note(report(truck, NOW + SYNC))
    assert turns.waiting([truck], NOW + SYNC) == {truck.id}


def test_a_vehicle_that_is_started_late_in_its_turn_does_not_lose_the_next_one() -> None:
    truck = vehicle(terms=Terms(interval_sec=45))
    turns, asked, at = OwnIntervals(SYNC), [], NOW
    for _ in range(300):
        if not turns.waiting([truck], at):
            asked.append(at)
            late = at + timedelta(seconds=20)
            turns.note(report(truck, late))
            truck = replace(truck, watermark=late)
        at += SYNC
    assert 199 <= len(asked) <= 201


def test_an_interval_no_longer_than_the_fleets_is_every_cycles() -> None:
    turns = OwnIntervals(SYNC)
    for terms in (Terms(), Terms(interval_sec=30), Terms(interval_sec=5)):
        truck = vehicle(terms=terms)
        turns.note(report(truck, NOW))
        assert not turns.waiting([replace(truck, watermark=NOW)], NOW)


def test_a_clock_that_is_behind_does_not_make_a_pull_older_than_it_is() -> None:
    truck = replace(vehicle(), watermark=NOW - timedelta(hours=1), clock_skew=timedelta(hours=-1))
    assert OwnIntervals(SYNC).waiting([truck], NOW) == {truck.id}


def test_a_clock_of_this_host_that_was_set_back_keeps_nobody_waiting() -> None:
    turns, truck = OwnIntervals(SYNC), vehicle()
    turns.note(report(truck, NOW + timedelta(hours=5)))
    truck = replace(truck, watermark=NOW + timedelta(hours=5))
    assert not turns.waiting([truck], NOW)


@given(
    st.uuids(),
    st.integers(31, 86_400),
    st.floats(0, 86_400),
)
def test_a_slot_is_as_long_as_the_interval(key: UUID, interval: int, offset: float) -> None:
    at = NOW + timedelta(seconds=offset)
    begin = slot(key, at, interval)
    assert slot(key, at + timedelta(seconds=interval), interval) - begin == 1
    assert slot(key, at + timedelta(seconds=interval / 2), interval) - begin in {0, 1}


@given(st.uuids(), st.floats(60, 7200), st.floats(1, 30))
def test_no_vehicle_waits_longer_than_its_interval_and_a_cycle(
    key: UUID, interval: float, sync: float
) -> None:
    truck = vehicle(key, Terms(interval_sec=interval))
    turns, at, last = OwnIntervals(timedelta(seconds=sync)), NOW, None
    step = timedelta(seconds=max(sync, interval / 200))
    while at < NOW + timedelta(seconds=3 * interval):
        if not turns.waiting([truck], at):
            # The first one comes at once, and then the next at the beginning of a slot.
            if last is not None:
                assert at - last <= timedelta(seconds=interval) + step
            last = at
            turns.note(report(truck, at))
        at += step
