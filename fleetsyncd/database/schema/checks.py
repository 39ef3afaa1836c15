"""Checks of the database, one function each; a finding names what mends it. Changes nothing."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from fleetsyncd.database.hints import CHECK_CONNECTION
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import grants, migrate
from fleetsyncd.errors import DatabaseError, DatabaseLost
from fleetsyncd.findings import Finding, fault, ok, warning
from fleetsyncd.times import month_of, next_month

OLDEST_SERVER = 140_000
CLOCK_SEC = 2.0
"""Clocks that are set by NTP differ by far less."""
GUARDED = ("alarms_log", "measurements", "vehicles")
MIGRATE = "run `fleetsyncd migrate` as the tables' owner, with DB_APP_ROLE set to the daemon's role"
_SERVER = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
    getdatabaseencoding(),
    inet_client_addr() IS NULL OR inet_client_addr() <<= ANY ('{127.0.0.0/8,::1}'::inet[]),
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
"""
_ROLE = """
SELECT current_user::text, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user
"""
_GUARDS = """
SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity,
    NOT c.relrowsecurity OR EXISTS (
        SELECT FROM pg_policies p
        WHERE p.schemaname = 'public' AND p.tablename = c.relname AND p.cmd = 'ALL'
          AND p.qual LIKE '%%app.user_role%%superuser%%'
          AND EXISTS (SELECT FROM unnest(p.roles) r
                      WHERE r = 'public' OR pg_has_role(r, 'USAGE')))
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%s)
"""
_MONTHS = """
SELECT relkind = 'p', ARRAY(
    SELECT ARRAY[bound[1], bound[2]]::timestamptz[]
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(child.relpartbound, child.oid),
        'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') bound
    WHERE inhparent = parent.oid AND bound IS NOT NULL)
FROM pg_class parent WHERE oid = 'public.measurements'::regclass
"""


def run_checks(
    database: Database, pool_size: int, now: Callable[[], datetime]
) -> Iterator[Finding]:
    """Yield the findings of all checks; they end at the first that cannot be run."""
    try:
        yield from database.run(partial(_server, pool_size))
        yield database.run(_role)
        yield database.run(partial(_clock, now))
        missing = migrate.missing_migrations(database)
    except DatabaseLost as error:
        yield fault("database", error.reason, error.hint or CHECK_CONNECTION)
        return
    except DatabaseError as error:
        yield fault("schema", error.reason, error.hint or MIGRATE)
        return
    if missing:
        yield fault("schema", f"lacks {len(missing)} migration(s), first {missing[0]}", MIGRATE)
        return
    yield ok("schema", "up to date")
    yield database.run(_rights)
    yield from database.run(_row_level_security)
    yield database.run(partial(_months, now))


def _server(pool_size: int, cursor: Cursor) -> list[Finding]:
    cursor.execute(_SERVER)
    number, version, encoding, local, encrypted, connections = cursor.fetchall()[0]
    findings = [ok("database", f"PostgreSQL {version}")]
    if number < OLDEST_SERVER:
        findings = [
            warning("database", f"PostgreSQL {version} is old", "upgrade it to 14 or newer")
        ]
    if encoding != "UTF8":
        text = f"its encoding is {encoding}: names of other languages cannot be stored"
        findings.append(fault("database", text, "move to a database WITH ENCODING 'UTF8'"))
    if not local and not encrypted:
        text = "data and password cross the network unencrypted"
        findings.append(warning("database", text, "set DATABASE_URL with ?sslmode=verify-full"))
    if pool_size > connections:
        text = f"DB_POOL_SIZE {pool_size} is more than the {connections} connections it allows"
        findings.append(warning("database", text, "lower DB_POOL_SIZE or raise max_connections"))
    return findings


def _role(cursor: Cursor) -> Finding:
    cursor.execute(_ROLE)
    name, unrestricted = cursor.fetchall()[0]
    if unrestricted:
        text = f"{name} is a superuser or has BYPASSRLS: a daemon should be an ordinary role"
        return warning("role", text, f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS")
    return ok("role", f"{name}, an ordinary role")


def _clock(now: Callable[[], datetime], cursor: Cursor) -> Finding:
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
    return ok("rights", "the daemon's role has what it needs")


def _row_level_security(cursor: Cursor) -> list[Finding]:
    cursor.execute(_GUARDS, (list(GUARDED),))
    findings = []
    for table, forced, has_policy in sorted(cursor.fetchall()):
        if not has_policy:
            text = f"no policy of public.{table} lets app.user_role = superuser see its rows"
            remedy = (
                f"as owner: CREATE POLICY {table}_superuser ON public.{table}"
                " USING ((SELECT current_setting('app.user_role', true)) = 'superuser')"
            )
            findings.append(fault("row level security", text, remedy))
        elif not forced:
            text = f"public.{table} does not force it: owners of vehicles may see them all"
            remedy = (
                f"as owner: ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY,"
                " FORCE ROW LEVEL SECURITY"
            )
            findings.append(warning("row level security", text, remedy))
    return findings or [ok("row level security", "forced, and the daemon sees every row")]


def _months(now: Callable[[], datetime], cursor: Cursor) -> Finding:
    cursor.execute(_MONTHS)
    partitioned, bounds = cursor.fetchall()[0]
    present = now()
    if not partitioned:
        return ok("partitions", "measurements has none: MEASUREMENTS_KEEP_MONTHS has no effect")
    if not bounds:
        return ok("partitions", "none yet: the daemon's first cycle makes them")
    for moment in (present, next_month(month_of(present))):
        if not any(start <= moment < end for start, end in bounds):
            text = f"there is no month for {moment:%Y-%m-%d}: measurements cannot be stored"
            remedy = "run `fleetsyncd once`, which makes it or says why not"
            return (fault if moment == present else warning)("partitions", text, remedy)
    return ok("partitions", f"{len(bounds)} month(s), the next one included")
