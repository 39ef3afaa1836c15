import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import gevent
import pytest
from gevent.event import Event

from fleetsyncd.models import Vehicle
from fleetsyncd.sync import lanes
from fleetsyncd.sync.lanes import Lanes

SLOTS = 6
Names = list[str]


@dataclass
class Fleet:
    """Vehicles of which some fall silent until the test lets them go."""

    silent: set[str] = field(default_factory=set)
    done: Names = field(default_factory=list)
    most: int = 0
    released: Event = field(default_factory=Event)
    known: dict[str, Vehicle] = field(default_factory=dict)

    crowded: bool = False
    started: int = 0

    def __post_init__(self) -> None:
        self.lanes = Lanes(SLOTS, self.work, lambda: self.crowded, self.count)

    def count(self) -> None:
        self.started += 1

    def work(self, vehicle: Vehicle) -> None:
        self.most = max(self.most, len(self.lanes.running))
        if vehicle.name in self.silent:
            self.released.wait()
        else:
            gevent.sleep(0)
        self.done.append(vehicle.name)

    def vehicles(self, *names: str) -> list[Vehicle]:
        for name in names:
            self.known.setdefault(name, vehicle(name))
        return [self.known[name] for name in names]

    def settle(self) -> None:
        gevent.sleep(4 * lanes.CHECK_SEC)


def vehicle(name: str) -> Vehicle:
    return Vehicle(uuid4(), name, "10.8.0.1", 8001, None, None, "ok", None)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(lanes, "SLOW_SEC", 0.0)
    monkeypatch.setattr(lanes, "CHECK_SEC", 0.01)
    made = Fleet()
    yield made
    made.released.set()
    made.lanes.end(5, 5)


def numbered(name: str, count: int) -> Names:
    return [f"{name}-{n}" for n in range(count)]


def test_vehicles_of_the_prompt_lane_are_started_apart_and_those_of_the_slow_one_at_once(
    fleet: Fleet,
) -> None:
    prompt, slow = numbered("prompt", 4), numbered("slow", 3)
    fleet.silent.update(slow)
    begun = time.monotonic()
    fleet.lanes.start(fleet.vehicles(*prompt), fleet.vehicles(*slow), gap_sec=0.05)
    gevent.sleep(0)
    assert len(fleet.lanes.running) == 4, "the slow ones, and the first prompt one"
    while len(fleet.done) < len(prompt):
        gevent.sleep(0.001)
    assert time.monotonic() - begun >= 3 * 0.05
    assert fleet.started == len(prompt)


def test_a_fleet_that_is_started_apart_ends_with_the_next_cycle(fleet: Fleet) -> None:
    names = numbered("prompt", 3)
    fleet.lanes.start(fleet.vehicles(*names), [], gap_sec=0.05)
    gevent.sleep(0)
    fleet.lanes.new_fleet_cycle(set())
    fleet.lanes.start(fleet.vehicles(*names), [])
    fleet.settle()
    gevent.sleep(0.1)
    assert sorted(fleet.done) == names, "each once"


def test_vehicles_that_fall_silent_give_their_slots_to_those_that_wait(fleet: Fleet) -> None:
    silent, honest = numbered("silent", SLOTS - 1), numbered("honest", 20)
    fleet.silent.update(silent)
    fleet.lanes.start(fleet.vehicles(*silent, *honest), [])
    fleet.settle()
    assert sorted(fleet.done) == sorted(honest)
    assert fleet.most == SLOTS
    assert not fleet.lanes.waiting
    fleet.released.set()
    fleet.settle()
    assert sorted(fleet.done) == sorted([*honest, *silent])
    assert not fleet.lanes.busy


def test_no_vehicle_is_moved_into_a_full_lane(fleet: Fleet) -> None:
    slow, silent = numbered("slow", SLOTS // 2), numbered("silent", SLOTS // 2)
    fleet.silent.update(slow, silent)
    fleet.lanes.start(fleet.vehicles(*silent, "honest"), fleet.vehicles(*slow))
    fleet.settle()
    assert (fleet.done, list(fleet.lanes.waiting.values())) == ([], ["honest"])
    assert fleet.most <= SLOTS
    fleet.released.set()
    fleet.settle()
    assert sorted(fleet.done) == sorted([*slow, *silent, "honest"])


def test_a_slow_vehicle_cannot_use_the_prompt_lane(fleet: Fleet) -> None:
    slow = numbered("slow", SLOTS)
    fleet.silent.update(slow)
    fleet.lanes.start([], fleet.vehicles(*slow))
    fleet.settle()
    assert len(fleet.lanes.running) == SLOTS // 2
    fleet.lanes.start(fleet.vehicles("honest"), [])
    fleet.settle()
    assert fleet.done == ["honest"]


def test_a_new_fleet_cycle_starts_no_vehicle_that_waited_in_the_last_one(fleet: Fleet) -> None:
    silent = numbered("silent", SLOTS)
    fleet.silent.update(silent)
    fleet.lanes.start(fleet.vehicles(*silent, "late"), [])
    fleet.settle()
    everyone = {vehicle.id for vehicle in fleet.known.values()}
    fleet.lanes.new_fleet_cycle(everyone)
    fleet.released.set()
    fleet.settle()
    assert sorted(fleet.done) == silent
    fleet.lanes.start(fleet.vehicles("late"), [])
    fleet.settle()
    assert fleet.done[-1] == "late"


def test_a_vehicle_at_work_is_not_started_twice(fleet: Fleet) -> None:
    fleet.silent.add("silent")
    fleet.lanes.start(fleet.vehicles("silent"), [])
    fleet.settle()
    fleet.lanes.start(fleet.vehicles("silent"), fleet.vehicles("silent"))
    fleet.settle()
    assert not fleet.lanes.waiting
    fleet.released.set()
    fleet.settle()
    assert fleet.done == ["silent"]


def test_while_the_database_does_not_keep_up_none_is_started_and_it_is_said_once(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sync"):
        for _ in range(3):
            fleet.crowded = True
            fleet.lanes.start(fleet.vehicles(*numbered("honest", 10)), [])
            fleet.settle()
            assert not fleet.done
            fleet.crowded = False
            fleet.settle()
            fleet.settle()
            assert len(fleet.done) == 10
            fleet.done.clear()
            fleet.lanes.new_fleet_cycle(set())
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "raise DB_POOL_SIZE, or lower SYNC_CONCURRENCY" in caplog.messages[0]
        fleet.lanes.new_fleet_cycle(set())
        assert caplog.messages[1:] == ["the database keeps up again"]


def test_a_vehicle_that_was_withdrawn_is_not_started(fleet: Fleet) -> None:
    silent = numbered("silent", SLOTS)
    fleet.silent.update(silent)
    fleet.lanes.start(fleet.vehicles(*silent, "withdrawn", "honest"), [])
    fleet.settle()
    fleet.lanes.withdraw([fleet.known["withdrawn"].id])
    fleet.released.set()
    fleet.settle()
    assert sorted(fleet.done) == sorted([*silent, "honest"])
