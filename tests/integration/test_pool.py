import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import extensions, sql

from fleetsyncd.database import (
    loading,
    measurements,
    pool,
    probe,
    statement_errors,
    store,
    vehicle_changes,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseLost,
    SchemaOutdated,
)
from fleetsyncd.reports import CycleReport, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.time_limits import Deadline
from tests.integration.recording import record

T = TypeVar("T")

NAME = "pool"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
_addresses = (f"10.0.0.{number}" for number in count(1))


@pytest.fixture(scope="module")
def prepared(server: Server) -> Server:
    """Make one database for all: each test has vehicles of its own."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    server.execute(
        sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '20ms'").format(sql.Identifier(NAME))
    )
    return server


def opened(server: Server, size: int = 2) -> Database:
    return Database(DatabaseSettings(server.parameters(NAME), pool_size=size))


@pytest.fixture
def database(prepared: Server) -> Iterator[Database]:
    with closing(opened(prepared)) as database:
        yield database


def pid(cursor: Cursor) -> int:
    cursor.execute("SELECT pg_backend_pid()")
    return int(fetched(cursor))


def fetched(cursor: Any) -> Any:
    return cursor.fetchone()[0]


def terminate(server: Server, *pids: int) -> None:
    """End these backends and wait until they are gone."""
    for one in pids:
        server.execute(sql.SQL("SELECT pg_terminate_backend({}, 5000)").format(sql.Literal(one)))


def add_vehicle(database: Database, name: str = "Truck-01") -> UUID:
    address = next(_addresses)
    return database.run(lambda cursor: vehicles.add_vehicle(cursor, name, address, 8001, None))


def name_of(database: Database, vehicle_id: UUID) -> str:
    return database.run(lambda cursor: loading.load_vehicles(cursor, [vehicle_id]))[0].name


def rename(cursor: Cursor, vehicle_id: UUID, name: str) -> None:
    vehicle_changes.change_vehicle(cursor, vehicle_id, vehicle_changes.VehicleChange(name=name))


def together(*works: Callable[[], T]) -> list[T]:
    with ThreadPoolExecutor(len(works)) as threads:
        return [future.result(30) for future in [threads.submit(work) for work in works]]


def test_every_transaction_carries_the_row_level_security_role_and_utc(database: Database) -> None:
    for _ in range(2):
        with database.transaction() as cursor:
            cursor.execute("SELECT current_setting('app.user_role'), current_setting('timezone')")
            assert cursor.fetchone() == ("superuser", "UTC")


def test_the_role_is_gone_once_the_transaction_has_ended(database: Database) -> None:
    with database.transaction() as cursor:
        connection = cursor.connection
        pid(cursor)
    with connection.cursor() as outside:
        outside.execute("SELECT current_setting('app.user_role', true)")
        assert fetched(outside) in (None, "")


def test_a_committed_transaction_is_visible_to_others(prepared: Server, database: Database) -> None:
    vehicle_id = add_vehicle(database, "Seen")
    with closing(opened(prepared)) as other:
        assert name_of(other, vehicle_id) == "Seen"


def test_a_connection_is_used_again_after_a_commit(database: Database) -> None:
    assert database.run(pid) == database.run(pid)


def test_a_body_that_raises_leaves_nothing_behind_and_its_connection_is_not_used_again(
    database: Database,
) -> None:
    vehicle_id = add_vehicle(database, "Before")
    with pytest.raises(KeyError), database.transaction() as cursor:  # noqa: PT012  one transaction
        connection, first = cursor.connection, pid(cursor)
        rename(cursor, vehicle_id, "After")
        raise KeyError
    assert connection.closed
    assert database.run(pid) != first
    assert name_of(database, vehicle_id) == "Before"


def test_a_refused_statement_is_one_line_without_its_sql(database: Database) -> None:
    def divide(cursor: Cursor) -> None:
        cursor.execute("SELECT 1 / 0 AS secret")

    with pytest.raises(DatabaseError, match=r"^division by zero$"):
        database.run(divide)


def test_threads_that_outnumber_the_connections_wait_their_turn(database: Database) -> None:
    def work(cursor: Cursor) -> int:
        cursor.execute("SELECT pg_backend_pid(), pg_sleep(0.01)")
        return int(fetched(cursor))

    pids = together(*[lambda: database.run(work)] * 12)
    assert len(pids) == 12
    assert len(set(pids)) <= 2


def test_no_free_connection_within_the_deadline_names_the_setting(
    prepared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "WAIT_SEC", 0.02)
    with closing(opened(prepared, size=1)) as database:
        with database.transaction(), pytest.raises(DatabaseBusy, match="raise DB_POOL_SIZE"):
            database.run(pid)
        assert database.run(pid)


def test_idle_connections_that_the_server_ended_are_replaced(prepared: Server) -> None:
    with closing(opened(prepared, size=6)) as database:
        barrier = threading.Barrier(6)

        def meet(cursor: Cursor) -> int:
            backend = pid(cursor)
            barrier.wait(10)
            return backend

        pids = together(*[lambda: database.run(meet)] * 6)
        terminate(prepared, *pids)
        assert database.run(pid) not in pids


def test_a_connection_lost_in_a_transaction_is_replaced_and_the_work_done_once(
    prepared: Server, database: Database
) -> None:
    vehicle_id = add_vehicle(database)
    pids: list[int] = []

    def work(cursor: Cursor) -> None:
        pids.append(pid(cursor))
        rename(cursor, vehicle_id, f"JournalEntry {len(pids)}")
        if len(pids) == 1:
            terminate(prepared, pids[0])
        cursor.execute("SELECT 1")

    database.run(work)
    assert len(set(pids)) == 2
    assert name_of(database, vehicle_id) == "JournalEntry 2"


def test_a_server_that_ends_every_connection_is_reported_lost(
    prepared: Server, database: Database
) -> None:
    attempts: list[int] = []

    def work(cursor: Cursor) -> None:
        attempts.append(pid(cursor))
        terminate(prepared, attempts[-1])
        cursor.execute("SELECT 1")

    with pytest.raises(DatabaseLost, match="lost connection"):
        database.run(work)
    assert len(attempts) == statement_errors.ATTEMPTS


UNDEFINED = (
    "SELECT FROM fleetsync.of_nobody",
    "SELECT of_nobody FROM fleetsync.vehicle_state",
    "SELECT fleetsync.of_nobody()",
    "SELECT of_nobody.of_nobody()",
)


@pytest.mark.parametrize("statement", UNDEFINED)
def test_what_an_owner_dropped_under_a_transaction_is_looked_up_again(
    database: Database, statement: str
) -> None:
    statements = [statement, "SELECT 'found'"]

    def work(cursor: Cursor) -> object:
        cursor.execute(statements.pop(0))
        return cursor.fetchall()

    assert database.run(work) == [("found",)]


@pytest.mark.parametrize("statement", UNDEFINED)
def test_an_old_schema_is_told_at_the_second_attempt(database: Database, statement: str) -> None:
    attempts: list[int] = []

    def work(cursor: Cursor) -> None:
        attempts.append(pid(cursor))
        cursor.execute(statement)

    with pytest.raises(SchemaOutdated, match=r"does not fit \(.*of_nobody"):
        database.run(work)
    assert len(attempts) == 2


def test_faults_of_several_kinds_in_a_row_end_with_the_last_one_told(
    prepared: Server, database: Database
) -> None:
    """Each kind allows another number of attempts; none begins to count anew."""
    attempts: list[int] = []

    def work(cursor: Cursor) -> None:
        attempts.append(pid(cursor))
        if len(attempts) < 3:
            terminate(prepared, attempts[-1])
        cursor.execute(UNDEFINED[0])

    with pytest.raises(SchemaOutdated):
        database.run(work)
    assert len(attempts) == 3


def always_overdue(fired: list[float]) -> Deadline:
    """Return a deadline that no transaction meets, and that tells its seconds, of each once."""

    @contextmanager
    def deadline(seconds: float, error: Callable[[], Exception]) -> Iterator[None]:
        yield
        if seconds in (pool.TRANSACTION_SEC, probe.PROBE_SEC):
            assert seconds not in fired
            fired.append(seconds)
            raise error()

    return deadline


def test_a_coordinator_that_answers_nobody_is_lost_after_one_brief_probe(prepared: Server) -> None:
    fired: list[float] = []
    settings = DatabaseSettings(prepared.parameters(NAME))
    with closing(Database(settings, deadline=always_overdue(fired))) as frozen:
        for _ in range(2):
            frozen._on_cluster = True
            with pytest.raises(DatabaseLost, match=r"did not finish within 90 s$"):
                frozen.run(pid)
            assert fired == [90, 5]
            fired.clear()


def test_a_probe_waits_for_another_one_only_briefly(
    prepared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_SEC", 0.02)
    fired: list[float] = []
    settings = DatabaseSettings(prepared.parameters(NAME))
    with closing(Database(settings, deadline=always_overdue(fired))) as frozen:
        frozen._on_cluster = True
        with frozen._probe._probing, pytest.raises(DatabaseLost):
            frozen.run(pid)
    assert fired == [pool.TRANSACTION_SEC]


def test_of_two_transactions_in_a_deadlock_both_succeed(database: Database) -> None:
    vehicles = [add_vehicle(database, "Left"), add_vehicle(database, "Right")]
    barrier = threading.Barrier(2)
    attempts = [0, 0]

    def work(mine: int, cursor: Cursor) -> None:
        attempts[mine] += 1
        rename(cursor, vehicles[mine], f"{mine} was here")
        if attempts[mine] == 1:
            barrier.wait(10)
        rename(cursor, vehicles[1 - mine], f"{mine} was there")

    together(*[lambda mine=mine: database.run(lambda c: work(mine, c)) for mine in (0, 1)])
    assert sorted(attempts) == [1, 2]
    assert name_of(database, vehicles[0])[0] == name_of(database, vehicles[1])[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_an_unreachable_server_is_named_and_the_password_is_not(host: str) -> None:
    parameters = {"host": host, "port": "1", "dbname": "fleet", "user": "x", "password": "hush"}
    with pytest.raises(DatabaseLost, match=f"no connection to {host}:1/fleet") as caught:
        Database(DatabaseSettings(parameters)).run(pid)
    assert "hush" not in "".join(traceback.format_exception(caught.value))


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(_host: str, port: str, **_: object) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, (address, int(port))) for address in ("127.0.0.2", "127.0.0.1")]

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(5)
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        parameters = {"host": "two.example", "port": str(listener.getsockname()[1])}
        asking = thread.submit(Database(DatabaseSettings(parameters)).run, pid)
        listener.accept()[0].close()
        with pytest.raises(DatabaseLost, match=r"no connection to two\.example"):
            asking.result(5)


def test_a_schema_that_is_not_there_names_the_command_that_makes_it(
    server: Server, empty_database: str
) -> None:
    database = Database(DatabaseSettings(server.parameters(empty_database)))
    with closing(database), pytest.raises(SchemaOutdated, match="run `fleetsyncd migrate`"):
        database.run(loading.load_vehicles)


def test_a_connection_over_its_maximum_age_is_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = database.run(pid)
    monkeypatch.setattr(pool, "MAX_AGE_SEC", -1.0)
    assert database.run(pid) != first


def test_a_work_repeated_because_the_answer_to_its_commit_was_lost_counts_once(
    database: Database,
) -> None:
    vehicle_id = add_vehicle(database)
    Partitions(database).ensure(NOW, NOW)
    (vehicle,) = database.run(lambda cursor: loading.load_vehicles(cursor, [vehicle_id]))
    report = CycleReport(vehicle, NOW, NOW + timedelta(seconds=1), Outcome.OK, rows_written=2)
    rows = Measurements.from_rows([(NOW, 1, 1.5), (NOW, 2, 2.5)])
    step = store.WatermarkUpdate(
        vehicle_id=vehicle_id,
        known=None,
        watermark=NOW,
        newest_measurement_at=NOW,
        clock_skew=timedelta(0),
        software_version="2.0",
        known_asked_to=None,
        pulled_from=NOW,
        gap=None,
    )
    added: list[int] = []

    def work(cursor: Cursor) -> None:
        added.append(measurements.add_measurements(cursor, vehicle_id, rows))
        store.advance_watermark(cursor, step)
        record(cursor, report)
        if len(added) == 1:
            cursor.execute("COMMIT")
            with pytest.raises(psycopg2.OperationalError):
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    database.run(work)
    assert added == [2, 0]

    def journal(cursor: Cursor) -> int:
        cursor.execute(
            "SELECT count(*) FROM sync_journal WHERE vehicle_id = %s::uuid", (str(vehicle_id),)
        )
        return int(fetched(cursor))

    assert database.run(journal) == 1
    assert database.run(lambda c: loading.load_vehicles(c, [vehicle_id]))[0].watermark == NOW


def test_connections_notice_a_peer_that_vanished_and_leave_no_look_up_to_libpq(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: list[dict[str, str]] = []

    def connect(dsn: str, **_options: Any) -> None:
        options.append(extensions.parse_dsn(dsn))
        raise psycopg2.OperationalError("not this time")

    monkeypatch.setattr(psycopg2, "connect", connect)
    settings = DatabaseSettings({"host": "localhost", "dbname": "fleet", "user": "fleet_app"})
    with closing(Database(settings)) as database, pytest.raises(DatabaseLost):
        database.connect()
    assert {"keepalives": "1", "tcp_user_timeout": "8000"}.items() <= options[0].items()
    assert options[0]["host"].startswith("localhost")
    assert options[0]["hostaddr"].split(",")[-1] in ("127.0.0.1", "::1")


def test_the_server_gives_a_statement_up_whose_client_has_gone(database: Database) -> None:
    def interval(cursor: Cursor) -> str:
        cursor.execute("SHOW client_connection_check_interval")
        return str(cursor.fetchall()[0][0])

    assert database.run(interval) == "5s"


def test_how_long_a_transaction_waits_for_a_connection_is_known_meanwhile(
    server: Server, database_name: str
) -> None:
    narrow = Database(DatabaseSettings(server.parameters(database_name), pool_size=1))
    waits: list[tuple[float, float]] = []
    narrow.on_queue = lambda began, got: waits.append((began, got))
    assert narrow.longest_wait_sec == 0
    with narrow.transaction():
        waiting = threading.Thread(
            target=lambda: narrow.run(lambda cursor: cursor.execute("SELECT 1"))
        )
        waiting.start()
        while narrow.longest_wait_sec < 0.05:
            time.sleep(0.005)
    waiting.join()
    assert narrow.longest_wait_sec == 0
    assert [got - began >= 0.05 for began, got in waits] == [False, True]
    narrow.close()
