"""What the database refuses is told wherever it still can be, and no such cycle looks well."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus

import pytest
from psycopg2 import sql

from fleetsyncd.database import backfills, pausing, replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.database.removal import remove_vehicles
from fleetsyncd.database.replicas import Replica
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import rehearsal
from fleetsyncd.database.views.backfills import backfill_statuses
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.embedded import APP, Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.findings import Level
from fleetsyncd.models import Window
from fleetsyncd.reports import Failure, Outcome, Unstored
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.plan import Plan
from fleetsyncd.sync.supervisor import Supervisor
from fleetsyncd.sync.unstored import UnstoredCycles
from fleetsyncd.times import iso_ms
from tests.full_disk import FULL, refuse_rows
from tests.integration.rig import Ask, Reply, Rig, rig

INTERVAL_SEC = 30.0


@pytest.fixture
def refuse(server: Server, database_name: str) -> Callable[..., None]:
    """Return a function that has tables refuse every row as a full disk does."""

    def work(*tables: str) -> None:
        refuse_rows(server, database_name, *tables)

    return work


@pytest.fixture
def forbid(server: Server, database_name: str) -> Callable[[str], None]:
    """Return a function that takes the right to insert into a table from the daemon."""

    def work(table: str) -> None:
        statement = sql.SQL("REVOKE INSERT ON {} FROM {}").format(
            sql.SQL(table), sql.Identifier(APP)
        )
        server.execute(statement, database=database_name)

    return work


@contextmanager
def pulled(database: Database, ago: timedelta = timedelta(0)) -> Iterator[Rig]:
    """Yield a vehicle that was pulled twice, with an entry for each, so long ago."""
    with rig(database, watermark_ago=300 + ago.total_seconds(), channels=2) as it:
        it.now -= ago
        for _ in range(2):
            assert it.cycle(after=INTERVAL_SEC).outcome is Outcome.OK
        yield it


def overview(it: Rig) -> VehicleOverview:
    (vehicle,) = it.database.run(lambda cursor: fleet_overview(cursor, INTERVAL_SEC))
    return vehicle


@pytest.mark.parametrize(
    "tables",
    [
        ("measurements",),
        ("sync_journal",),
        ("measurements", "sync_journal"),
    ],
    ids=" and ".join,
)
def test_a_cycle_that_cannot_be_stored_is_an_error_in_state_and_last_error(
    database: Database, refuse: Callable[..., None], tables: tuple[str, ...]
) -> None:
    with pulled(database) as it:
        refuse(*tables)
        report = it.cycle(after=INTERVAL_SEC)
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.DATABASE)
        seen = overview(it)
        assert (seen.state, seen.failures) == (State.ERROR, 1)
        assert FULL in str(seen.last_error)
        it.cycle(after=INTERVAL_SEC)
        assert overview(it).failures == 2


def test_a_missing_right_to_write_the_journal_is_an_error_that_names_the_remedy(
    database: Database, forbid: Callable[[str], None]
) -> None:
    with pulled(database) as it:
        forbid("sync_journal")
        report = it.cycle(after=INTERVAL_SEC)
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.DATABASE)
        seen = overview(it)
        assert seen.state is State.ERROR
        assert "its journal entry cannot be written: permission denied" in str(seen.last_error)


def test_a_check_that_refuses_a_vehicles_rows_is_an_error_of_that_vehicle(
    server: Server, database_name: str, database: Database
) -> None:
    with pulled(database) as it:
        check = "ALTER TABLE measurements ADD CONSTRAINT small CHECK (value > 1e300) NOT VALID"
        server.execute(sql.SQL(check), database=database_name)
        assert it.cycle(after=INTERVAL_SEC).failure is Failure.DATABASE
        assert (overview(it).state, "small" in str(overview(it).last_error)) == (State.ERROR, True)


def test_a_state_that_has_no_room_for_the_error_gets_a_short_one(
    server: Server, database_name: str, database: Database, refuse: Callable[..., None]
) -> None:
    with pulled(database) as it:
        refuse("sync_journal")
        check = "ALTER TABLE fleetsync.vehicle_state ADD CHECK (length(last_error) < 100)"
        server.execute(sql.SQL(check), database=database_name)
        it.cycle(after=INTERVAL_SEC)
        seen = overview(it)
        assert seen.state is State.ERROR
        assert seen.last_error == "database: the cycle could not be stored, see the daemon's log"


def test_a_vehicle_of_which_nothing_at_all_can_be_written_becomes_late(
    database: Database, refuse: Callable[..., None]
) -> None:
    with pulled(database, timedelta(minutes=10)) as it:
        refuse("measurements", "sync_journal", "vehicles", "fleetsync.vehicle_state")
        report = it.cycle(after=INTERVAL_SEC)
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.DATABASE)
        assert FULL in str(report.reason)
        assert overview(it).state is State.LATE


def test_a_daemon_knows_whose_last_cycle_could_not_be_stored_and_tells_it_with_its_heartbeat(
    database: Database, refuse: Callable[..., None], server: Server, database_name: str
) -> None:
    unstored = UnstoredCycles()
    with pulled(database) as it:
        refuse("measurements")
        unstored.note(it.cycle(after=INTERVAL_SEC))
        present = unstored.present
        assert present.vehicles == 1
        assert str(present.reason).startswith(f"[{it.name}] database: {FULL}")
        mine = Replica(INTERVAL_SEC)
        database.run(
            lambda cursor: replicas.write_heartbeat(cursor, mine, 1.0, 1, unstored=present)
        )
        (heartbeat,) = database.run(replicas.heartbeats)
        assert heartbeat.unstored == present
        server.execute(sql.SQL("DROP TRIGGER refuse ON measurements"), database=database_name)
        unstored.note(it.cycle(after=INTERVAL_SEC))
        assert unstored.present == Unstored()


def test_a_vehicle_that_left_the_fleet_is_no_longer_among_those_not_stored(
    database: Database, refuse: Callable[..., None]
) -> None:
    unstored = UnstoredCycles()
    with pulled(database) as it:
        refuse("measurements")
        unstored.note(it.cycle(after=INTERVAL_SEC))
        unstored.retain({it.vehicle_id})
        assert unstored.present.vehicles == 1
        unstored.retain(set())
        assert unstored.present == Unstored()


@pytest.mark.parametrize(
    ("how", "notice"),
    [
        ("paused", Supervisor._do_periodic_work),
        ("paused", Supervisor.start_cycle),
        ("removed", Supervisor.start_cycle),
    ],
)
def test_a_vehicle_that_is_asked_no_more_does_not_keep_the_daemon_failing(
    database: Database,
    refuse: Callable[..., None],
    how: str,
    notice: Callable[[Supervisor], object],
) -> None:
    with pulled(database) as it:
        retention = Retention(database, RetentionPolicy(None, None, None))
        plan = Plan(60, 8, 8, 1, 0, 60)
        supervisor = Supervisor(plan, it.context(), retention)
        refuse("measurements")
        supervisor._on_report(it.cycle(after=INTERVAL_SEC))
        supervisor._send_heartbeat()
        assert database.run(replicas.heartbeats)[0].unstored.vehicles == 1
        if how == "paused":
            database.run(lambda c: pausing.set_paused(c, it.vehicle_id, True))
        else:
            remove_vehicles(database, [it.vehicle_id], with_measurements=True)
        notice(supervisor)
        supervisor._send_heartbeat()
        assert database.run(replicas.heartbeats)[0].unstored == Unstored()
        supervisor.stop()


@pytest.mark.parametrize(
    ("call", "table", "answer"),
    [
        ("/channels", "channel_config", '[{{"channel_id": 77, "name": "oil"}}]'),
        ("/alarms", "alarms_log", '[{{"alarm_id": 7, "message": "hot", "triggered_at": "{now}"}}]'),
    ],
    ids=["channels", "alarms"],
)
def test_channels_or_alarms_that_cannot_be_stored_show_though_the_cycle_goes_on(
    database: Database, refuse: Callable[..., None], call: str, table: str, answer: str
) -> None:
    unstored = UnstoredCycles()
    with pulled(database) as it:
        body = answer.format(now=iso_ms(it.now)).encode()
        it.simulated.hook = lambda path, query, ask: (
            (HTTPStatus.OK, body) if path == call else ask(query)
        )
        refuse(table)
        report = it.cycle(after=INTERVAL_SEC)
        assert (report.outcome, report.rows_written > 0) == (Outcome.OK, True)
        assert FULL in str(overview(it).last_error)
        unstored.note(report)
        assert unstored.present.vehicles == 1
        assert FULL in str(unstored.present.reason)
        it.simulated.hook = None
        unstored.note(it.cycle(after=INTERVAL_SEC))
        assert unstored.present == Unstored()


def test_a_vehicle_that_refuses_its_alarms_is_no_fault_of_storing(database: Database) -> None:
    with pulled(database) as it:
        it.simulated.hook = lambda path, query, ask: (
            (HTTPStatus.SERVICE_UNAVAILABLE, b"{}") if path == "/alarms" else ask(query)
        )
        report = it.cycle(after=INTERVAL_SEC)
        assert "alarms will be asked for again" in str(report.error_msg)
        assert report.unstored is None


_REFUSE_MANY = """
CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM added) > 4000 THEN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END IF;
    RETURN NULL;
END $$
"""
_FEW_ONLY = (
    "CREATE TRIGGER refuse_many AFTER INSERT ON {} REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()"
)


@pytest.mark.parametrize("table", ["measurements", "channel_config", "alarms_log"])
def test_doctor_tries_as_many_rows_of_each_table_as_need_new_pages(
    server: Server, database_name: str, database: Database, table: str
) -> None:
    with pulled(database) as it:
        few_only = sql.SQL(_FEW_ONLY).format(sql.Identifier(table))
        server.execute(sql.SQL(_REFUSE_MANY), few_only, database=database_name)
        (finding,) = rehearsal.rehearse(database, it.now)
        assert finding.level is Level.FAULT
        assert f"cannot be written to public.{table}: {FULL}" in finding.text


def test_a_watermark_that_was_set_back_meanwhile_is_no_fault_of_storing(
    database: Database,
) -> None:
    def set_back(path: str, query: str, ask: Ask) -> Reply:
        if path == "/data":
            it.run("UPDATE vehicles SET last_sync_at = last_sync_at - interval '1 h'")
        return ask(query)

    unstored = UnstoredCycles()
    with pulled(database) as it:
        it.simulated.hook = set_back
        report = it.cycle(after=INTERVAL_SEC)
        assert (report.outcome, report.failure) == (Outcome.ERROR, Failure.DATABASE)
        unstored.note(report)
        assert unstored.present == Unstored()


def test_a_backfill_whose_entry_the_journal_refuses_says_so_to_its_watcher(
    database: Database, refuse: Callable[..., None]
) -> None:
    with pulled(database) as it:
        window = Window(it.now - timedelta(hours=2), it.now - timedelta(hours=1))
        it.database.run(lambda c: backfills.request_backfill(c, it.vehicle_id, window))
        refuse("sync_journal", "measurements")
        it.now += timedelta(seconds=1)
        known = it.database.run(lambda c: backfills.open_backfills(c, (), 1))[it.vehicle_id]
        report = run_backfill(it.vehicle(), known, it.client, it.context())
        assert report.needs_attention
        assert "its journal entry cannot be written" in str(report.entry.error_msg)
        status = it.database.run(lambda c: backfill_statuses(c, [it.vehicle_id]))[it.vehicle_id]
        assert FULL in str(status.obstacle)
        refuse("fleetsync.backfill")
        with pytest.raises(DatabaseError, match="No space left"):
            run_backfill(it.vehicle(), known, it.client, it.context())
