"""Doctor's check of the partitions of `measurements`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from fleetsyncd.database.partitions import Verdict, attach_statement, plan_month
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.hidden import layout
from fleetsyncd.findings import Finding, fault, ok, warning
from fleetsyncd.text import counted
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import month_of, next_month, utc_day

CHECK = "partitions"
_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = 'public.measurements'::regclass"
_HIDDEN = """
SELECT fleetsync.timescale_schema() IS NOT NULL, count(*), count(*) FILTER (WHERE is_compressed)
FROM fleetsync.hidden_parts()
"""
_RANGES = """
SELECT partition::text, is_default OR NOT isfinite(begins) AND NOT isfinite(ends),
    begins <= %(now)s AND %(now)s < ends, begins <= %(next)s AND %(next)s < ends,
    pg_relation_size(partition) > 0
FROM fleetsync.partition_ranges()
"""
# Parts have no policies, and need no grants: who reads the table reads them.
_OPEN = """
SELECT g.role, array_agg(DISTINCT g.part ORDER BY g.part)
FROM (
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END AS role,
        c.oid::regclass::text AS part
    FROM unnest(ARRAY['public.measurements', 'public.measurements_minute']) parent
    JOIN pg_class p ON p.oid = to_regclass(parent) AND p.relrowsecurity
    CROSS JOIN LATERAL pg_partition_tree(p.oid) t
    JOIN pg_class c ON c.oid = t.relid AND c.oid <> p.oid AND NOT c.relrowsecurity
    CROSS JOIN LATERAL (SELECT c.relacl UNION ALL SELECT attacl FROM pg_attribute
                        WHERE attrelid = c.oid) o(acl)
    CROSS JOIN LATERAL aclexplode(o.acl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee <> c.relowner AND coalesce(r.rolname <> current_user, true)
      AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
      AND NOT coalesce(r.rolsuper OR r.rolbypassrls, false)
) g GROUP BY g.role ORDER BY g.role
"""


def check_partitions(now: Callable[[], datetime], cursor: Cursor) -> Iterator[Finding]:
    """Yield whether new rows have a place, and late ones, and who is to make it."""
    present = now()
    yield from _open_parts(cursor)
    if layout.is_hidden(cursor):
        yield from _hidden(cursor)
        return
    cursor.execute(_PARTITIONED)
    if not cursor.fetchall()[0][0]:
        yield ok(CHECK, "measurements has none: MEASUREMENTS_KEEP_MONTHS has no effect")
        return
    following = next_month(month_of(present))
    if plan_month(following, cursor) is Verdict.FOREIGN:
        following = present + timedelta(days=1)  # others may make theirs a few days ahead
    cursor.execute(_RANGES, {"now": present, "next": following})
    ranges = cursor.fetchall()
    default = next((row for row in ranges if row[1]), None)
    if default is not None:
        yield _default(default, [row for row in ranges if not row[1]])
        return
    held = {present: any(row[2] for row in ranges), following: any(row[3] for row in ranges)}
    missing = [moment for moment in (present, following) if ranges and not held[moment]]
    for moment in missing[:1]:
        text = f"there is none for {utc_day(moment)}: measurements cannot be stored"
        level = fault if moment == present else warning
        yield level(CHECK, text, _remedy(cursor, month_of(moment)))
    detached = list(_detached(cursor, present))
    yield from detached
    if not ranges:
        yield ok(CHECK, "none yet: the daemon's first cycle makes them")
    elif not missing and not detached:
        yield ok(CHECK, f"{len(ranges)}, the next month included")


def _open_parts(cursor: Cursor) -> Iterator[Finding]:
    """Yield who may read a month by its name, where no policy binds him."""
    cursor.execute(_OPEN)
    for role, parts in cursor.fetchall():
        text = f"{role} may read or change {counted(len(parts), 'month')} around row level security"
        yield warning(CHECK, text, f"as owner: REVOKE ALL ON {', '.join(parts)} FROM {role}")


def _hidden(cursor: Cursor) -> Iterator[Finding]:
    """Look at the hidden table: nobody but its owner may read it, and its trigger guards it."""
    for role in layout.open_to(cursor):
        text = f"{role} has rights on {layout.TABLE}, which no policy guards"
        yield fault(CHECK, text, f"as owner: REVOKE ALL ON {layout.TABLE} FROM {role}")
    if not layout.is_guarded(cursor):
        text = f"the trigger only_superusers_write of {layout.TABLE} is off: owners may write"
        remedy = "CREATE TRIGGER only_superusers_write BEFORE INSERT OR UPDATE OR DELETE ON"
        remedy += f" {layout.TABLE} FOR EACH STATEMENT EXECUTE FUNCTION"
        yield fault(CHECK, text, f"as owner: {remedy} fleetsync.only_superusers_write()")
    cursor.execute(_HIDDEN)
    ((is_hypertable, chunks, compressed),) = cursor.fetchall()
    if is_hypertable:
        yield ok(CHECK, f"a view over {layout.TABLE}: {chunks} chunks, {compressed} compressed")
    else:
        text = "a view over a plain table: MEASUREMENTS_KEEP_MONTHS has no effect"
        yield ok(CHECK, text)


def _default(default: tuple[Any, ...], others: Sequence[tuple[Any, ...]]) -> Finding:
    """Look at a partition for everything: it is to be empty, and others are to come first."""
    name, *_, has_rows = default
    if has_rows or not any(row[2] for row in others) or not any(row[3] for row in others):
        text = f"{name} takes what no other partition holds: retention never drops that"
        return warning(CHECK, text, "make partitions ahead, and move its rows into them")
    return ok(CHECK, f"{len(others)}, and {name}, which is empty")


def _remedy(cursor: Cursor, month: datetime) -> str:
    match plan_month(month, cursor):
        case Verdict.TAKEN:
            return f"as owner: {attach_statement(month, cursor)}"
        case Verdict.FOREIGN:
            end = next_month(month)
            return (
                "run what makes the others, such as CALL partman.run_maintenance_proc(), or as"
                f" owner: CREATE TABLE public.measurements_{month:%Y_%m} PARTITION OF"
                f" public.measurements FOR VALUES FROM ('{month:%Y-%m-%d} 00:00+00')"
                f" TO ('{end:%Y-%m-%d} 00:00+00')"
            )
        case _:
            return "run `fleetsyncd once`, which makes it or says why not"


def _detached(cursor: Cursor, present: datetime) -> Iterator[Finding]:
    """Yield the months that are detached although late rows of theirs may still come."""
    month = month_of(accepted_interval(present).start)
    while month < month_of(present):
        if plan_month(month, cursor) is Verdict.TAKEN:
            text = f"measurements_{month:%Y_%m} is detached: late rows of that month are left out"
            attach = attach_statement(month, cursor)
            yield warning(CHECK, text, f"as owner, if they are wanted: {attach}")
        month = next_month(month)
