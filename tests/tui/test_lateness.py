"""A vehicle that is late says why, in the table and on its page."""

from uuid import UUID

import pytest

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.database.shard_locks import SHARDS
from tests.tui.driving import Driver, add, beat, drive, execute, set_state
from tui.gateway import Gateway


def pulling(database: Database) -> None:
    """Write the heartbeat of a daemon that holds every shard."""
    it = replicas.Replica(30, host="centre")
    database.run(lambda cursor: replicas.write_heartbeat(cursor, it, 2.3, 1, range(SHARDS)))


def know(database: Database, vehicle: UUID, **columns: object) -> None:
    """Write what the daemon has learned of a vehicle."""
    names = ("clock_skew_ms", "data_window_ms", "last_error")
    execute(
        database,
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, clock_skew_ms, data_window_ms,"
        " last_error) VALUES (%s::uuid, %s, %s, %s)",
        str(vehicle),
        *(columns.get(name) for name in names),
    )


@pytest.mark.parametrize(
    ("known", "seen", "reason"),
    [
        ({"clock_skew_ms": -3_600_000}, "4 s", "its clock is 60m behind: set it"),
        ({"clock_skew_ms": 3_600_000}, "4 s", None),
        ({"clock_skew_ms": -40_000}, "4 s", None),
        ({"data_window_ms": 20_000}, "4 s", "slow link: one answer carries 20s of its data"),
        ({"data_window_ms": 9_000_000}, "4 s", None),
        ({}, "-59 min", "seen 59m ahead of the database's clock, which was set back"),
        ({}, "10 min", "not asked for 10m: the daemon is behind"),
        ({"clock_skew_ms": -3_600_000, "data_window_ms": 20_000}, "4 s", "its clock is 60m behind"),
    ],
    ids=["clock behind", "clock ahead", "clock a little behind", "slow link", "good link",
         "seen ahead", "not asked", "clock before link"],
)  # fmt: skip
def test_the_reason_for_being_late_is_what_explains_the_lag(
    database: Database, known: dict[str, object], seen: str, reason: str | None
) -> None:
    truck = add(database, "Truck-01")
    set_state(database, "Truck-01", "ok", seen, "1 h")
    pulling(database)
    know(database, truck, **known)
    (vehicle,) = Gateway(database, 30).snapshot().vehicles
    assert (vehicle.late_because or "").startswith(reason or "")
    assert (vehicle.late_because is None) == (reason is None)


def test_without_a_daemon_for_its_shard_that_is_the_reason(database: Database) -> None:
    add(database, "Truck-01")
    set_state(database, "Truck-01", "ok", "4 s", "1 h")
    beat(database)
    (vehicle,) = Gateway(database, 30).snapshot().vehicles
    assert vehicle.late_because == "no daemon pulls it"


def test_a_vehicle_that_answered_and_was_never_pulled_says_so(database: Database) -> None:
    add(database, "Truck-01")
    set_state(database, "Truck-01", "ok", "4 s", "1 h")
    execute(database, "UPDATE vehicles SET last_sync_at = NULL")
    pulling(database)
    (vehicle,) = Gateway(database, 30).snapshot().vehicles
    assert vehicle.late_because == "nothing was pulled yet"


def test_vehicles_in_other_states_have_no_reason(database: Database) -> None:
    truck = add(database, "Truck-01")
    pulling(database)
    know(database, truck, clock_skew_ms=-3_600_000)
    for status, lag in (("ok", "5 s"), ("timeout", "1 h"), ("error", "1 h")):
        set_state(database, "Truck-01", status, "4 s", lag)
        assert [v.late_because for v in Gateway(database, 30).snapshot().vehicles] == [None]


def test_the_table_and_the_vehicles_page_show_the_reason(database: Database) -> None:
    truck = add(database, "Truck-01")
    set_state(database, "Truck-01", "ok", "4 s", "1 h")
    pulling(database)
    know(database, truck, clock_skew_ms=-3_600_000, last_error="alarms not pulled")

    async def look(it: Driver) -> None:
        await it.sees("its clock is 60m behind: set it; al")
        await it.press("enter")
        await it.sees("LATE", "· its clock is 60m behind: set it")

    drive(database, look, size=(160, 30))
