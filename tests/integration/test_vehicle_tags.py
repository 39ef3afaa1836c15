from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest

from fleetsyncd.database import pausing, restoration, store, vehicle_changes, vehicle_tags, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removal import remove_vehicles
from fleetsyncd.database.removed_vehicles import find_removed
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import CommandError
from fleetsyncd.settings import DatabaseSettings
from tests.integration.recording import record
from tests.integration.written import failure, first_window

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
_numbers = count(1)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """Return one database for all: each test has vehicles of its own."""
    server.create_database("tags")
    migrate.migrate(DatabaseSettings(server.parameters("tags", OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters("tags"), pool_size=4))) as opened:
        yield opened


def add(database: Database, *tags: str) -> UUID:
    number = next(_numbers)
    return database.run(
        lambda c: vehicles.add_vehicle(
            c, f"Truck-{number:03d}", f"10.2.0.{number}", 8001, None, tags
        )
    )


def change(database: Database, truck: UUID, *, add: str = "", remove: str = "") -> None:
    new = VehicleChange(add_tags=tuple(add.split()), remove_tags=tuple(remove.split()))
    database.run(lambda cursor: vehicle_changes.change_vehicle(cursor, truck, new))


def tags(database: Database, truck: UUID) -> tuple[str, ...]:
    fleet = database.run(lambda cursor: fleet_overview(cursor, 30.0))
    return next(seen.tags for seen in fleet if seen.id == truck)


def test_a_vehicle_has_each_of_its_tags_once_in_order(database: Database) -> None:
    truck = add(database, "mine-3", "crane", "mine-3")
    assert tags(database, truck) == ("crane", "mine-3")
    assert tags(database, add(database)) == ()


def test_a_change_adds_and_removes_tags_and_keeps_the_others(database: Database) -> None:
    truck = add(database, "mine-3", "crane")
    change(database, truck, add="rented crane", remove="mine-3 never-had")
    assert tags(database, truck) == ("crane", "rented")
    change(database, truck, remove="crane rented")
    assert tags(database, truck) == ()


def test_tags_that_are_changed_at_the_same_time_do_not_undo_each_other(
    database: Database,
) -> None:
    truck = add(database, "old")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: change(database, truck, add=f"t{n}"), range(12)))
    assert set(tags(database, truck)) == {"old", *(f"t{n}" for n in range(12))}


def test_a_vehicle_has_no_more_tags_than_its_row_should_carry(database: Database) -> None:
    full = [f"t{n:02}" for n in range(vehicle_tags.MOST_TAGS)]
    truck = add(database, *full)
    with pytest.raises(CommandError, match="16 tags at most, it would have 17"):
        change(database, truck, add="one-more")
    assert tags(database, truck) == tuple(full)
    change(database, truck, add="one-more", remove="t00")
    assert tags(database, truck) == (*sorted({*full, "one-more"} - {"t00"}),)


def test_a_vehicle_that_was_removed_gets_no_tags(database: Database) -> None:
    truck = add(database)
    remove_vehicles(database, [truck], with_measurements=False)
    with pytest.raises(CommandError, match="removed meanwhile"):
        database.run(lambda cursor: vehicle_tags.change_tags(cursor, truck, ["mine-3"], []))


def test_a_removed_vehicle_has_its_tags_again_when_it_is_restored(database: Database) -> None:
    truck = add(database, "mine-3", "crane")
    remove_vehicles(database, [truck], with_measurements=False)

    def restore(cursor: Cursor) -> None:
        gone = find_removed(cursor, str(truck))
        restoration.restore(cursor, gone, restoration.NewRegistration())

    database.run(restore)
    assert tags(database, truck) == ("crane", "mine-3")


def test_cycles_leave_the_tags_alone(database: Database) -> None:
    truck = add(database, "mine-3")
    database.run(lambda cursor: store.advance_watermark(cursor, first_window(truck, NOW)))
    database.run(
        lambda cursor: record(cursor, failure(database, truck, NOW + timedelta(seconds=30)))
    )
    database.run(lambda cursor: pausing.set_paused(cursor, truck, True))
    assert tags(database, truck) == ("mine-3",)


def test_the_overview_of_a_tag_has_the_vehicles_with_one_of_the_tags(database: Database) -> None:
    north, south, other = add(database, "north", "crane"), add(database, "south"), add(database)

    def seen(*wanted: str) -> set[UUID]:
        known = database.run(lambda cursor: fleet_overview(cursor, 30.0, wanted))
        return {vehicle.id for vehicle in known}

    assert seen("north") == {north}
    assert seen("north", "south") == {north, south}
    assert seen("nowhere") == set()
    assert {north, south, other} <= seen()


def test_the_tags_that_are_in_use_are_known(database: Database) -> None:
    add(database, "zinc", "amber")
    known = database.run(vehicle_tags.tags_in_use)
    assert {"zinc", "amber"} <= set(known)
    assert known == sorted(known)


def test_a_tag_that_somebody_wrote_by_hand_cannot_harm_a_terminal(database: Database) -> None:
    truck = add(database, "mine-3")
    database.run(
        lambda cursor: cursor.execute(
            "UPDATE fleetsync.vehicle_state SET tags = ARRAY[E'x\\x1b]52;', 'a'] "
            "WHERE vehicle_id = %s::uuid",
            (str(truck),),
        )
    )
    assert tags(database, truck) == ("a", "x\ufffd]52;")
