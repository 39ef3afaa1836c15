"""Checks of the database, one function each; a finding names what mends it. Changes nothing."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from fleetsyncd.database import pooler, replicas
from fleetsyncd.database.connect_errors import WANT_WRITABLE
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import (
    adoption,
    backups,
    grants,
    indexes,
    migrate,
    partition_checks,
    preconditions,
    rehearsal,
)
from fleetsyncd.database.schema.distribution import health
from fleetsyncd.database.schema.hidden import hypertable
from fleetsyncd.database.schema.preconditions import OLDEST_SERVER
from fleetsyncd.database.schema.row_security import GUARDED, table_security
from fleetsyncd.errors import DatabaseError, DatabaseLost, PoolerUnfit
from fleetsyncd.findings import Finding, Level, fault, ok, warning

CLOCK_SEC = 2.0
"""Clocks that are set by NTP differ by far less."""
READ_ITS_LOG = "read the server's log"
MIGRATE = "run `fleetsyncd migrate` as the tables' owner, with DB_APP_ROLE set to the daemon's role"
_SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
    inet_client_addr() IS NULL OR inet_client_addr() <<= ANY ('{127.0.0.0/8,::1}'::inet[]),
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
"""
_ROLE = """
SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user
"""
# Where the setting comes from: of the role in this database, of the role, or of the database.
_READ_ONLY = """
SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
    (SELECT CASE WHEN setrole = 0 THEN 'DATABASE ' || quote_ident(current_database())
                 ELSE 'ROLE ' || quote_ident(current_user) END
            || CASE WHEN setrole <> 0 AND setdatabase <> 0
                    THEN ' IN DATABASE ' || quote_ident(current_database()) ELSE '' END
     FROM pg_db_role_setting
     WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
       AND EXISTS (SELECT FROM unnest(setconfig) setting
                   WHERE setting ~ '^default_transaction_read_only=')
     ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC LIMIT 1)
"""


def run_checks(
    database: Database, pool_size: int, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """Yield the findings of all checks; they end at the first that cannot be run.

    If none is a fault, all that a cycle writes is tried at last.
    """
    faults = False
    for finding in _look(database, pool_size, now):
        faults = faults or finding.level is Level.FAULT
        yield finding
    if faults:
        return
    try:
        yield from rehearsal.rehearse(database, now())
    except DatabaseError as error:
        yield fault(rehearsal.CHECK, error.reason, error.hint or READ_ITS_LOG)


def _look(database: Database, pool_size: int, now: Callable[[], datetime]) -> Iterator[Finding]:
    try:
        yield from database.run(partial(check_server, pool_size))
        yield from _pooler(database)
        yield from _all(database, _writable)
        yield database.run(_role)
        yield database.run(partial(check_clock, now))
        yield from _all(database, _misfits)
        missing = migrate.missing_migrations(database)
    except DatabaseLost as error:
        yield fault("database", error.reason, error.hint or READ_ITS_LOG)
        return
    except DatabaseError as error:
        yield fault("schema", error.reason, error.hint or MIGRATE)
        return
    if missing:
        yield fault("schema", f"lacks {len(missing)} migration(s), first {missing[0]}", MIGRATE)
        return
    yield from _schema(database)
    yield database.run(_rights)
    yield from database.run(_row_level_security)
    yield from _all(database, partial(partition_checks.check_partitions, now))
    yield database.run(backups.check_backups)
    try:
        yield from _all(database, health.check_cluster)
    except DatabaseError as error:
        yield fault(health.CHECK, error.reason, error.hint or READ_ITS_LOG)


def _schema(database: Database) -> Iterator[Finding]:
    newer = migrate.newer_schema(database)
    yield warning("schema", newer, migrate.UPGRADE) if newer else ok("schema", "up to date")
    for index in database.run(indexes.missing_indexes):
        what = f"the index {index.name} of {index.table} is missing"
        if index.unique:
            yield fault("schema", f"{what}: no row can be stored", MIGRATE)
        else:
            yield warning("schema", f"{what}: queries read whole tables", MIGRATE)


def _all(database: Database, check: Callable[[Cursor], Iterator[Finding]]) -> list[Finding]:
    return database.run(lambda cursor: list(check(cursor)))


def check_server(pool_size: int, cursor: Cursor) -> list[Finding]:
    """Check the server's version, the connection's encryption, and how many it allows."""
    cursor.execute(_SERVER)
    number, version, local, encrypted, connections = cursor.fetchall()[0]
    findings = [ok("database", f"PostgreSQL {version}")]
    if number < OLDEST_SERVER:
        findings = [
            warning("database", f"PostgreSQL {version} is old", "upgrade it to 14 or newer")
        ]
    if not local and not encrypted:
        findings.append(_unencrypted(cursor.connection.info.dsn_parameters.get("sslmode")))
    if pool_size > connections:
        text = f"DB_POOL_SIZE {pool_size} is more than the {connections} connections it allows"
        findings.append(warning("database", text, "lower DB_POOL_SIZE or raise max_connections"))
    return findings


def _unencrypted(sslmode: str | None) -> Finding:
    """Return what is to be said of a connection that another host may listen to.

    Addresses do not tell who may: a container's network on one host looks like a LAN full of
    others, and a tunnel like the open network. So whoever knows it says it: `sslmode=disable` is
    never libpq's default.
    """
    if sslmode == "disable":
        return ok("database", "not encrypted, as sslmode=disable asks for")
    return warning(
        "database",
        "data and password cross the network unencrypted",
        "set DATABASE_URL with ?sslmode=verify-full; if nobody else is in that network,"
        " PGSSLMODE=disable says so",
    )


def _pooler(database: Database) -> Iterator[Finding]:
    """Try whether locks hold: a daemon's share of the fleet rests on them."""
    try:
        pooler.require_own_backend(database)
    except PoolerUnfit as error:
        yield fault("pooler", error.reason, str(error.hint))


def _writable(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(_READ_ONLY)
    in_recovery, read_only, origin = cursor.fetchall()[0]
    if in_recovery:
        text = "this server is a standby: it can only be read"
        yield fault("database", text, WANT_WRITABLE)
    elif read_only:
        whose = f"ALTER {origin}" if origin else "ALTER SYSTEM"
        text = "default_transaction_read_only is on: nothing can be written"
        reload = "" if origin else "; SELECT pg_reload_conf()"
        yield fault("database", text, f"{whose} RESET default_transaction_read_only{reload}")


def _misfits(cursor: Cursor) -> Iterator[Finding]:
    for misfit in (
        *preconditions.encoding_misfit(cursor),
        *adoption.misfits(cursor),
        *hypertable.adopted_misfits(cursor),
    ):
        yield fault("tables", misfit.text, f"as owner: {misfit.remedy}")
    for misfit in adoption.narrow_ids(cursor):
        yield warning("tables", misfit.text, f"as owner: {misfit.remedy}")


def _role(cursor: Cursor) -> Finding:
    cursor.execute(_ROLE)
    name, unrestricted = cursor.fetchall()[0]
    if unrestricted:
        text = f"{name} is a superuser or has BYPASSRLS: a daemon should be an ordinary role"
        return warning("role", text, f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS")
    return ok("role", f"{name}, an ordinary role")


def check_clock(now: Callable[[], datetime], cursor: Cursor) -> Finding:
    """Compare the server's clock with this host's."""
    before = now()
    cursor.execute("SELECT clock_timestamp()")
    after = now()
    database_time: datetime = cursor.fetchall()[0][0]
    offset = (database_time - (before + (after - before) / 2)).total_seconds()
    if abs(offset) > CLOCK_SEC:
        text = f"the database's clock is {offset:+.0f} s off this host's"
        return fault("clock", text, "synchronise both by NTP: `timedatectl status` on each")
    return ok("clock", f"{abs(offset):.1f} s off the database's")


def _rights(cursor: Cursor) -> Finding:
    missing = grants.missing_grants(cursor)
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        return fault("rights", f"the daemon's role lacks {named}", MIGRATE)
    enough = "the daemon's role has what it needs"
    former = grants.former_grants(cursor)
    if not former:
        return ok("rights", enough)
    needed_by = replicas.older_daemons(cursor, grants.DOOR)
    if needed_by:
        return ok("rights", f"{enough}, and {former} for older daemons: {', '.join(needed_by)}")
    return ok("rights", f"{enough}; {former} was for older daemons only: REVOKE it")


def _row_level_security(cursor: Cursor) -> list[Finding]:
    findings = []
    for table in table_security(cursor):
        if table.refused:
            text = (
                f"no policy of {table.table} lets app.user_role = superuser"
                f" {', '.join(table.refused)} its rows"
            )
            findings.append(fault("row level security", text, f"as owner: {table.remedy}"))
        elif not table.forced and table.table in GUARDED:
            text = f"{table.table} does not force it: owners of vehicles may see them all"
            remedy = (
                f"as owner: ALTER TABLE {table.table} ENABLE ROW LEVEL SECURITY,"
                " FORCE ROW LEVEL SECURITY"
            )
            findings.append(warning("row level security", text, remedy))
    return findings or [ok("row level security", "the daemon sees and writes every row")]
