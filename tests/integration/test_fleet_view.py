import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    measurements,
    pausing,
    store,
    sync_requests,
    vehicle_changes,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.views.fleet import fleet_overview, vehicles_with_own_key
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import CommandError
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.states import GapProgress, VehicleOverview
from fleetsyncd.telemetry import Measurements
from tests.integration.recording import record
from tests.integration.written import failure, first_window

NAME = "fleet"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
ROWS = Measurements.from_rows((NOW + timedelta(seconds=n), 1, 0.5) for n in range(5))
INTERVAL = 30.0
_numbers = count(1)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """Return one database for all: each test has vehicles of its own."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    server.execute(sql.SQL("ALTER DATABASE fleet SET deadlock_timeout = '20ms'"))
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as opened:
        Partitions(opened).ensure(NOW, NOW)
        yield opened


@pytest.fixture
def truck(database: Database) -> UUID:
    return add(database)


def add(database: Database, name: str | None = None, host: str | None = None) -> UUID:
    number = next(_numbers)
    name, host = name or f"Truck-{number:03d}", host or f"10.2.0.{number}"
    return database.run(lambda cursor: vehicles.add_vehicle(cursor, name, host, 8001, "its-key"))


def execute(database: Database, statement: str, truck: UUID) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, {"id": str(truck)})
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def shown(database: Database, truck: UUID) -> VehicleOverview:
    fleet_now = database.run(lambda cursor: fleet_overview(cursor, INTERVAL))
    return next(seen for seen in fleet_now if seen.id == truck)


def measured(database: Database, truck: UUID) -> int:
    statement = "SELECT count(*) FROM measurements WHERE vehicle_id = %(id)s::uuid"
    return int(execute(database, statement, truck)[0][0])


@pytest.mark.parametrize(
    ("columns", "state"),
    [
        ("last_seen_at = NULL", "never"),
        ("sync_status = 'ok', last_sync_at = now()", "online"),
        ("sync_status = 'ok', last_sync_at = now() - interval '10 minutes'", "late"),
        ("sync_status = 'timeout', last_sync_at = now()", "timeout"),
        ("sync_status = 'error', last_sync_at = now()", "error"),
    ],
)
def test_the_overview_has_a_vehicles_state(
    database: Database, truck: UUID, columns: str, state: str
) -> None:
    execute(database, f"UPDATE vehicles SET {columns} WHERE id = %(id)s::uuid", truck)  # noqa: S608
    assert shown(database, truck).state == state


def test_the_overview_shows_a_pause_before_anything_else(database: Database, truck: UUID) -> None:
    database.run(lambda cursor: record(cursor, failure(database, truck, NOW)))
    database.run(lambda cursor: pausing.set_paused(cursor, truck, True))
    assert shown(database, truck).state == "paused"
    database.run(lambda cursor: pausing.set_paused(cursor, truck, False))
    assert shown(database, truck).state == "error"


def test_the_overview_has_the_progress_of_catching_up(database: Database, truck: UUID) -> None:
    database.run(lambda cursor: store.advance_watermark(cursor, first_window(truck, NOW)))
    execute(
        database,
        "UPDATE fleetsync.vehicle_state s"
        " SET catching_up_from = v.last_sync_at - interval '1 hour',"
        " catching_up_to = v.last_sync_at + interval '3 hours'"
        " FROM vehicles v WHERE v.id = s.vehicle_id AND v.id = %(id)s::uuid",
        truck,
    )
    execute(
        database,
        "UPDATE fleetsync.vehicle_state SET catching_up_sec = 20, catching_up_rows = 1000"
        " WHERE vehicle_id = %(id)s::uuid",
        truck,
    )
    overview = shown(database, truck)
    assert (overview.state, overview.catching_up) == ("catching up", GapProgress(0.25, 50.0, 60.0))


@pytest.mark.parametrize("never", ["infinity", "-infinity", "0044-03-15 12:00 BC"])
def test_an_infinite_time_hides_no_vehicle(database: Database, truck: UUID, never: str) -> None:
    execute(
        database,
        f"UPDATE vehicles SET last_sync_at = '{never}', last_seen_at = '{never}',"  # noqa: S608
        " sync_status = 'ok' WHERE id = %(id)s::uuid",
        truck,
    )
    assert shown(database, truck).state == "late"


def test_the_overview_has_the_last_cycle_and_never_the_key(database: Database, truck: UUID) -> None:
    database.run(lambda cursor: record(cursor, failure(database, truck, NOW)))
    overview = shown(database, truck)
    assert (overview.rows, overview.last_error, overview.failures) == (7, "/data: cut short", 1)
    assert truck in database.run(vehicles_with_own_key)
    assert "its-key" not in repr(overview)


def test_an_ipv6_address_is_shown_in_brackets(database: Database) -> None:
    truck = add(database, host="fd00::17")
    assert shown(database, truck).address == "[fd00::17]:8001"


@pytest.mark.parametrize("how", ["name", "id"])
def test_a_vehicle_is_found_by_its_name_or_its_id(database: Database, how: str) -> None:
    truck = add(database, f"Found by {how}")
    text = str(truck) if how == "id" else f"Found by {how}"
    vehicle = database.run(lambda cursor: vehicles.find_vehicle(cursor, text))
    assert (vehicle.id, vehicle.port, vehicle.key) == (truck, 8001, "its-key")


def test_an_unknown_vehicle_is_not_found(database: Database) -> None:
    with pytest.raises(CommandError, match="no vehicle is called Ghost: see `fleetsyncd vehicle"):
        database.run(lambda cursor: vehicles.find_vehicle(cursor, "Ghost"))


def test_an_ambiguous_name_is_refused_with_the_ids_to_choose_from(database: Database) -> None:
    twins = [add(database, "Twin"), add(database)]
    # Other services may do so.
    execute(database, "UPDATE vehicles SET name = 'Twin' WHERE id = %(id)s::uuid", twins[1])
    with pytest.raises(CommandError, match="2 vehicles are called Twin") as caught:
        database.run(lambda cursor: vehicles.find_vehicle(cursor, "Twin"))
    assert all(str(twin) in str(caught.value) for twin in twins)


def test_an_address_cannot_be_registered_twice_but_may_serve_two_ports(database: Database) -> None:
    add(database, host="10.3.0.1")
    with pytest.raises(CommandError, match=r"10\.3\.0\.1 port 8001 is registered already"):
        add(database, host="10.3.0.1")
    assert database.run(
        lambda cursor: vehicles.add_vehicle(cursor, "Second", "10.3.0.1", 8002, None)
    )


def test_a_change_keeps_what_it_does_not_name(database: Database, truck: UUID) -> None:
    def registered() -> vehicles.RegisteredVehicle:
        return database.run(lambda cursor: vehicles.find_vehicle(cursor, str(truck)))

    before = registered()
    database.run(
        lambda c: vehicle_changes.change_vehicle(
            c, truck, vehicle_changes.VehicleChange(name="Renamed", port=9000)
        )
    )
    assert registered() == vehicles.RegisteredVehicle(
        truck, "Renamed", before.host, 9000, "its-key"
    )
    database.run(
        lambda c: vehicle_changes.change_vehicle(
            c, truck, vehicle_changes.VehicleChange(host="10.3.0.9", drop_key=True)
        )
    )
    assert registered() == vehicles.RegisteredVehicle(truck, "Renamed", "10.3.0.9", 9000, None)


def test_a_change_to_an_address_that_is_taken_is_refused(database: Database, truck: UUID) -> None:
    add(database, host="10.3.0.2")
    with pytest.raises(CommandError, match="another vehicle is registered at that address"):
        database.run(
            lambda c: vehicle_changes.change_vehicle(
                c, truck, vehicle_changes.VehicleChange(host="10.3.0.2")
            )
        )


def test_a_sync_that_was_requested_is_handed_out_once(database: Database, truck: UUID) -> None:
    for _ in range(2):
        database.run(lambda cursor: sync_requests.request_sync(cursor, truck))
    assert truck in database.run(lambda cursor: sync_requests.take_sync_requests(cursor, []))
    assert truck not in database.run(lambda cursor: sync_requests.take_sync_requests(cursor, []))


def test_a_sync_requested_while_the_vehicle_is_busy_is_handed_out_afterwards(
    database: Database, truck: UUID
) -> None:
    database.run(lambda cursor: sync_requests.request_sync(cursor, truck))
    assert truck not in database.run(
        lambda cursor: sync_requests.take_sync_requests(cursor, [truck])
    )
    assert truck in database.run(lambda cursor: sync_requests.take_sync_requests(cursor, []))


def test_a_paused_vehicle_is_known_and_cannot_be_requested(database: Database, truck: UUID) -> None:
    database.run(lambda cursor: pausing.set_paused(cursor, truck, True))
    assert truck in database.run(store.paused_vehicles)
    with pytest.raises(CommandError, match="the vehicle is paused: resume it first"):
        database.run(lambda cursor: sync_requests.request_sync(cursor, truck))
    database.run(lambda cursor: pausing.set_paused(cursor, truck, False))
    assert truck not in database.run(store.paused_vehicles)


def test_two_writers_of_the_same_rows_in_opposite_order_both_succeed(
    database: Database, truck: UUID
) -> None:
    rows = Measurements.from_rows((NOW + timedelta(seconds=n), 1, 0.5) for n in range(3_000))
    turned = Measurements(rows.times[::-1], rows.channels[::-1], rows.values[::-1])
    together = threading.Barrier(2)

    def write(part: Measurements) -> int:
        together.wait(10)
        return database.run(lambda cursor: measurements.add_measurements(cursor, truck, part))

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(write, (rows, turned))) == 3_000
