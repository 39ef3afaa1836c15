"""What makes the hidden table a hypertable of TimescaleDB, whose old chunks are compressed."""

from collections.abc import Iterator
from datetime import timedelta

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.hidden.layout import TABLE

OLDEST_VERSION = (2, 18)
"""The first whose compressed chunks take late rows with ON CONFLICT at little cost."""
VEHICLE_HOURS = 240
"""The most vehicles times hours of one chunk: while it is compressed, half a minute at 1 Hz and 18
channels, late rows of that time wait."""
CHUNK_HOURS = (24, 12, 6, 3, 1)
_EXTENSION = """
SELECT coalesce(e.extversion, a.default_version), e.extversion IS NOT NULL,
    coalesce(current_setting('timescaledb.license', true), ''),
    quote_ident(e.extnamespace::regnamespace::name)
FROM pg_available_extensions a LEFT JOIN pg_extension e ON e.extname = a.name
WHERE a.name = 'timescaledb'
"""
_MAY_CREATE = """
SELECT n.oid::regnamespace::text, coalesce(r.rolname, 'PUBLIC')
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
CROSS JOIN LATERAL aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE e.extname = 'timescaledb' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
  AND NOT coalesce(r.rolsuper, false) AND coalesce(r.rolname <> current_user, true)
ORDER BY 2
"""
_HAS_HYPERTABLES = "SELECT to_regclass('timescaledb_information.hypertables') IS NOT NULL"
_ADOPTED = """
SELECT compression_enabled, EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = to_regclass('public.measurements') AND i.indisunique
      AND i.indpred IS NULL AND (
        SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
        WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]))
            = '{channel_id,time,vehicle_id}')
FROM timescaledb_information.hypertables
WHERE hypertable_schema = 'public' AND hypertable_name = 'measurements'
"""
AWAY = (
    "ALTER TABLE public.measurements RENAME TO measurements_hypertable, run"
    " `fleetsyncd migrate --timescale`, and copy what is wanted with SET app.user_role ="
    " 'superuser'; INSERT INTO public.measurements SELECT vehicle_id, channel_id, time, value FROM"
    " public.measurements_hypertable"
)
"""What makes room for a table where measurements are kept in parts that are not partitions."""
_VEHICLES = "SELECT count(*) FROM public.vehicles"
UPGRADE = "upgrade it, then as a superuser ALTER EXTENSION timescaledb UPDATE"


def misfits(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what is missing of the extension, and who may take its functions' place."""
    cursor.execute(_EXTENSION)
    rows = cursor.fetchall()
    if not rows:
        text = "the server has no TimescaleDB"
        yield Misfit(text, "install its package on the server and set shared_preload_libraries")
        return
    ((version, is_created, licence, _schema),) = rows
    if _number(version) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield Misfit(f"TimescaleDB {version} is older than {oldest}", UPGRADE)
    if not is_created:
        text = "this database lacks the extension timescaledb"
        yield Misfit(text, "as a superuser: CREATE EXTENSION timescaledb")
    elif licence == "apache":
        yield Misfit(
            "timescaledb.license is apache, under which nothing can be compressed",
            "install the community edition, and as a superuser ALTER SYSTEM SET"
            " timescaledb.license = 'timescale'; SELECT pg_reload_conf()",
        )
    cursor.execute(_MAY_CREATE)
    for schema, role in cursor.fetchall():
        yield Misfit(
            f"{role} may create functions in the schema {schema}, where TimescaleDB's are:"
            " the owner would run them for these",
            f"as its owner: REVOKE CREATE ON SCHEMA {schema} FROM {role}",
        )


def adopted_misfits(cursor: Cursor) -> Iterator[Misfit]:
    """Yield why a hypertable of others cannot be taken over as it is.

    Without a columnstore and with the key, it is a table like any other.
    """
    cursor.execute(_HAS_HYPERTABLES)
    if cursor.fetchall() != [(True,)]:
        return
    cursor.execute(_ADOPTED)
    for has_columnstore, has_key in cursor.fetchall():
        if has_columnstore:
            text = "public.measurements is a hypertable with a columnstore, which takes no row"
            yield Misfit(f"{text} level security", AWAY)
        elif not has_key:
            text = "public.measurements is a hypertable without the unique key"
            key = "(vehicle_id, channel_id, time)"
            yield Misfit(text, f"CREATE UNIQUE INDEX ON public.measurements {key}")


def _number(version: str) -> tuple[int, ...]:
    """Return major and minor version; 2.18.0-dev is 2.18."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def usual_chunk(cursor: Cursor) -> timedelta:
    """Return how much time one chunk holds, by the size of the fleet."""
    cursor.execute(_VEHICLES)
    ((vehicles,),) = cursor.fetchall()
    fitting = (each for each in CHUNK_HOURS if each * vehicles <= VEHICLE_HOURS)
    return timedelta(hours=next(fitting, CHUNK_HOURS[-1]))


def change(cursor: Cursor, chunk: timedelta) -> str:
    """Return SQL that gives chunks another length from now on; "" for a plain table."""
    cursor.execute("SELECT quote_ident(fleetsync.timescale_schema())")
    ((schema,),) = cursor.fetchall()
    if schema is None:
        return ""
    seconds = round(chunk.total_seconds())
    return f"SELECT {schema}.set_chunk_time_interval('{TABLE}', interval '{seconds} s')"


def create(cursor: Cursor, chunk: timedelta) -> str:
    """Return SQL that makes the hidden table, which is empty, a hypertable."""
    cursor.execute(_EXTENSION)
    schema = cursor.fetchall()[0][3]
    seconds = round(chunk.total_seconds())
    return f"""
SELECT {schema}.create_hypertable('{TABLE}', {schema}.by_range('time', interval '{seconds} s'),
    create_default_indexes => false);
ALTER TABLE {TABLE} SET (timescaledb.compress, timescaledb.compress_orderby = '"time"',
    timescaledb.compress_segmentby = 'vehicle_id, channel_id');
"""
