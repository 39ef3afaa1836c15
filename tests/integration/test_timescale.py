"""What only a real TimescaleDB shows: chunks, compression, late rows, retention, adoption.

The tests of test_conversion and test_hidden_table run over a hypertable, too, where the server has
the extension: make test ARGS="--postgres-bin=/usr/lib/postgresql/15/bin -k timescale".
"""

from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import UUID

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn

from fleetsyncd.database import measurements, minutes, vehicles
from fleetsyncd.database.compression import Compression
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.schema.hidden import conversion, hypertable, obstacles
from fleetsyncd.database.views.estimates import count_measurements
from fleetsyncd.database.views.storage import storage
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.errors import MigrationFailed
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.telemetry import Measurements
from fleetsyncd.times import month_of, utc_now
from tests.hidden import AVAILABLE, QUICK, hide
from tests.integration.test_adoption import as_owner
from tests.integration.test_minutes import rows, set_watermark, store_rows
from tests.integration.test_retention import query

DAY = timedelta(days=1)
FILL = (
    "INSERT INTO measurements SELECT %s::uuid, c, t, round((50 + 20 * sin(extract(epoch FROM t)"
    " / 600 + c))::numeric, 2) FROM generate_series(%s::timestamptz, %s, interval '1 s') t,"
    " generate_series(1, %s) c"
)
INTAKE = (
    "INSERT INTO fleetsync.vehicle_state (vehicle_id, intake_day, day_rows, day_seconds)"
    " VALUES (%s::uuid, current_date, 500000, 43200)"
)
ALL = "SELECT count(*), sum(value)::numeric(20, 2) FROM measurements"
COMPRESSED = "SELECT count(*) FILTER (WHERE is_compressed) FROM fleetsync.hidden_parts()"


@pytest.fixture(autouse=True)
def available(server: Server) -> None:
    """Skip where the server has no TimescaleDB."""
    with closing(server.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(AVAILABLE)
        if not cursor.fetchall():
            pytest.skip("the server has no TimescaleDB")


@pytest.fixture
def database_name(server: Server, database_name: str) -> str:
    """Return a database whose measurements are in a hypertable."""
    hide(server, database_name)
    return database_name


@pytest.fixture
def truck(database: Database) -> UUID:
    """Return a vehicle with a day of measurements of two channels, eight days ago."""
    made = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.0.0.1", 8001, None))
    start = utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - 9 * DAY
    query(database, FILL, str(made), start, start + DAY - timedelta(seconds=1), 2)
    return made


def compress(database: Database) -> tuple[list[str], list[str]]:
    told: list[str] = []
    warned: list[str] = []
    list(Compression(database, 7, tell=told.append, warn=warned.append).steps())
    return told, warned


def add(database: Database, truck: UUID, ago: timedelta, channel: int, count: int) -> int:
    """Store late rows, each half a second from what is there."""
    start = utc_now().replace(hour=12, minute=0, second=0, microsecond=500_000) - ago
    rows = [(start + timedelta(seconds=n), channel, 1.0) for n in range(count)]
    page = Measurements.from_rows(rows)
    return database.run(lambda c: measurements.add_measurements(c, truck, page))


@pytest.mark.usefixtures("truck")
def test_a_row_takes_at_most_eleven_bytes_after_seven_days(database: Database) -> None:
    before = query(database, ALL)
    told, warned = compress(database)
    assert (len(told), warned) == (1, [])
    assert compress(database) == ([], [])
    (stored,) = [table for table in database.run(storage).tables if table.is_measurements]
    assert stored.row_bytes is not None
    assert 1 < stored.row_bytes <= 11
    assert query(database, ALL) == before


def test_growth_is_that_of_rows_that_are_compressed_also_early_in_a_month(
    database: Database, truck: UUID
) -> None:
    compress(database)
    now = utc_now()
    query(database, FILL, str(truck), now - timedelta(hours=20), now, 2)
    query(database, INTAKE, str(truck))
    found = database.run(storage)
    assert found.rows_a_day == pytest.approx(1_000_000)
    assert found.bytes_a_day <= 11 * 1_000_000
    assert found.passing_bytes > 100 * 2 * 72_000


def test_late_rows_into_a_compressed_chunk_are_stored_once_and_compressed_again(
    database: Database, truck: UUID
) -> None:
    compress(database)
    assert [add(database, truck, 9 * DAY, 1, 5_000) for _ in range(2)] == [5_000, 0]
    # A few late rows are left for later; of many, the chunk is written anew.
    assert len(compress(database)[0]) == 1
    (stored,) = [table for table in database.run(storage).tables if table.is_measurements]
    assert stored.row_bytes is not None
    assert stored.row_bytes <= 11
    assert add(database, truck, 9 * DAY, 1, 5_000) == 0
    assert query(database, ALL)[0][0] == 2 * 86_400 + 5_000


def test_rows_of_a_compressed_chunk_are_deleted_however_many_they_are(
    database: Database, truck: UUID
) -> None:
    compress(database)
    delete = "DELETE FROM measurements WHERE vehicle_id = %s::uuid AND value > 0"
    query(database, delete, str(truck))
    assert query(database, ALL)[0][0] == 0


def test_a_chunk_in_use_is_named_and_the_next_one_compressed(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    add(database, truck, 12 * DAY, 1, 10)
    dsn = make_dsn(**server.parameters(database_name, OWNER))
    parts = "SELECT part FROM fleetsync.hidden_parts() ORDER BY begins"
    oldest = query(database, parts)[0][0]
    with closing(psycopg2.connect(dsn)) as busy, busy.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {oldest} IN ACCESS SHARE MODE")
        cursor.execute(f"LOCK TABLE {oldest} IN ROW EXCLUSIVE MODE")
        told, warned = compress(database)
    assert len(told) == 1
    assert oldest not in told[0]
    assert [oldest in text for text in warned] == [True]
    assert len(compress(database)[0]) == 1


def test_a_chunk_that_cannot_be_compressed_keeps_no_other_from_it(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    add(database, truck, 12 * DAY, 1, 10)
    oldest = query(database, "SELECT part FROM fleetsync.hidden_parts() ORDER BY begins")[0][0]
    taken = """
        DO $$ BEGIN EXECUTE (
            SELECT format('CREATE TABLE _timescaledb_internal.compress_hyper_%s_%s_chunk ()',
                          h.compressed_hypertable_id, s.last_value + 1)
            FROM _timescaledb_catalog.hypertable h, _timescaledb_catalog.chunk_id_seq s
            WHERE h.table_name = 'samples'); END $$"""
    server.execute(sql.SQL(taken), database=database_name)
    done = query(database, "SELECT chunk, failed FROM fleetsync.compress_chunk(7)")
    assert done[0][0] not in {None, oldest}
    assert done[0][1].startswith(f"{oldest}: ")
    assert len(compress(database)[0]) == 1, "the next round compresses it"


@pytest.mark.parametrize("arguments", ["text", "regclass", "regclass, timestamptz"])
def test_no_function_of_others_is_run_with_the_owners_rights(
    server: Server, database_name: str, database: Database, truck: UUID, arguments: str
) -> None:
    add(database, truck, 12 * DAY, 1, 10)
    trap = sql.SQL(
        f"CREATE FUNCTION public.compress_chunk({arguments}) RETURNS text LANGUAGE sql AS"
        " 'SELECT ''caught''::text'"
    )
    server.execute(trap, database=database_name)
    told, warned = compress(database)
    assert told == []
    assert "stands beside TimescaleDB's function" in warned[0]


def test_whoever_may_create_functions_beside_those_of_the_extension_is_in_the_way(
    server: Server, database_name: str
) -> None:
    grant = sql.SQL("GRANT CREATE ON SCHEMA public TO PUBLIC, fleet_app")
    server.execute(grant, database=database_name)
    with closing(Database(DatabaseSettings(server.parameters(database_name, OWNER)))) as owner:
        told = [str(each) for each in owner.run(lambda c: list(hypertable.misfits(c)))]
    assert len(told) == 2
    for role, text in zip(("PUBLIC", APP), told, strict=True):
        assert f"{role} may create functions in the schema public" in text
        assert f"REVOKE CREATE ON SCHEMA public FROM {role}" in text


def test_the_daemons_role_reaches_no_chunk(database: Database, truck: UUID) -> None:
    compress(database)
    relations = query(
        database,
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = '_timescaledb_internal'::regnamespace"
        " AND relname LIKE ANY (ARRAY['%%hyper%%'])",
    )
    assert len(relations) >= 2
    for (relation,) in relations:
        allowed = "SELECT has_table_privilege(%s, %s, 'SELECT, INSERT, UPDATE, DELETE')"
        assert query(database, allowed, APP, relation) == [(False,)], (relation, truck)


def test_expired_months_are_dropped_by_their_chunks(database: Database, truck: UUID) -> None:
    old = utc_now() - month_of(utc_now()) + 70 * DAY
    assert add(database, truck, old, 1, 10) == 10
    compress(database)
    told: list[str] = []
    keep = RetentionPolicy(None, None, 1)
    retention = Retention(database, keep, at_once=True, tell=told.append, warn=told.append)
    list(retention.steps(utc_now))
    assert len([text for text in told if "dropped partition measurements_" in text]) == 1
    oldest = query(database, "SELECT min(time) FROM measurements")[0][0]
    assert oldest >= month_of(month_of(utc_now()) - DAY)
    assert query(database, ALL)[0][0] == 2 * 86_400


def test_minutes_look_at_the_chunks_of_their_time_only(database: Database, truck: UUID) -> None:
    """With hourly chunks there are thousands, and all would be planned for each channel."""
    for days in range(12, 30):
        add(database, truck, days * DAY, 1, 1)
    start = utc_now().replace(minute=0, second=0, microsecond=0) - 2 * DAY
    store_rows(database, truck, rows(start, 1800))
    set_watermark(database, truck, start + timedelta(seconds=1800))
    query(
        database,
        "INSERT INTO fleetsync.minute_state VALUES (%s::uuid, %s, %s)",
        *(str(truck), start, start),
    )

    def keep(cursor: Cursor) -> int:
        assert minutes.keep(cursor, [truck]).rows == 2 * 1500
        cursor.execute(
            "SELECT count(DISTINCT c.oid) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relname ~ '^_hyper_'"
        )
        return int(cursor.fetchall()[0][0])

    assert query(database, "SELECT count(*) FROM fleetsync.hidden_ranges()")[0][0] >= 20
    assert database.run(keep) <= 2
    told = "SELECT count(*), sum(count) FROM measurements_minute"
    assert query(database, told) == [(2 * 25, 2 * 1500)]


def test_new_chunks_have_the_length_that_is_named(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    owner = DatabaseSettings(server.parameters(database_name, OWNER))
    hours = timedelta(hours=6)
    conversion.change(owner, lambda c: hypertable.change(c, hours), QUICK)
    add(database, truck, 3 * DAY, 1, 1)
    lengths = "SELECT ends - begins FROM fleetsync.hidden_parts() ORDER BY begins"
    assert [length for (length,) in query(database, lengths)] == [DAY, hours]


@pytest.mark.parametrize(("count", "hours"), [(0, 24), (10, 24), (11, 12), (80, 3), (100, 1)])
def test_chunks_shrink_as_the_fleet_grows(database: Database, count: int, hours: int) -> None:
    query(
        database,
        "INSERT INTO vehicles (name, vpn_ip) SELECT 'T' || n, inet '10.1.0.0' + n"
        " FROM generate_series(1, %s) n",
        count,
    )
    assert database.run(hypertable.usual_chunk) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            "ALTER TABLE measurements SET (timescaledb.compress)",
            "a columnstore, which takes no row",
        ),
        ("SELECT", "is a hypertable without the unique key"),
    ],
)
def test_a_hypertable_of_others_is_refused_with_its_remedy_before_anything_is_changed(
    server: Server, empty_database: str, made: str, told: str
) -> None:
    server.execute(sql.SQL("CREATE EXTENSION timescaledb"), database=empty_database)
    as_owner(
        server,
        empty_database,
        "CREATE TABLE measurements (vehicle_id uuid NOT NULL, channel_id int NOT NULL,"
        " time timestamptz NOT NULL, value float8 NOT NULL)",
        "SELECT create_hypertable('measurements', by_range('time'))",
        made,
    )
    owner = DatabaseSettings(server.parameters(empty_database, OWNER))
    with pytest.raises(MigrationFailed, match=f"nothing was changed.*\\n.*{told}"):
        migrate.migrate(owner, APP)
    assert as_owner(server, empty_database, "SELECT to_regclass('public.vehicles')") == [(None,)]


def test_the_remedy_for_a_hypertable_of_others_brings_its_rows(
    server: Server, empty_database: str
) -> None:
    name = empty_database
    server.execute(sql.SQL("CREATE EXTENSION timescaledb"), database=name)
    as_owner(
        server,
        name,
        "CREATE TABLE measurements (vehicle_id uuid NOT NULL, channel_id int NOT NULL,"
        " time timestamptz NOT NULL, value float8 NOT NULL)",
        "SELECT create_hypertable('measurements', by_range('time'))",
        "ALTER TABLE measurements SET (timescaledb.compress)",
        "INSERT INTO measurements SELECT gen_random_uuid(), 1, now() - n * interval '40 days', 1"
        " FROM generate_series(1, 9) n",
    )
    with pytest.raises(MigrationFailed) as refused:
        migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)
    remedy = next(line for line in str(refused.value).splitlines() if "columnstore" in line)
    away = remedy.split("level security: ")[1].split(", run ")[0]
    copy = remedy.split("copy what is wanted with ")[1]
    as_owner(server, name, away)
    migrate.migrate(DatabaseSettings(server.parameters(name, OWNER)), APP)
    hide(server, name)
    # As the remedy says, and without what as_owner sets.
    connection = psycopg2.connect(make_dsn(**server.parameters(name, OWNER)))
    with closing(connection) as owner, owner, owner.cursor() as cursor:
        cursor.execute(copy)
        assert cursor.rowcount == 9


def test_a_hypertable_with_the_key_is_adopted_as_a_table(
    server: Server, empty_database: str
) -> None:
    server.execute(sql.SQL("CREATE EXTENSION timescaledb"), database=empty_database)
    as_owner(
        server,
        empty_database,
        "CREATE TABLE measurements (vehicle_id uuid NOT NULL, channel_id int NOT NULL,"
        " time timestamptz NOT NULL, value float8 NOT NULL,"
        " PRIMARY KEY (vehicle_id, channel_id, time))",
        "SELECT create_hypertable('measurements', by_range('time'))",
    )
    migrate.migrate(DatabaseSettings(server.parameters(empty_database, OWNER)), APP)
    with closing(Database(DatabaseSettings(server.parameters(empty_database)))) as database:
        truck = database.run(lambda c: vehicles.add_vehicle(c, "T", "10.0.0.1", 8001, None))
        assert [add(database, truck, DAY, 1, 3) for _ in range(2)] == [3, 0]
        query(database, FILL, str(truck), utc_now() - timedelta(hours=30), utc_now(), 2)
        (stored,) = [table for table in database.run(storage).tables if table.is_measurements]
        assert stored.rows == pytest.approx(2 * 108_000, rel=0.3)
        assert stored.row_bytes is not None
        assert 80 < stored.row_bytes < 200
        as_owner(server, empty_database, "ANALYZE measurements")
        ids = [truck]
        counted = database.run(partial(count_measurements, ids=ids, exact_up_to=1_000))
        assert counted.rows == pytest.approx(2 * 108_000, rel=0.3)


def test_nothing_is_in_the_way_of_a_new_installation(server: Server, empty_database: str) -> None:
    owner = DatabaseSettings(server.parameters(empty_database, OWNER))
    migrate.migrate(owner, APP)
    with closing(Database(owner)) as database:
        (found,) = database.run(obstacles.of_a_hypertable)
        assert found.remedy == "as a superuser: CREATE EXTENSION timescaledb"
        server.execute(sql.SQL("CREATE EXTENSION timescaledb"), database=empty_database)
        database.close()
        assert database.run(obstacles.of_a_hypertable) == []
