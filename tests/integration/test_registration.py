from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.database import machines, vehicle_changes, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError


@pytest.fixture
def pair(database: Database) -> list[RegisteredVehicle]:
    def work(cursor: Cursor) -> list[UUID]:
        return [
            vehicles.add_vehicle(cursor, f"Truck-0{n}", f"10.8.0.{n}", 8001, None) for n in (1, 2)
        ]

    ids = database.run(work)
    return database.run(lambda cursor: vehicles.read_registered(cursor, ids))


def now(database: Database, *seen: RegisteredVehicle) -> list[RegisteredVehicle]:
    ids = [vehicle.id for vehicle in seen]
    return database.run(lambda cursor: vehicles.read_registered(cursor, ids))


def test_of_operators_who_change_one_vehicle_at_once_one_is_served_and_the_others_are_told(
    database: Database, pair: list[RegisteredVehicle]
) -> None:
    def change(port: int) -> str | None:
        new = VehicleChange(port=port)
        try:
            database.run(lambda cursor: vehicle_changes.change_seen(cursor, pair[:1], new))
        except CommandError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(change, range(9001, 9005)))
    assert told.count(None) == 1
    served = 9001 + told.index(None)
    assert now(database, pair[0])[0].port == served
    others = {text for text in told if text is not None}
    name = pair[0].name
    assert others == {f"{name} was changed meanwhile by somebody (port {served}): look again"}


@pytest.mark.parametrize(
    "new",
    [VehicleChange(name="Truck-7", host="fd00::7", port=9), VehicleChange(drop_key=True)],
    ids=["registration", "key"],
)
def test_a_change_whose_answer_was_lost_is_not_refused_at_its_second_try(
    database: Database, pair: list[RegisteredVehicle], new: VehicleChange
) -> None:
    for _ in range(2):
        database.run(lambda cursor: vehicle_changes.change_seen(cursor, pair[:1], new))
    assert now(database, pair[0]) == [new.applied_to(pair[0])]


def test_operators_who_swap_the_same_vehicles_at_once_swap_them_once(
    database: Database, pair: list[RegisteredVehicle]
) -> None:
    def swap(first: RegisteredVehicle, second: RegisteredVehicle) -> None:
        database.run(partial(machines.swap, first=first, second=second))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(swap, pair * 2, pair[::-1] * 2))
    assert [vehicle.host for vehicle in now(database, *pair)] == [
        vehicle.host for vehicle in pair[::-1]
    ]
