from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from fleetsyncd.database import (
    leftovers,
    loading,
    measurements,
    removal,
    restoration,
    store,
    vehicles,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removal import Removal
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.database.views.storage import storage
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import CommandError, MigrationFailed
from fleetsyncd.reports import CycleReport, Outcome
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Alarm, BadRow, Channel, Measurements, Status
from tests.integration.recording import record
from tests.integration.written import first_window

INSTALLATION = Path(__file__).with_name("adopted.sql").read_text()
ADOPTED = "adopted"
TRUCK_1 = UUID("00000000-0000-4000-8000-000000000001")
TRUCK_2 = UUID("00000000-0000-4000-8000-000000000002")
UNTIE = "DROP CONSTRAINT measurements_vehicle_id_fkey"
WATERMARK = datetime(2026, 2, 10, 12, tzinfo=UTC)
KEPT_TABLES = (
    "vehicles",
    "vehicle_access",
    "channel_config",
    "measurements_2026_01",
    "measurements_2026_02",
    "alarms_log",
    "sync_journal",
)
CATALOG = """
SELECT format('column %s.%s %s %s %s %s', attrelid::regclass, attname, attnum,
              format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid AND relkind IN ('r', 'p')
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND relnamespace = 'public'::regnamespace
UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname,
                        pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'policy ' || p::text FROM pg_policies p WHERE schemaname = 'public'
UNION ALL SELECT format('relation %s %s %s %s %s %s', oid::regclass, relowner::regrole,
    relfilenode, relrowsecurity, relforcerowsecurity, pg_get_expr(relpartbound, oid))
FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""


def as_owner(server: Server, name: str, *statements: str, zone: str = "UTC") -> list[Any]:
    """Run statements as the tables' owner, and return the rows of the last one."""
    options = f"-c app.user_role=superuser -c timezone={zone} -c citus.propagate_set_commands=local"
    connection = psycopg2.connect(make_dsn(**server.parameters(name, OWNER), options=options))
    try:
        with connection, connection.cursor() as cursor:
            # For the workers, if there are any: they are told only what a SET sets.
            for statement in ("SET LOCAL app.user_role = 'superuser'", *statements):
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def catalog(server: Server, name: str) -> set[str]:
    return {row[0] for row in as_owner(server, name, CATALOG)}


def contents(server: Server, name: str) -> dict[str, list[Any]]:
    """Return every row with its place in the file: a rewritten one would have moved."""
    return {
        table: as_owner(server, name, f"SELECT ctid, xmin, t.* FROM {table} t ORDER BY ctid")  # noqa: S608  constants
        for table in KEPT_TABLES
    }


def adopt(server: Server, name: str) -> None:
    migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)


@pytest.fixture
def installation(server: Server, empty_database: str) -> str:
    as_owner(server, empty_database, INSTALLATION)
    return empty_database


@pytest.fixture(scope="module")
def adopted(server: Server) -> Iterator[Database]:
    """Return one adopted installation for all, as the daemon's ordinary role sees it."""
    server.create_database(ADOPTED)
    as_owner(server, ADOPTED, INSTALLATION)
    adopt(server, ADOPTED)
    database = Database(DatabaseSettings(server.parameters(ADOPTED, APP)))
    yield database
    database.close()


def query(database: Database, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    def work(cursor: Cursor) -> list[tuple[Any, ...]]:
        cursor.execute(statement, arguments)
        return cursor.fetchall()

    return database.run(work)


def with_a_measurement(adopted: Database, host: str) -> UUID:
    row = Measurements.from_rows([(WATERMARK, 1, 0.5)])
    name = f"Truck at {host}"
    truck = adopted.run(lambda cursor: vehicles.add_vehicle(cursor, name, host, 8001, None))
    adopted.run(lambda cursor: measurements.add_measurements(cursor, truck, row))
    return truck


def test_an_existing_installation_keeps_every_definition_and_row(
    server: Server, installation: str
) -> None:
    before, rows = catalog(server, installation), contents(server, installation)
    adopt(server, installation)
    after = {line for line in catalog(server, installation) if "measurements_minute" not in line}
    assert before - after == set()
    assert {line.split(" ")[0] for line in after - before} == {"index", "relation"}
    added = ("alarms_log_open", "sync_journal_started", "sync_journal_failures",
             "sync_journal_vehicle_failures")  # fmt: skip
    assert all(any(name in line for name in added) for line in after - before)
    assert contents(server, installation) == rows


def test_an_adopted_installation_is_up_to_date(adopted: Database) -> None:
    migrate.require_current(adopted)


def test_an_installation_without_the_key_gets_it(server: Server, installation: str) -> None:
    as_owner(server, installation, "ALTER TABLE measurements DROP CONSTRAINT one_measurement")
    adopt(server, installation)
    (added,) = as_owner(
        server,
        installation,
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'measurements_vehicle_channel_time'",
    )
    assert "UNIQUE" in added[0]
    assert '(vehicle_id, channel_id, "time")' in added[0]


def test_an_installation_that_only_lets_customers_read_lets_the_daemon_in_too(
    server: Server, installation: str
) -> None:
    as_owner(
        server,
        installation,
        "SET row_security = off",
        *(f"DROP POLICY staff ON {table}" for table in ("vehicles", "measurements", "alarms_log")),
    )
    adopt(server, installation)
    database = Database(DatabaseSettings(server.parameters(installation, APP)))
    assert {vehicle.id for vehicle in database.run(loading.load_vehicles)} == {TRUCK_1, TRUCK_2}
    rows = Measurements.from_rows([(WATERMARK + timedelta(seconds=1), 1, 1.0)])
    assert database.run(lambda cursor: measurements.add_measurements(cursor, TRUCK_1, rows)) == 1
    database.close()


def test_an_installation_with_duplicate_measurements_is_refused_and_left_as_it_was(
    server: Server, installation: str
) -> None:
    as_owner(
        server,
        installation,
        "ALTER TABLE measurements DROP CONSTRAINT one_measurement",
        "INSERT INTO measurements (vehicle_id, channel_id, time, value)"
        " SELECT vehicle_id, channel_id, time, value FROM measurements LIMIT 1",
    )
    before = catalog(server, installation)
    with pytest.raises(MigrationFailed, match="two rows of one key"):
        adopt(server, installation)
    assert catalog(server, installation) == before


def test_the_daemon_reads_the_adopted_fleet(adopted: Database) -> None:
    (truck,) = adopted.run(lambda cursor: loading.load_vehicles(cursor, [TRUCK_1]))
    assert (truck.host, truck.port, truck.watermark) == ("10.8.0.1", 8001, WATERMARK)
    seen = {seen.id: seen.state for seen in adopted.run(lambda c: fleet_overview(c, 30.0))}
    assert seen[TRUCK_1] == "late"


def test_the_daemon_adds_rows_that_are_numbered_by_the_installations_sequence(
    adopted: Database,
) -> None:
    ((highest,),) = query(adopted, "SELECT max(id) FROM measurements")
    rows = Measurements.from_rows((WATERMARK + timedelta(seconds=n), 1, n / 3) for n in range(1, 4))

    def pull(cursor: Cursor) -> int:
        added = measurements.add_measurements(cursor, TRUCK_2, rows)
        store.advance_watermark(cursor, first_window(TRUCK_2, rows.times[-1]))
        return added

    assert adopted.run(pull) == 3
    assert query(
        adopted,
        "SELECT array_agg(id ORDER BY time), array_agg(value ORDER BY time) FROM measurements"
        " WHERE vehicle_id = %s::uuid",
        str(TRUCK_2),
    ) == [([highest + 1, highest + 2, highest + 3], [1 / 3, 2 / 3, 3 / 3])]
    assert adopted.run(lambda c: loading.load_vehicles(c, [TRUCK_2]))[0].watermark == rows.times[-1]


def test_the_daemon_makes_months_that_carry_the_keys_while_others_read(adopted: Database) -> None:
    with adopted.transaction() as reader:
        reader.execute(
            "SELECT count(*) FROM measurements JOIN vehicles ON vehicles.id = vehicle_id"
        )
        Partitions(adopted).ensure(
            datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 4, 5, tzinfo=UTC)
        )
    keys = query(
        adopted,
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c"
        " JOIN pg_inherits ON inhrelid = conrelid WHERE contype IN ('p', 'u', 'f')"
        " AND conrelid = 'measurements_2026_03'::regclass ORDER BY contype",
    )
    assert [row[0] for row in keys] == [
        "FOREIGN KEY (vehicle_id) REFERENCES vehicles(id)",
        'PRIMARY KEY (id, "time")',
        'UNIQUE (vehicle_id, channel_id, "time")',
    ]
    rows = Measurements.from_rows([(datetime(2026, 3, 31, 23, 59, tzinfo=UTC), 1, 1.0)])
    assert adopted.run(lambda c: measurements.add_measurements(c, TRUCK_1, rows)) == 1


def test_the_daemon_writes_journal_alarms_channels_and_quarantine(adopted: Database) -> None:
    triggered = datetime(2026, 2, 10, 11, tzinfo=UTC)
    resolved = Alarm(9007199254740993, 1, None, "Oil pressure low", triggered, WATERMARK)
    channels = [Channel(1, "Oil pressure", "kPa", 0.0, 1000.0), Channel(2, "Fuel", "l", 0.0, 90.0)]
    (truck,) = adopted.run(lambda cursor: loading.load_vehicles(cursor, [TRUCK_1]))
    report = CycleReport(
        vehicle=truck,
        started_at=WATERMARK + timedelta(seconds=30),
        finished_at=WATERMARK + timedelta(seconds=31),
        outcome=Outcome.ERROR,
        reason="/data: cut short",
        status=Status("2.0", db_ok=True),
    )

    def save(cursor: Cursor) -> tuple[int, int]:
        store.quarantine_rows(cursor, TRUCK_1, [BadRow("/data", "{}", "no channel")])
        written = store.save_alarms(cursor, TRUCK_1, [resolved])
        changed = store.save_channels(cursor, TRUCK_1, channels)
        record(cursor, report)
        return written, changed

    assert adopted.run(save) == (1, 2)
    assert query(adopted, "SELECT alarm_id, resolved_at FROM alarms_log") == [
        (9007199254740993, WATERMARK)
    ]
    assert query(adopted, "SELECT name, unit FROM channel_config ORDER BY channel_id") == [
        ("Oil pressure", "kPa"),
        ("Fuel", "l"),
    ]
    assert query(adopted, "SELECT error_msg FROM sync_journal ORDER BY id")[-1] == (
        "/data: cut short",
    )


@pytest.mark.parametrize("own", [True, False])
def test_alarms_may_lack_a_channel_in_a_table_of_ours_and_an_adopted_one_is_left_alone(
    server: Server, empty_database: str, own: bool
) -> None:
    if not own:
        column = "alarm_id bigint NOT NULL,\n    channel_id integer"
        as_owner(server, empty_database, INSTALLATION.replace(column, f"{column} NOT NULL"))
    adopt(server, empty_database)
    not_null = (
        "SELECT attnotnull FROM pg_attribute"
        " WHERE attrelid = 'public.alarms_log'::regclass AND attname = 'channel_id'"
    )
    assert as_owner(server, empty_database, not_null) == [(not own,)]


def test_an_address_that_is_unique_by_itself_cannot_be_taken_twice(adopted: Database) -> None:
    with pytest.raises(CommandError, match=r"10\.8\.0\.1 .*registered already"):
        adopted.run(lambda cursor: vehicles.add_vehicle(cursor, "Truck-03", "10.8.0.1", 8002, None))


def test_a_vehicle_is_not_removed_from_under_its_measurements(adopted: Database) -> None:
    truck = with_a_measurement(adopted, "10.8.0.3")
    with pytest.raises(CommandError, match="--with-measurements"):
        removal.remove_vehicles(adopted, [truck], with_measurements=False)
    assert len(adopted.run(lambda cursor: loading.load_vehicles(cursor, [truck]))) == 1


def test_a_vehicle_is_removed_together_with_its_measurements(adopted: Database) -> None:
    truck = with_a_measurement(adopted, "10.8.0.4")
    removals = removal.remove_vehicles(adopted, [truck], with_measurements=True)
    assert removals == [Removal(truck, 1, measurements_left=False)]
    assert adopted.run(lambda cursor: loading.load_vehicles(cursor, [truck])) == []


def test_a_tied_removal_that_meets_writers_does_not_lose_its_work(
    adopted: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    truck = with_a_measurement(adopted, "10.8.0.6")
    old = Measurements.from_rows([(WATERMARK, 1, 0.5)])
    new = Measurements.from_rows([(WATERMARK + timedelta(days=1), 1, 0.5)])
    watermark = "UPDATE vehicles SET last_sync_at = %s WHERE id = %s RETURNING 1"
    query(adopted, watermark, new.times[0], str(truck))
    lock = removal._lock
    tries: list[int] = []

    def pull_again(cursor: Cursor) -> int:
        cursor.execute("SET LOCAL statement_timeout = '1500ms'")
        return measurements.add_measurements(cursor, truck, old)

    def meet(cursor: Cursor, ids: Sequence[UUID]) -> list[UUID]:
        # A cycle is not held up; a backfill waits for a deleted row, and holds the vehicle's row.
        assert adopted.run(lambda c: measurements.add_measurements(c, truck, new)) == 1
        backfill = thread.submit(adopted.run, pull_again)
        while not query(adopted, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0]:
            assert not backfill.done()
        tries.append(len(tries))
        return lock(cursor, ids)

    monkeypatch.setattr(removal, "_lock", meet)
    with ThreadPoolExecutor(1) as thread:
        removed = removal.remove_vehicles(adopted, [truck], with_measurements=True)
    assert (removed, tries) == ([Removal(truck, 2, measurements_left=False)], [0])
    assert adopted.run(lambda cursor: loading.load_vehicles(cursor, [truck])) == []


def test_measurements_that_would_go_with_their_vehicle_are_not_lost_unasked(
    server: Server, installation: str
) -> None:
    adopt(server, installation)
    tie = "FOREIGN KEY (vehicle_id) REFERENCES vehicles (id) ON DELETE CASCADE"
    as_owner(
        server,
        installation,
        f"ALTER TABLE measurements {UNTIE}",
        f"ALTER TABLE measurements_2026_01 ADD {tie}",
        f"ALTER TABLE measurements_2026_02 ADD {tie}",
    )
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        truck = with_a_measurement(database, "10.8.0.7")
        with pytest.raises(CommandError, match="--with-measurements"):
            removal.remove_vehicles(database, [truck], with_measurements=False)
        count = "SELECT count(*) FROM measurements WHERE vehicle_id = %s::uuid"
        assert query(database, count, str(truck)) == [(1,)]
        (removed,) = removal.remove_vehicles(database, [truck], with_measurements=True)
        assert (removed.measurements_removed, removed.measurements_left) == (1, False)


def test_a_vehicle_of_an_adopted_installation_comes_back(server: Server, installation: str) -> None:
    adopt(server, installation)
    as_owner(
        server, installation, f"ALTER TABLE measurements {UNTIE}", "DELETE FROM vehicle_access"
    )
    with closing(Database(DatabaseSettings(server.parameters(installation, APP)))) as database:
        (before,) = database.run(lambda cursor: loading.load_vehicles(cursor, [TRUCK_1]))
        removal.remove_vehicles(database, [TRUCK_1], with_measurements=False)
        (left,) = leftovers.read_each(database, database.run(leftovers.find_all))
        assert (left.vehicle.name, left.measurements.rows) == ("Truck-01", 38)
        new = restoration.NewRegistration()
        database.run(lambda cursor: restoration.restore(cursor, left.vehicle, new))
        (after,) = database.run(lambda cursor: loading.load_vehicles(cursor, [TRUCK_1]))
    assert (after.name, after.host, after.port) == (before.name, before.host, before.port)
    assert after.watermark == before.watermark == WATERMARK


def test_a_vehicle_that_another_table_refers_to_is_kept_and_the_table_is_named(
    server: Server, adopted: Database
) -> None:
    truck = with_a_measurement(adopted, "10.8.0.5")
    statement = f"INSERT INTO vehicle_access VALUES ('{truck}', '{truck}')"  # noqa: S608  an id
    as_owner(server, ADOPTED, statement)
    with pytest.raises(CommandError, match="rows of vehicle_access refer to it"):
        removal.remove_vehicles(adopted, [truck], with_measurements=True)
    assert len(adopted.run(lambda cursor: loading.load_vehicles(cursor, [truck]))) == 1


@pytest.mark.parametrize("zone", ["Europe/Moscow", "America/New_York"])
def test_months_cut_at_local_midnight_are_continued_without_gap_or_overlap(
    server: Server, empty_database: str, zone: str
) -> None:
    as_owner(server, empty_database, INSTALLATION, zone=zone)
    adopt(server, empty_database)
    database = Database(DatabaseSettings(server.parameters(empty_database, APP)))
    Partitions(database).ensure(datetime(2025, 12, 5, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC))
    bounds = query(
        database,
        "SELECT bound[1]::timestamptz, bound[2]::timestamptz FROM (SELECT regexp_matches("
        "pg_get_expr(relpartbound, c.oid), $$FROM \\('(.*)'\\) TO \\('(.*)'\\)$$)"
        " FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid"
        " WHERE inhparent = 'measurements'::regclass) b(bound) ORDER BY 1",
    )
    database.close()
    assert len(bounds) == 4
    assert [end for _, end in bounds[:-1]] == [start for start, _ in bounds[1:]]


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("Europe/Moscow", datetime(2026, 2, 28, 22, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 1, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_row_between_two_midnights_gets_the_month_it_belongs_to(
    server: Server, empty_database: str, zone: str, moment: datetime
) -> None:
    as_owner(server, empty_database, INSTALLATION, zone=zone)
    adopt(server, empty_database)
    database = Database(DatabaseSettings(server.parameters(empty_database, APP)))
    Partitions(database).ensure(moment, moment)
    row = Measurements.from_rows([(moment, 1, 0.5)])
    assert database.run(lambda cursor: measurements.add_measurements(cursor, TRUCK_2, row)) == 1
    database.close()


def test_two_daemons_fill_an_adopted_month_at_once(adopted: Database) -> None:
    start = datetime(2026, 1, 10, tzinfo=UTC)
    rows = Measurements.from_rows(
        (start + timedelta(seconds=n), n % 5, 0.1 * n) for n in range(500)
    )

    def write(_number: int) -> int:
        return adopted.run(lambda cursor: measurements.add_measurements(cursor, TRUCK_1, rows))

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(write, range(2))) == 500


def test_the_bytes_of_a_table_without_months_are_told(server: Server, empty_database: str) -> None:
    as_owner(
        server,
        empty_database,
        "CREATE TABLE measurements (vehicle_id uuid NOT NULL, channel_id int NOT NULL,"
        " time timestamptz NOT NULL, value float8 NOT NULL,"
        " PRIMARY KEY (vehicle_id, channel_id, time))",
        "INSERT INTO measurements SELECT gen_random_uuid(), 1, now(), n"
        " FROM generate_series(1, 10000) n",
    )
    migrate.migrate(DatabaseSettings(server.parameters(empty_database, OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters(empty_database)))) as database:
        (stored,) = database.run(storage).months
    assert (stored.name, stored.begins) == ("measurements", None)
    assert 10_000 * 100 < stored.total_bytes < 10_000 * 300
