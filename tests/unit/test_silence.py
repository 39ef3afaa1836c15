from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid1, uuid4

import pytest

from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport, Failure, Outcome
from fleetsyncd.sync.silence import (
    ASKED_AGAIN_CYCLES,
    REST_SHARE,
    Silences,
    cycles_apart,
    cycles_left,
)
from fleetsyncd.telemetry import Status
from fleetsyncd.terms import Terms

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)
LONGEST = timedelta(seconds=120)
SETTLING = 2 * REST_SHARE - 1
"""Cycles in which a vehicle that falls silent is asked; after as many more it rests for longest."""


def vehicle(pulled_at: datetime | None = NOW, **changed: Any) -> Vehicle:
    known = Vehicle(uuid4(), "Truck-01", "10.8.0.1", 8001, None, pulled_at, "ok", None)
    return replace(known, **changed)


def silent(of: Vehicle, failure: Failure = Failure.TIMEOUT, **changed: Any) -> CycleReport:
    outcome = Outcome.TIMEOUT if failure is Failure.TIMEOUT else Outcome.ERROR
    return CycleReport(of, NOW, NOW, outcome, "/status: ...", failure=failure, **changed)


def good(of: Vehicle) -> CycleReport:
    return CycleReport(of, NOW, NOW, Outcome.OK, status=Status("1", True), vehicle_answered=True)


class Fleet:
    """Cycles of a fleet, of which some vehicles are silent when they are asked."""

    def __init__(self, vehicles: list[Vehicle], longest: timedelta = LONGEST) -> None:
        self.vehicles = vehicles
        self.silent = {each.id for each in vehicles}
        self.silences = Silences(INTERVAL, longest)

    def cycle(self) -> list[UUID]:
        """Run a cycle; return whom it has asked."""
        self.silences.new_fleet_cycle(self.vehicles)
        asked = [each for each in self.vehicles if each.id not in self.silences.resting]
        for each in asked:
            self.silences.note(silent(each) if each.id in self.silent else good(each))
        return [each.id for each in asked]

    def cycles(self, count: int) -> list[list[UUID]]:
        return [self.cycle() for _ in range(count)]


@pytest.mark.parametrize("longest", [1, 2, 3, 4, 7, 120])
def test_a_vehicle_is_asked_less_often_the_longer_it_is_silent(longest: int) -> None:
    apart = [cycles_apart(cycles, longest) for cycles in range(2000)]
    assert apart == sorted(apart)
    assert (apart[0], apart[-1]) == (1, longest)
    for cycles, rest in enumerate(apart):
        assert rest == 1 or rest <= cycles / REST_SHARE, "rests for over a tenth of its silence"


@pytest.mark.parametrize("make_id", [uuid4, uuid1])
@pytest.mark.parametrize("apart", [1, 2, 4, 5])
def test_turns_are_spread_evenly_and_none_is_left_out(
    apart: int, make_id: Callable[[], UUID]
) -> None:
    ids = [make_id() for _ in range(4000)]
    turns = [[key for key in ids if cycles_left(key, cycle, apart) == 0] for cycle in range(apart)]
    assert sorted(key for turn in turns for key in turn) == sorted(ids)
    assert all(abs(len(turn) - 4000 / apart) < 250 for turn in turns)


def test_a_dark_fleet_is_asked_a_quarter_each_cycle_and_each_vehicle_every_two_minutes() -> None:
    fleet = Fleet([vehicle() for _ in range(400)])
    assert [len(asked) for asked in fleet.cycles(SETTLING)] == [400] * SETTLING
    fleet.cycles(SETTLING + 2)
    four = fleet.cycles(4)
    assert sorted(key for asked in four for key in asked) == sorted(fleet.silent)
    assert all(60 < len(asked) < 140 for asked in four)


def test_a_vehicle_that_answers_again_is_asked_in_every_cycle_at_once() -> None:
    fleet = Fleet([vehicle()])
    fleet.cycles(2 * SETTLING + 2)
    assert 3 <= sum(map(len, fleet.cycles(16))) <= 5
    fleet.silent.clear()
    while not fleet.cycle():
        pass
    assert all(fleet.cycles(5))
    fleet.silent = {fleet.vehicles[0].id}
    assert all(fleet.cycles(SETTLING)), "its next silence begins anew"


@pytest.mark.parametrize(
    "failure", [each for each in Failure if each not in (Failure.TIMEOUT, Failure.UNREACHABLE)]
)
def test_a_vehicle_that_fails_otherwise_is_asked_in_every_cycle(failure: Failure) -> None:
    silences = Silences(INTERVAL, LONGEST)
    known = vehicle(failures=100, status="error")
    for _ in range(20):
        silences.new_fleet_cycle([known])
        assert not silences.resting
        silences.note(silent(known, failure))


def test_a_vehicle_that_times_out_after_it_has_answered_is_not_silent() -> None:
    silences = Silences(INTERVAL, LONGEST)
    known = vehicle(failures=100, status="timeout")
    for _ in range(20):
        silences.new_fleet_cycle([known])
        assert not silences.resting
        silences.note(silent(known, vehicle_answered=True))


def test_a_vehicle_out_of_reach_is_silent_and_a_cycle_ended_on_purpose_tells_nothing() -> None:
    silences = Silences(INTERVAL, LONGEST)
    known = vehicle()
    rested = 0
    for _ in range(80):
        silences.new_fleet_cycle([known])
        rested += len(silences.resting)
        if not silences.resting:
            silences.note(silent(known, Failure.UNREACHABLE))
            silences.note(silent(known, Failure.UNREACHABLE, stopped=True))
    assert rested > 20


def test_a_longest_interval_that_is_not_longer_than_a_cycle_turns_it_off() -> None:
    fleet = Fleet([vehicle()], longest=INTERVAL)
    assert all(fleet.cycles(50))


def test_a_daemon_that_was_just_started_asks_all_once_and_takes_up_their_count() -> None:
    fleet = Fleet([vehicle(status="timeout", failures=500) for _ in range(400)])
    assert len(fleet.cycle()) == 400
    assert all(60 < len(asked) < 140 for asked in fleet.cycles(4))


def test_failures_that_were_no_silences_do_not_count() -> None:
    fleet = Fleet([vehicle(status="error", failures=500)])
    assert all(fleet.cycles(SETTLING))


def test_once_the_network_is_back_all_that_fell_silent_with_it_are_asked_within_two_cycles() -> (
    None
):
    together = [vehicle(NOW + timedelta(seconds=n % 30)) for n in range(300)]
    fleet = Fleet(together)
    fleet.cycles(240)
    fleet.silent.clear()
    answered = set(fleet.cycle()) | set(fleet.cycle())
    assert answered == {each.id for each in together}


def test_a_parked_fleet_goes_on_resting_when_its_first_vehicle_comes_back() -> None:
    parked = [vehicle(NOW - timedelta(minutes=10 * n)) for n in range(300)]
    fleet = Fleet(parked)
    fleet.cycles(240)
    fleet.silent.remove(parked[7].id)
    assert all(len(asked) < 120 for asked in fleet.cycles(8))


def test_a_vehicle_that_stays_silent_is_not_asked_again_with_each_that_comes_back() -> None:
    fleet = Fleet([vehicle() for _ in range(300)])
    fleet.cycles(240)
    asked = 0
    for back in [each.id for each in fleet.vehicles[:100]]:
        fleet.silent.remove(back)
        asked += len(set(fleet.cycle()) & fleet.silent)
    assert asked < 100 * 200 / 4 * 1.5 + 300 * (ASKED_AGAIN_CYCLES + 1)


def test_a_clock_that_is_behind_does_not_hide_that_vehicles_fell_silent_together() -> None:
    behind = vehicle(NOW - timedelta(hours=1), clock_skew=timedelta(hours=-1))
    fleet = Fleet([vehicle(), behind])
    fleet.cycles(240)
    fleet.silent.clear()
    while not fleet.cycle():
        pass
    assert len(fleet.cycle()) == 2


@pytest.mark.parametrize("watermark", [None, datetime.max.replace(tzinfo=UTC)])
def test_a_vehicle_without_a_known_last_pull_rests_alone(watermark: datetime | None) -> None:
    known = vehicle(watermark, clock_skew=timedelta(hours=-1))
    fleet = Fleet([known, vehicle()])
    fleet.cycles(60)
    fleet.silent.clear()
    assert set(fleet.cycle() + fleet.cycle() + fleet.cycle() + fleet.cycle()) == {
        each.id for each in fleet.vehicles
    }


@pytest.mark.parametrize("count", [3, 4])
def test_of_a_small_fleet_that_rests_one_is_asked_in_every_cycle(count: int) -> None:
    alike = [vehicle(id=UUID(int=4 * number)) for number in range(count)]
    fleet = Fleet(alike)
    fleet.cycles(2 * SETTLING + 2)
    assert all(fleet.cycles(20)), "their turns fall into the same cycle"


@pytest.mark.parametrize("change", [{"host": "10.8.9.9"}, {"port": 9001}, {"api_key": "another"}])
def test_a_vehicle_that_is_registered_otherwise_is_asked_at_once(change: dict[str, Any]) -> None:
    fleet = Fleet([vehicle()])
    fleet.cycles(40)
    while fleet.cycle():
        pass
    fleet.vehicles = [replace(fleet.vehicles[0], **change)]
    assert all(fleet.cycles(SETTLING))


def test_a_vehicle_whose_silence_is_ended_is_asked_at_once_and_one_that_left_is_forgotten() -> None:
    fleet = Fleet([vehicle(), vehicle()])
    fleet.cycles(40)
    ended = fleet.vehicles.pop()
    fleet.silences.end([ended.id])
    fleet.vehicles.append(ended)
    assert ended.id in fleet.cycle()
    gone = fleet.vehicles.pop(0)
    fleet.cycles(2)
    fleet.vehicles.append(gone)
    assert gone.id in fleet.cycle()


def test_one_with_a_long_interval_of_its_own_rests_no_longer_than_that() -> None:
    truck = vehicle(terms=Terms(interval_sec=600))
    silences = Silences(INTERVAL, timedelta(seconds=120))
    for _ in range(400):
        silences.new_fleet_cycle([truck])
        assert not silences.resting
        silences.note(silent(truck))


def test_its_failures_before_this_daemon_count_as_many_cycles_of_the_fleet() -> None:
    truck = vehicle(terms=Terms(interval_sec=60), status="timeout", failures=19)
    silences = Silences(INTERVAL, timedelta(hours=1))
    silences.note(silent(truck))
    asked = 0
    for _ in range(400):
        silences.new_fleet_cycle([truck])
        asked += truck.id not in silences.resting
    assert 20 < asked < 120


def test_others_stand_in_for_one_whose_turn_it_need_not_be() -> None:
    usual = [vehicle() for _ in range(4)]
    own = [vehicle(terms=Terms(interval_sec=60)) for _ in range(4)]
    fleet = Fleet([*usual, *own], timedelta(hours=1))
    fleet.cycles(3000)
    assert all({each.id for each in usual} & set(asked) for asked in fleet.cycles(50))
