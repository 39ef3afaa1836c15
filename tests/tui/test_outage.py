"""An outage of this host's network is told though some answer; parked vehicles are none."""

from uuid import uuid4

import msgspec
import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.terms import Terms
from tests.tui.driving import Driver, add, beat, drive, set_state
from tui.model.outage import Outage, find_outage

INTERVAL = 30.0


def vehicle(seen: float | None, state: State = State.TIMEOUT) -> VehicleOverview:
    return VehicleOverview(
        id=uuid4(), name="Truck", address="10.8.0.1:8001", host="10.8.0.1", port=8001, state=state,
        software_version=None, seen_age=seen, lag=seen, data_age=seen, rows=0, failures=1,
        catching_up=None, backfill=None, last_error=None,
    )  # fmt: skip


def fleet(*groups: tuple[int, float, State]) -> list[VehicleOverview]:
    return [vehicle(seen, state) for count, seen, state in groups for _ in range(count)]


ONLINE, TIMEOUT, ERROR = State.ONLINE, State.TIMEOUT, State.ERROR


@pytest.mark.parametrize(
    ("vehicles", "outage"),
    [
        (fleet((300, 300, TIMEOUT), (1, 4, ONLINE)), Outage(300, 301, 300)),
        (fleet((150, 300, TIMEOUT), (150, 340, ERROR), (99, 4, ONLINE)), Outage(300, 399, 300)),
        (fleet((500, 300, TIMEOUT), (500, 4, ONLINE)), Outage(500, 1000, 300)),
        (fleet((399, 300, TIMEOUT), (601, 4, ONLINE)), Outage(399, 1000, 300)),
        (fleet((100, 300, TIMEOUT), (900, 4, ONLINE)), Outage(100, 1000, 300)),
        (fleet((99, 300, TIMEOUT), (901, 4, ONLINE)), None),
        (fleet((3, 300, ERROR), (27, 4, ONLINE)), Outage(3, 30, 300)),
        (
            fleet((200, 300, TIMEOUT), (200, 900, TIMEOUT), (600, 4, ONLINE)),
            Outage(200, 800, 300),
        ),
        (
            fleet((100, 5000, TIMEOUT), (40, 200, TIMEOUT), (860, 4, ONLINE)),
            Outage(100, 1000, 5000),
        ),
        (fleet((300, 300, TIMEOUT), (1, 4, ONLINE), (900, 90_000, TIMEOUT)), Outage(300, 301, 300)),
        (fleet((2, 300, TIMEOUT), (1, 4, ONLINE)), None),
        (fleet((3, 300, TIMEOUT)), Outage(3, 3, None)),
        (fleet((2, 300, TIMEOUT)), None),
        (fleet((3, -3540, TIMEOUT)), Outage(3, 3, None)),
        (fleet((3, -3540, TIMEOUT), (1, 4, ONLINE)), None),
        (fleet((300, 80, TIMEOUT), (1, 4, ONLINE)), None),
        (fleet((3, 300, TIMEOUT), (1, 4, ONLINE), (50, 90_000, State.PAUSED)), Outage(3, 4, 300)),
    ],
    ids=[
        "one answers",
        "within two intervals",
        "half answer",
        "more than half answer",
        "a tenth of the fleet",
        "less than a tenth of the fleet",
        "three of a small fleet",
        "twice within the time that is compared",
        "a long time ago",
        "parked for a day beside",
        "two are too few",
        "none answers",
        "two of two",
        "none answers since the database's clock was set back",
        "of those seen ahead nobody knows whether they fell silent together",
        "not yet for three intervals",
        "paused ones do not count",
    ],
)
def test_many_that_fell_silent_together_are_an_outage_whatever_the_others_do(
    vehicles: list[VehicleOverview], outage: Outage | None
) -> None:
    assert find_outage(vehicles, INTERVAL) == outage


def test_vehicles_that_are_parked_one_after_another_are_no_outage() -> None:
    parked = [vehicle(200 + 120.0 * number) for number in range(60)]
    assert find_outage([*parked, *fleet((2, 4, ONLINE))], INTERVAL) is None
    last = fleet((4, 150, TIMEOUT), (2, 4, ONLINE))
    assert find_outage([*parked, *last], INTERVAL) is None
    evening = [vehicle(200 + 10.0 * number) for number in range(60)]
    assert find_outage([*evening, *fleet((10, 4, ONLINE))], INTERVAL) is None
    at_once = fleet((100, 150, TIMEOUT))
    shown = find_outage([*evening, *at_once, *fleet((10, 4, ONLINE))], INTERVAL)
    assert shown is not None, "an outage in the evening is one nevertheless"
    assert shown.age == 150


def test_an_outage_is_told_until_those_that_fell_silent_answer() -> None:
    for seen in (100.0, 3_600.0, 90_000.0):
        vehicles = fleet((500, seen, TIMEOUT), (500, 4, ONLINE))
        assert find_outage(vehicles, INTERVAL) == Outage(500, 1000, seen)


def test_the_dashboard_tells_an_outage_though_one_vehicle_answers(database: Database) -> None:
    for number in range(5):
        add(database, f"Truck-{number}", f"10.8.0.{number + 1}")
        set_state(database, f"Truck-{number}", "timeout", "10 min", "10 min")
    set_state(database, "Truck-0", "ok", "1 s", "1 s")
    beat(database)

    async def look(it: Driver) -> None:
        await it.sees("✖ 4 of 5 vehicles that answered fell silent together 10m ago: check the VPN")
        for number in range(1, 4):
            set_state(database, f"Truck-{number}", "ok", "1 s", "1 s")
        await it.refresh()
        await it.sees_no("check the VPN")

    drive(database, look)


def test_a_vehicle_with_an_interval_of_its_own_is_silent_after_three_of_them() -> None:
    own = Terms(interval_sec=600)
    silent = [msgspec.structs.replace(vehicle(1000), terms=own) for _ in range(10)]
    assert find_outage(silent, INTERVAL) is None
    silent = [msgspec.structs.replace(vehicle(2000), terms=own) for _ in range(10)]
    assert find_outage(silent, INTERVAL) == Outage(10, 10, None)


def test_one_that_was_not_asked_since_does_not_answer_for_the_network() -> None:
    own = Terms(interval_sec=3600)
    unasked = msgspec.structs.replace(vehicle(900, ONLINE), terms=own)
    silent = fleet((3, 300, TIMEOUT))
    assert find_outage([*silent, unasked], INTERVAL) == Outage(3, 3, None)
    in_the_same_cycle = msgspec.structs.replace(vehicle(275, ONLINE), terms=own)
    assert find_outage([*silent, in_the_same_cycle], INTERVAL) == Outage(3, 3, None)
    asked = msgspec.structs.replace(vehicle(100, ONLINE), terms=own)
    assert find_outage([*silent, asked], INTERVAL) == Outage(3, 4, 300)
