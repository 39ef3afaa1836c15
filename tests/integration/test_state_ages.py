"""Since when a vehicle is in its state: told by what its writers left, or not at all."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.database import (
    loading,
    outcomes,
    pausing,
    restoration,
    store,
    sync_requests,
    vehicles,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removal import remove_vehicles
from fleetsyncd.database.removed_vehicles import find_removed
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.models import Window
from fleetsyncd.reports import CycleReport, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.states import State
from tests.integration.recording import record
from tests.integration.written import failure, first_window

INTERVAL = 30.0
LATE = timedelta(seconds=3 * INTERVAL)
HOUR = 3600.0
SHIFTED = (
    "UPDATE fleetsync.vehicle_state SET status_since = status_since - interval '1 h',"
    " paused_at = paused_at - interval '1 h', resumed_at = resumed_at - interval '1 h'"
    " WHERE vehicle_id = %s::uuid"
)
_numbers = count(1)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """Return one database for all: each test has vehicles of its own."""
    server.create_database("state_ages")
    migrate.migrate(DatabaseSettings(server.parameters("state_ages", OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters("state_ages")))) as opened:
        yield opened


@pytest.fixture
def truck(database: Database) -> UUID:
    number = next(_numbers)
    return database.run(
        lambda c: vehicles.add_vehicle(c, f"Truck-{number:03d}", f"10.2.0.{number}", 8001, None)
    )


def execute(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def an_hour_passes(database: Database, truck: UUID) -> None:
    """Make everything that dates the vehicle's state an hour older."""
    execute(database, SHIFTED, str(truck))


def now(database: Database) -> datetime:
    at: datetime = execute(database, "SELECT now()")[0][0]
    return at


def state(database: Database, truck: UUID) -> tuple[State, float | None]:
    """Return the vehicle's state with its age in hours."""
    fleet = database.run(lambda cursor: fleet_overview(cursor, INTERVAL))
    (seen,) = [each for each in fleet if each.id == truck]
    return seen.state, None if seen.state_age is None else round(seen.state_age / HOUR, 1)


def pull(database: Database, truck: UUID, **changes: Any) -> None:
    """Store a window that ends now, as a cycle does."""
    at = now(database)
    (seen,) = database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))
    update = replace(first_window(truck, at), known=seen.watermark, late_after=LATE)
    if seen.watermark is not None:
        update = replace(update, pulled_from=seen.watermark)
    update = replace(update, **changes)
    database.run(lambda cursor: store.advance_watermark(cursor, update))
    database.run(lambda c: outcomes.add_cycle_report(c, CycleReport(seen, at, at, Outcome.OK)))


def fail(database: Database, truck: UUID) -> None:
    at = now(database)
    database.run(lambda cursor: record(cursor, failure(database, truck, at)))


def pause(database: Database, truck: UUID, paused: bool) -> None:
    database.run(lambda cursor: pausing.set_paused(cursor, truck, paused))


def as_an_older_version(database: Database, truck: UUID, change: str) -> None:
    """Write into the vehicle's state as a version does that does not date it."""
    statement = f"UPDATE fleetsync.vehicle_state SET {change}, updated_at = now()"  # noqa: S608
    execute(database, f"{statement} WHERE vehicle_id = %s::uuid", str(truck))


def test_a_vehicle_that_never_answered_is_so_since_it_was_registered(
    database: Database, truck: UUID
) -> None:
    execute(
        database,
        "UPDATE vehicles SET created_at = now() - interval '5 h' WHERE id = %s::uuid",
        str(truck),
    )
    assert state(database, truck) == (State.NEVER, 5.0)


def test_further_good_cycles_do_not_make_a_state_younger(database: Database, truck: UUID) -> None:
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)
    an_hour_passes(database, truck)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 1.0)


def test_further_failures_do_not_make_a_state_younger(database: Database, truck: UUID) -> None:
    pull(database, truck)
    an_hour_passes(database, truck)
    fail(database, truck)
    assert state(database, truck) == (State.ERROR, 0.0)
    an_hour_passes(database, truck)
    fail(database, truck)
    assert state(database, truck) == (State.ERROR, 1.0)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


def test_another_kind_of_failure_is_another_state(database: Database, truck: UUID) -> None:
    fail(database, truck)
    an_hour_passes(database, truck)
    at = now(database)
    report = replace(failure(database, truck, at), outcome=Outcome.TIMEOUT)
    database.run(lambda cursor: record(cursor, report))
    assert state(database, truck) == (State.TIMEOUT, 0.0)


def test_a_gap_begins_and_ends_a_state(database: Database, truck: UUID) -> None:
    pull(database, truck)
    an_hour_passes(database, truck)
    at = now(database)
    gap = Window(at - timedelta(hours=1), at + timedelta(hours=1))
    pull(database, truck, gap=gap)
    assert state(database, truck) == (State.CATCHING_UP, 0.0)
    an_hour_passes(database, truck)
    pull(database, truck, gap=gap)
    assert state(database, truck) == (State.CATCHING_UP, 1.0)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


def test_a_vehicle_is_late_since_three_intervals_after_its_watermark(
    database: Database, truck: UUID
) -> None:
    pull(database, truck)
    for hours in (1, 2, 3):
        an_hour_passes(database, truck)
        del hours
    execute(
        database,
        "UPDATE vehicles SET last_sync_at = now() - interval '2 h' - %s,"
        " last_seen_at = now() - interval '2 h' - %s,"
        " created_at = now() - interval '9 h' WHERE id = %s::uuid",
        LATE,
        LATE,
        str(truck),
    )
    assert state(database, truck) == (State.LATE, 2.0)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


def everything_an_hour_ago(database: Database, truck: UUID) -> None:
    """Make all times of the vehicle an hour older."""
    an_hour_passes(database, truck)
    execute(
        database,
        "UPDATE vehicles SET last_sync_at = last_sync_at - interval '1 h', last_seen_at ="
        " last_seen_at - interval '1 h', created_at = created_at - interval '1 h'"
        " WHERE id = %s::uuid",
        str(truck),
    )


def pull_until(database: Database, truck: UUID, behind: timedelta) -> None:
    """Pull from a vehicle whose clock is so far behind the database's."""
    pull(database, truck, watermark=now(database) - behind)


def test_a_vehicle_that_is_late_after_every_cycle_gets_later_all_the_time(
    database: Database, truck: UUID
) -> None:
    behind = timedelta(hours=2)
    pull_until(database, truck, behind)
    for hours in range(1, 6):
        everything_an_hour_ago(database, truck)
        pull_until(database, truck, behind)
        assert state(database, truck) == (State.LATE, float(hours))
        pull_until(database, truck, behind)
        assert state(database, truck) == (State.LATE, float(hours))
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


def test_a_cycle_that_does_not_catch_up_leaves_the_beginning_of_lateness(
    database: Database, truck: UUID
) -> None:
    pull(database, truck)
    everything_an_hour_ago(database, truck)
    pull(database, truck)
    for hours in range(1, 5):
        everything_an_hour_ago(database, truck)
        assert state(database, truck) == (State.LATE, float(hours))
        pull_until(database, truck, timedelta(minutes=30))
        assert state(database, truck) == (State.LATE, float(hours))
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


def test_a_vehicle_that_was_resumed_is_late_since_then_at_the_earliest(
    database: Database, truck: UUID
) -> None:
    pull(database, truck)
    pause(database, truck, True)
    execute(
        database,
        "UPDATE vehicles SET last_sync_at = now() - interval '5 h',"
        " created_at = now() - interval '9 h' WHERE id = %s::uuid",
        str(truck),
    )
    for _ in range(4):
        an_hour_passes(database, truck)
    assert state(database, truck) == (State.PAUSED, 4.0)
    pause(database, truck, False)
    assert state(database, truck) == (State.LATE, 0.0)
    an_hour_passes(database, truck)
    assert state(database, truck) == (State.LATE, 1.0)


def test_a_pause_that_is_repeated_began_with_the_first(database: Database, truck: UUID) -> None:
    pause(database, truck, True)
    an_hour_passes(database, truck)
    pause(database, truck, True)
    assert state(database, truck) == (State.PAUSED, 1.0)
    fail(database, truck)  # by a cycle that was running
    assert state(database, truck) == (State.PAUSED, 1.0)


def test_what_failed_before_a_pause_fails_since_it_was_resumed(
    database: Database, truck: UUID
) -> None:
    fail(database, truck)
    an_hour_passes(database, truck)
    pause(database, truck, True)
    an_hour_passes(database, truck)
    pause(database, truck, False)
    assert state(database, truck) == (State.ERROR, 0.0)


def test_a_requested_sync_changes_no_state(database: Database, truck: UUID) -> None:
    fail(database, truck)
    an_hour_passes(database, truck)
    database.run(lambda cursor: sync_requests.request_sync(cursor, truck))
    assert state(database, truck) == (State.ERROR, 1.0)


def test_nothing_is_known_of_rows_that_were_there_before_the_migration(
    database: Database, truck: UUID
) -> None:
    pull(database, truck)
    execute(
        database,
        "UPDATE fleetsync.vehicle_state SET status_since = NULL, dated_status = NULL,"
        " dated_at = now() + interval '1 h' WHERE vehicle_id = %s::uuid",
        str(truck),
    )
    assert state(database, truck) == (State.ONLINE, None)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, None)
    fail(database, truck)
    assert state(database, truck) == (State.ERROR, 0.0)


def test_a_failure_of_which_the_beginning_is_not_known_gets_none_from_the_next(
    database: Database, truck: UUID
) -> None:
    fail(database, truck)
    as_an_older_version(database, truck, "failures = failures + 1")
    assert state(database, truck) == (State.ERROR, None)
    fail(database, truck)
    assert state(database, truck) == (State.ERROR, None)
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, 0.0)


@pytest.mark.parametrize("paused", [True, False])
def test_what_an_older_version_paused_or_resumed_is_not_dated(
    database: Database, truck: UUID, paused: bool
) -> None:
    pull(database, truck)
    pause(database, truck, not paused)
    an_hour_passes(database, truck)
    as_an_older_version(database, truck, f"paused = {paused}")
    assert state(database, truck)[1] is None
    pause(database, truck, paused)
    assert state(database, truck)[1] is None


def test_a_pause_after_an_older_version_wrote_is_dated(database: Database, truck: UUID) -> None:
    pull(database, truck)
    as_an_older_version(database, truck, "failures = 0")
    pause(database, truck, True)
    assert state(database, truck) == (State.PAUSED, 0.0)
    pause(database, truck, False)
    assert state(database, truck) == (State.ONLINE, None)


@pytest.mark.parametrize(
    "by_hand",
    [
        "UPDATE vehicles SET sync_status = 'timeout' WHERE id = %s::uuid",
        "UPDATE fleetsync.vehicle_state SET paused = true WHERE vehicle_id = %s::uuid",
    ],
)
def test_a_state_that_somebody_else_wrote_is_not_dated(
    database: Database, truck: UUID, by_hand: str
) -> None:
    pull(database, truck)
    execute(database, by_hand, str(truck))
    assert state(database, truck)[1] is None


def test_a_pause_that_was_taken_back_by_hand_leaves_the_state_undated(
    database: Database, truck: UUID
) -> None:
    pull(database, truck)
    pause(database, truck, True)
    execute(
        database,
        "UPDATE fleetsync.vehicle_state SET paused = false WHERE vehicle_id = %s::uuid",
        str(truck),
    )
    assert state(database, truck) == (State.ONLINE, None)


def test_the_first_pull_of_an_adopted_vehicle_does_not_invent_a_beginning(
    database: Database, truck: UUID
) -> None:
    execute(
        database,
        "UPDATE vehicles SET sync_status = 'ok', last_sync_at = now(), last_seen_at = now()"
        " WHERE id = %s::uuid",
        str(truck),
    )
    pull(database, truck)
    assert state(database, truck) == (State.ONLINE, None)


@pytest.mark.parametrize("paused", [True, False])
def test_a_vehicle_that_was_restored_is_in_its_state_since_then(
    database: Database, truck: UUID, paused: bool
) -> None:
    pause(database, truck, paused)
    an_hour_passes(database, truck)
    execute(
        database,
        "UPDATE vehicles SET created_at = now() - interval '9 h' WHERE id = %s::uuid",
        str(truck),
    )
    remove_vehicles(database, [truck], with_measurements=False)

    def restore(cursor: Cursor) -> None:
        gone = find_removed(cursor, str(truck))
        restoration.restore(cursor, gone, restoration.NewRegistration())

    database.run(restore)
    assert state(database, truck) == (State.PAUSED if paused else State.NEVER, 0.0)


def test_a_cycle_that_changes_no_status_dates_nothing_anew(database: Database, truck: UUID) -> None:
    pull(database, truck)
    dated = "SELECT status_since FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid"
    before = execute(database, dated, str(truck))
    pull(database, truck)
    assert execute(database, dated, str(truck)) == before
    assert before[0][0] <= datetime.now(UTC)
