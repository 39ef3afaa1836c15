"""Vehicles that leave the fleet, what they leave behind, and their way back."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg2 import sql

from fleetsyncd.database import (
    leftovers,
    loading,
    measurements,
    pausing,
    purge,
    removal,
    removed_vehicles,
    restoration,
    store,
    vehicle_changes,
    vehicles,
)
from fleetsyncd.database.leftovers import Leftover
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.purge import PurgeProgress
from fleetsyncd.database.removal import Removal
from fleetsyncd.database.removed_vehicles import RemovedVehicle
from fleetsyncd.database.restoration import NewRegistration
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.views.estimates import Count
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import CommandError, VehicleRemoved
from fleetsyncd.reports import Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Alarm, BadRow, Channel, Measurements
from fleetsyncd.times import utc_now
from tests.integration.recording import record
from tests.integration.rig import rig
from tests.integration.written import failure, first_window

NAME = "removals"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
ROWS = Measurements.from_rows((NOW + timedelta(seconds=n), 1, 0.5) for n in range(5))
USER, OTHER_USER = UUID(int=1), UUID(int=2)
_numbers = count(1)


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[Database]:
    """Return one database for all: each test has vehicles of its own."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    server.execute(sql.SQL("ALTER DATABASE removals SET deadlock_timeout = '20ms'"))
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as opened:
        Partitions(opened).ensure(NOW - timedelta(days=40), NOW)
        yield opened


@pytest.fixture
def truck(database: Database) -> UUID:
    return add(database)


def add(database: Database, name: str | None = None) -> UUID:
    number = next(_numbers)
    name, host = name or f"Truck-{number:03d}", f"10.3.0.{number}"
    return database.run(lambda cursor: vehicles.add_vehicle(cursor, name, host, 9001, "its-key"))


def query(database: Database, statement: str, **arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def measured(database: Database, truck: UUID) -> int:
    statement = "SELECT count(*) FROM measurements WHERE vehicle_id = %(id)s::uuid"
    return int(query(database, statement, id=str(truck))[0][0])


def store_rows(database: Database, truck: UUID, rows: Measurements = ROWS) -> None:
    database.run(lambda cursor: measurements.add_measurements(cursor, truck, rows))


def remove(database: Database, truck: UUID, *, with_measurements: bool = False) -> Removal:
    (removed,) = removal.remove_vehicles(database, [truck], with_measurements=with_measurements)
    return removed


def removed(database: Database, which: object) -> RemovedVehicle:
    return database.run(lambda cursor: removed_vehicles.find_removed(cursor, str(which)))


def restore(database: Database, which: object, **new: Any) -> RemovedVehicle:
    vehicle = removed(database, which)
    registration = NewRegistration(**new)
    return database.run(lambda c: restoration.restore(c, vehicle, registration))


def listed(database: Database, truck: UUID) -> Leftover | None:
    left = leftovers.read_each(database, database.run(leftovers.find_all))
    return next((each for each in left if each.vehicle.id == truck), None)


def registered(database: Database, truck: UUID) -> bool:
    return bool(database.run(lambda cursor: loading.load_vehicles(cursor, [truck])))


def forget(database: Database, truck: UUID) -> None:
    """Leave what a version that kept no record has left of a removed vehicle."""
    query(
        database, "DELETE FROM fleetsync.removed_vehicle WHERE vehicle_id = %(id)s", id=str(truck)
    )


@pytest.mark.parametrize("with_measurements", [True, False])
def test_a_vehicle_is_removed_with_all_that_is_its_own(
    database: Database, truck: UUID, with_measurements: bool
) -> None:
    def fill(cursor: Cursor) -> None:
        measurements.add_measurements(cursor, truck, ROWS)
        store.advance_watermark(cursor, first_window(truck, NOW))
        store.save_channels(cursor, truck, [Channel(1, "Oil", "bar", 0.0, 1.0)])
        store.save_alarms(cursor, truck, [Alarm(1, 1, None, "Oil low", NOW, None)])
        store.quarantine_rows(cursor, truck, [BadRow("/data", "{}", "poison")])

    database.run(fill)
    database.run(lambda cursor: record(cursor, failure(database, truck, NOW)))
    told = remove(database, truck, with_measurements=with_measurements)
    assert told == Removal(truck, 0, measurements_left=True)
    left = (
        f"SELECT count(*) FROM {table} WHERE vehicle_id = %(id)s::uuid"  # noqa: S608  constants
        for table in ("channel_config", "alarms_log", "sync_journal", "fleetsync.vehicle_state")
    )
    assert [query(database, statement, id=str(truck)) for statement in left] == [[(0,)]] * 4
    assert not registered(database, truck)
    if with_measurements:
        assert purge.purge_by_id(database, truck) == 5
    assert measured(database, truck) == 5 * (not with_measurements)
    assert (listed(database, truck) is None) == with_measurements


def test_vehicles_are_removed_all_or_none_and_never_paused(database: Database, truck: UUID) -> None:
    everyone = [truck, add(database), add(database)]
    seen: list[set[UUID]] = []

    def fails(cursor: Cursor) -> None:
        removal.remove(cursor, everyone, with_measurements=True)
        seen.append(database.run(store.paused_vehicles).intersection(everyone))
        raise CommandError("at the last moment")

    with pytest.raises(CommandError, match="at the last moment"):
        database.run(fails)
    assert seen == [set()]
    assert all(registered(database, vehicle_id) for vehicle_id in everyone)
    assert [listed(database, vehicle_id) for vehicle_id in everyone] == [None] * 3
    assert len(removal.remove_vehicles(database, everyone, with_measurements=True)) == 3
    assert not any(registered(database, vehicle_id) for vehicle_id in everyone)


def test_a_removal_whose_answer_was_lost_does_not_lose_the_record(
    database: Database, truck: UUID
) -> None:
    store_rows(database, truck)
    remove(database, truck)
    assert remove(database, truck).measurements_left
    assert removed(database, truck).removed_at is not None


def test_nothing_is_written_for_a_removed_vehicle_and_its_cycle_learns_it(
    database: Database, truck: UUID
) -> None:
    report = failure(database, truck, NOW)
    remove(database, truck)

    def pull(cursor: Cursor) -> None:
        measurements.add_measurements(cursor, truck, ROWS)
        store.advance_watermark(cursor, first_window(truck, NOW))

    database.run(lambda c: store.quarantine_rows(c, truck, [BadRow("/data", "{}", "poison")]))
    calls: list[Callable[[Cursor], object]] = [
        lambda cursor: store.lock_vehicle(cursor, truck),
        pull,
        lambda cursor: store.advance_watermark(cursor, first_window(truck, NOW)),
        lambda cursor: record(cursor, report),
        lambda cursor: record(cursor, replace(report, stopped=True)),
        lambda cursor: record(cursor, replace(report, outcome=Outcome.OK)),
    ]
    for call in calls:
        with pytest.raises(VehicleRemoved):
            database.run(call)
    assert measured(database, truck) == 0


def waiting(database: Database, future: Future[Any]) -> bool:
    """Tell whether the other transaction waits for a lock, once it does or has ended."""
    while not future.done():
        if query(database, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0]:
            return True
    return False


def test_a_removal_waits_for_rows_that_are_being_written_and_leaves_them_to_the_purge(
    database: Database, truck: UUID
) -> None:
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as cursor:
            measurements.add_measurements(cursor, truck, ROWS)
            told = thread.submit(remove, database, truck, with_measurements=True)
            assert waiting(database, told)
        assert told.result(10).measurements_left
    assert purge.purge_by_id(database, truck) == 5


def test_rows_written_during_a_removal_wait_for_it_and_are_refused(
    database: Database, truck: UUID
) -> None:
    def pull(cursor: Cursor) -> None:
        measurements.add_measurements(cursor, truck, ROWS)
        store.advance_watermark(cursor, first_window(truck, NOW))

    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as cursor:
            removal.remove(cursor, [truck], with_measurements=True)
            written = thread.submit(database.run, pull)
            assert waiting(database, written)
        with pytest.raises(VehicleRemoved):
            written.result(10)
    assert measured(database, truck) == 0


def test_a_vehicle_whose_row_is_held_for_long_is_not_removed_and_the_reason_is_told(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "LOCK_ATTEMPTS", 2)
    with database.transaction() as cursor:
        store.lock_vehicle(cursor, truck)
        with pytest.raises(CommandError, match=r"holds the vehicle's row.*pg_stat_activity"):
            remove(database, truck)
    assert registered(database, truck)


def test_a_vehicle_that_is_changed_while_its_removal_runs_is_not_removed(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_rows(database, truck)
    seen = database.run(lambda cursor: vehicles.read_registered(cursor, [truck]))
    lock = removal._lock

    def change_before(cursor: Cursor, ids: Sequence[UUID]) -> list[UUID]:
        change = vehicle_changes.VehicleChange(port=8999)
        database.run(lambda c: vehicle_changes.change_vehicle(c, truck, change))
        return lock(cursor, ids)

    monkeypatch.setattr(removal, "_lock", change_before)
    with pytest.raises(CommandError, match=r"changed meanwhile by somebody \(port 8999\)"):
        removal.remove_seen(database, seen, with_measurements=True)
    monkeypatch.undo()
    assert registered(database, truck)
    assert measured(database, truck) == 5
    with pytest.raises(CommandError, match="changed meanwhile"):
        removal.remove_seen(database, seen, with_measurements=True)
    seen = database.run(lambda cursor: vehicles.read_registered(cursor, [truck]))
    for _ in range(2):  # the second time it is gone
        removal.remove_seen(database, seen, with_measurements=True)
    assert not registered(database, truck)


def test_users_who_lose_sight_of_a_vehicle_are_told_at_the_removal_and_the_return(
    server: Server, database: Database, truck: UUID
) -> None:
    give_access(server, truck, USER)
    give_access(server, truck, OTHER_USER)
    assert remove(database, truck).users == (USER, OTHER_USER)
    assert restore(database, truck).users == (USER, OTHER_USER)


def give_access(server: Server, truck: UUID, user: UUID) -> None:
    statement = sql.SQL("INSERT INTO vehicle_access VALUES ({}, {})")
    literals = (sql.Literal(str(user)), sql.Literal(str(truck)))
    server.execute(statement.format(*literals), database=NAME)


def test_a_restored_vehicle_is_pulled_from_where_it_stopped(database: Database) -> None:
    with rig(database, watermark_ago=120, name="Crane-back", channels=2) as it:
        it.cycle()
        before = it.vehicle()
        remove(database, it.vehicle_id)
        it.now += timedelta(minutes=10)
        told = restore(database, "Crane-back", key="rig-key-4711")
        after = it.vehicle()
        assert (told.watermark, after.watermark) == (before.watermark, before.watermark)
        assert (after.name, after.host, after.port) == (before.name, before.host, before.port)
        assert it.cycle(after=30).outcome is Outcome.OK
        comparison = it.compare()
        assert comparison.clean, comparison.examples
        assert comparison.checked > 2 * 600
    assert listed(database, it.vehicle_id) is None


def test_a_vehicle_comes_back_without_its_key_and_paused_if_it_was(
    database: Database, truck: UUID
) -> None:
    database.run(lambda cursor: pausing.set_paused(cursor, truck, True))
    remove(database, truck)
    kept = query(database, "SELECT r::text FROM fleetsync.removed_vehicle r")
    assert "its-key" not in str(kept)
    told = restore(database, truck)
    assert (told.had_own_key, told.paused) == (True, True)
    (vehicle,) = database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))
    assert (vehicle.api_key, vehicle.paused, vehicle.port) == (None, True, 9001)


def test_a_vehicle_that_was_removed_without_a_record_is_found_and_given_back(
    database: Database, truck: UUID
) -> None:
    store_rows(database, truck)
    remove(database, truck)
    forget(database, truck)
    left = listed(database, truck)
    assert left is not None
    assert (left.vehicle.name, left.measurements) == (None, Count(5))
    assert left.extent is not None
    assert (left.extent.first, left.extent.last) == (ROWS.times[0], ROWS.times[4])
    with pytest.raises(CommandError, match="give --name and --address"):
        restore(database, truck, name="Back-01")
    assert listed(database, truck) is not None
    restore(database, truck, name="Back-01", host="10.9.0.1")
    (vehicle,) = database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))
    assert (vehicle.name, vehicle.host, vehicle.port) == ("Back-01", "10.9.0.1", 8001)
    assert vehicle.watermark == ROWS.times[4]
    assert listed(database, truck) is None


def test_a_vehicle_without_a_record_is_purged(database: Database, truck: UUID) -> None:
    store_rows(database, truck)
    remove(database, truck)
    forget(database, truck)
    assert purge.purge_by_id(database, truck) == 5
    assert listed(database, truck) is None


def test_a_name_or_an_address_that_is_taken_is_not_taken_twice(database: Database) -> None:
    truck = add(database, "Taken-01")
    (before,) = database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))
    remove(database, truck)
    other = add(database, "Taken-01")
    with pytest.raises(CommandError, match="a vehicle called Taken-01 is registered already"):
        restore(database, truck)
    address = vehicle_changes.VehicleChange(name="Other-01", host=before.host, port=before.port)
    database.run(lambda cursor: vehicle_changes.change_vehicle(cursor, other, address))
    with pytest.raises(CommandError, match=f"at {before.host} port 9001 is registered already"):
        restore(database, truck)
    assert restore(database, truck, port=9002).port == 9002


def test_only_the_removed_vehicle_is_meant_and_one_of_several_is_named_by_its_id(
    database: Database,
) -> None:
    first = add(database, "Twice-01")
    with pytest.raises(CommandError, match="no removed vehicle is called Twice-01"):
        removed(database, "Twice-01")
    with pytest.raises(CommandError, match=f"no removed vehicle is called {first}"):
        removed(database, first)
    remove(database, first)
    assert removed(database, "Twice-01").id == first
    second = add(database, "Twice-01")
    remove(database, second)
    with pytest.raises(CommandError, match=f"2 removed vehicles .*{first}, {second}"):
        removed(database, "Twice-01")
    assert removed(database, str(second).upper()).id == second


@pytest.mark.parametrize("with_record", [True, False])
def test_of_two_operators_who_restore_a_vehicle_at_once_one_succeeds(
    database: Database, truck: UUID, with_record: bool
) -> None:
    store_rows(database, truck)
    remove(database, truck)
    if not with_record:
        forget(database, truck)
    vehicle = removed(database, truck)
    new = NewRegistration(name=f"Both-{truck}", host=f"10.4.0.{next(_numbers)}")
    other = replace(new, name=f"Other-{truck}", host=f"10.4.0.{next(_numbers)}")
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as cursor:
            restoration.restore(cursor, vehicle, new)
            late = thread.submit(database.run, lambda c: restoration.restore(c, vehicle, other))
            assert waiting(database, late)
        with pytest.raises(CommandError, match="restored or purged meanwhile"):
            late.result(10)
    (seen,) = database.run(lambda cursor: loading.load_vehicles(cursor, [truck]))
    assert seen.name == new.name


@pytest.mark.parametrize("with_record", [True, False])
def test_a_purge_that_waits_for_a_return_deletes_nothing(
    database: Database, truck: UUID, with_record: bool
) -> None:
    store_rows(database, truck)
    remove(database, truck)
    if not with_record:
        forget(database, truck)
    vehicle = removed(database, truck)
    new = NewRegistration(name=f"Back-{truck}", host=f"10.4.0.{next(_numbers)}")
    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as cursor:
            restoration.restore(cursor, vehicle, new)
            late = thread.submit(purge.purge, database, vehicle)
            assert waiting(database, late)
        with pytest.raises(CommandError, match="restored or purged meanwhile"):
            late.result(10)
    assert measured(database, truck) == 5
    assert registered(database, truck)


def test_a_purge_stops_when_the_vehicle_is_given_back_and_the_rest_stays(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH_ROWS", 1)
    store_rows(database, truck)
    remove(database, truck)

    def give_back(progress: PurgeProgress) -> None:
        if progress.rows == 2:
            restore(database, truck)

    with pytest.raises(CommandError, match="restored or purged meanwhile"):
        purge.purge(database, removed(database, truck), give_back)
    assert measured(database, truck) == 3
    assert registered(database, truck)


def test_a_vehicle_that_another_program_registers_again_is_not_purged(
    database: Database, truck: UUID
) -> None:
    store_rows(database, truck)
    remove(database, truck)
    vehicle = removed(database, truck)
    again = "INSERT INTO vehicles (id, name, vpn_ip) VALUES (%(id)s, 'Again-01', '10.9.9.9')"
    query(database, again, id=str(truck))
    with pytest.raises(CommandError, match="restored or purged meanwhile"):
        purge.purge(database, vehicle)
    assert (measured(database, truck), listed(database, truck)) == (5, None)


class Interrupted(BaseException):
    """Stands for a signal, or a process that is killed."""


def test_a_purge_deletes_in_small_transactions_and_goes_on_where_it_was_interrupted(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH_ROWS", 100)
    start = NOW - timedelta(days=35)  # a gap of weeks, and rows that are far from even
    dense = ((start + timedelta(milliseconds=n), n % 3, 0.5) for n in range(1_000))
    sparse = ((NOW + timedelta(minutes=n), 70_000, 0.5) for n in range(50))
    store_rows(database, truck, Measurements.from_rows([*dense, *sparse]))
    remove(database, truck, with_measurements=True)
    steps: list[PurgeProgress] = []

    def interrupt(progress: PurgeProgress) -> None:
        steps.append(progress)
        if progress.rows >= 500:
            raise Interrupted

    with pytest.raises(Interrupted):
        purge.purge(database, removed(database, truck), interrupt)
    left = listed(database, truck)
    assert left is not None
    assert left.measurements.rows == measured(database, truck) == 1_050 - steps[-1].rows
    assert left.vehicle.purged_until is not None
    assert purge.purge(database, removed(database, truck), steps.append) == left.measurements.rows
    in_each = [now.rows - before.rows for before, now in pairwise(steps)]
    assert max(in_each) <= 100
    assert steps[-1].fraction == 1
    assert measured(database, truck) == 0
    assert listed(database, truck) is None


def test_a_purge_deletes_more_rows_of_one_moment_than_a_batch_has(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "BATCH_ROWS", 3)
    store_rows(database, truck, Measurements.from_rows((NOW, channel, 0.5) for channel in range(9)))
    remove(database, truck)
    assert purge.purge_by_id(database, truck) == 9


def test_a_purge_leaves_other_vehicles_alone(database: Database, truck: UUID) -> None:
    other, gone = add(database), add(database)
    for each in (truck, other, gone):
        store_rows(database, each)
    remove(database, gone)
    remove(database, truck)
    assert purge.purge_by_id(database, truck) == 5
    assert [measured(database, each) for each in (truck, other, gone)] == [0, 5, 5]
    assert listed(database, gone) is not None


def test_what_removed_vehicles_left_is_found_without_reading_all_measurements(
    server: Server, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = utc_now()
    Partitions(database).ensure(month, month)
    everyone = [add(database) for _ in range(3)]
    for truck in everyone:
        rows = ((month + timedelta(milliseconds=n), n % 4, 0.5) for n in range(12_000))
        store_rows(database, truck, Measurements.from_rows(rows))
    server.execute(sql.SQL("ANALYZE public.measurements"), database=NAME)
    remove(database, everyone[0])
    monkeypatch.setattr(leftovers, "EXACT_UP_TO", 100)
    read: list[float] = []
    execute = Cursor.execute

    def explain(cursor: Cursor, statement: Any, arguments: Any = None) -> None:
        if "public.measurements" in statement and "EXPLAIN" not in statement:
            _settings, _, query = statement.rpartition("; ")
            execute(cursor, f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", arguments)
            read.append(rows_read(cursor.fetchall()[0][0][0]["Plan"]))
        execute(cursor, statement, arguments)

    monkeypatch.setattr(Cursor, "execute", explain)
    left = listed(database, everyone[0])
    monkeypatch.undo()
    assert left is not None
    assert not left.measurements.exact
    assert left.measurements.rows == pytest.approx(12_000, rel=0.2)
    assert len(read) >= 3
    # A month with a handful of rows is read whole; the present one has 36,000.
    assert max(read) < 5_000


def rows_read(node: dict[str, Any]) -> float:
    """Return how many rows of measurements the scans of a plan met."""
    below = sum(rows_read(each) for each in node.get("Plans", ()))
    if not str(node.get("Relation Name", "")).startswith("measurements"):
        return below
    met = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return below + float(met) * float(node["Actual Loops"])


def test_owners_and_strangers_see_no_removed_vehicle(database: Database, truck: UUID) -> None:
    remove(database, truck)

    def seen(cursor: Cursor, role: str) -> int:
        cursor.execute("SELECT set_config('app.user_role', %s, true)", (role,))
        cursor.execute("SELECT count(*) FROM fleetsync.removed_vehicle")
        return int(cursor.fetchall()[0][0])

    assert database.run(lambda cursor: seen(cursor, "owner")) == 0
    assert database.run(lambda cursor: seen(cursor, "")) == 0
    assert database.run(lambda cursor: seen(cursor, "superuser")) > 0


def test_an_unknown_id_is_no_removed_vehicle(database: Database) -> None:
    with pytest.raises(CommandError, match="see `fleetsyncd vehicle list --removed`"):
        removed(database, uuid4())
    with pytest.raises(CommandError, match="no removed vehicle is called Truck"):
        removed(database, "Truck\0-99")
