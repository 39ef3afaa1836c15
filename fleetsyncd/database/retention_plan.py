"""What retention is going to delete, and whether it may: what is unusual is announced a day before.

At once goes what expires in its turn: one month of measurements and of minutes, if the setting is
not new, and the journal entries, bad rows and alarms that expired within the last day. The
announcements are rows of `fleetsync.retention`; the owner's function `may_delete` writes them and
decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.retention_kinds import COUNTED, MONTHLY, Extent, Kind
from fleetsyncd.database.views.sql_times import epoch, from_epoch

_MONTHLY = """
SELECT relkind = 'p' OR fleetsync.timescale_schema() IS NOT NULL
FROM pg_class WHERE oid = 'public.measurements'::regclass
"""
IS_DROPPED = """
c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
AND c.relname ~ '^measurements_[0-9][0-9][0-9][0-9]_[0-9][0-9]$' AND isfinite(r.ends)
""".strip()
"""SQL for whether a table `c` of pg_class with the range `r` is one that `expired_months` takes."""
# Where rows of now go, or else went last; the first part of all is made by us.
_DROPS_MONTHS = f"""
SELECT coalesce(
    (SELECT {IS_DROPPED} FROM fleetsync.partition_ranges() r JOIN pg_class c ON c.oid = r.partition
     WHERE r.begins <= now() ORDER BY r.ends > now() DESC, r.is_default, r.ends DESC LIMIT 1),
    NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'public.measurements'::regclass))
"""  # noqa: S608  made of this file's own text
_MONTHS = f"""
SELECT count(*)::int, coalesce(sum(row_count), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
    {epoch("min(begins)")}, {epoch("max(ends)")}
FROM fleetsync.{{expired}}(%s, %s)
"""  # noqa: S608  made of this file's own text
_EXPIRED = {Kind.MEASUREMENTS: "expired_months", Kind.MINUTES: "expired_minutes"}
# Without an expired row the table is looked at once: subqueries of a CASE run only when needed.
_ROWS = """
WITH found AS (SELECT min({column}) AS oldest FROM {table} WHERE {expired})
SELECT CASE WHEN oldest IS NULL THEN 0 ELSE
        (SELECT count(*) FROM (SELECT FROM {table} WHERE {expired} LIMIT %(counted)s) c) END,
    CASE WHEN oldest IS NULL THEN false ELSE EXISTS (SELECT FROM {table} WHERE {overdue}) END,
    {oldest}, {before}, pg_total_relation_size('{table}'),
    CASE WHEN reltuples > 0 THEN reltuples ELSE pg_relation_size('{table}') / 100 END
FROM found, pg_class WHERE pg_class.oid = '{table}'::regclass
"""
_ESTIMATED = "EXPLAIN (FORMAT JSON) SELECT FROM {table} WHERE {condition}"
_MAY_DELETE = """
SELECT fleetsync.may_delete(%(kind)s, %(keep)s, %(usual)s, %(months)s, %(rows)s, %(bytes)s,
    %(oldest)s, %(before)s)
"""
_KEEP_FOR_EVER = """
DELETE FROM fleetsync.retention WHERE kind = %(kind)s AND keep <> 0;
INSERT INTO fleetsync.retention (kind, keep) VALUES (%(kind)s, 0)
ON CONFLICT (kind, keep) DO UPDATE SET seen_at = now()
"""
_CLEAR = """
UPDATE fleetsync.retention SET announced_at = NULL, due_at = NULL
WHERE kind = %s AND keep >= %s AND announced_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class RowSet:
    """A table whose rows expire one by one: the columns of its key, and the time that counts.

    `condition` is asked of expired rows, `overdue` also of those that expired over a day ago.
    """

    table: str
    key: str
    column: str
    condition: str = "true"
    overdue: str = "true"

    def expired(self, age: str = "%(age)s") -> str:
        """Return the SQL condition of the rows that have expired."""
        return f"{self.condition} AND {self.column} < now() - {age}::interval"


ROW_SETS: Mapping[Kind, tuple[RowSet, ...]] = {
    Kind.JOURNAL: (
        RowSet("public.sync_journal", "vehicle_id, id", "started_at"),
        RowSet("fleetsync.action_log", "id", "at"),
    ),
    Kind.QUARANTINE: (RowSet("fleetsync.quarantine", "vehicle_id, digest", "at"),),
    Kind.ALARMS: (
        # An alarm that was open for long expires when its resolution is stored.
        RowSet(
            "public.alarms_log",
            "vehicle_id, alarm_id",
            "triggered_at",
            condition="resolved_at IS NOT NULL",
            overdue="coalesce(synced_at, triggered_at) < now() - interval '1 day'",
        ),
        # Of a replaced one that is open, the machine that could resolve it is gone in most cases.
        RowSet(
            "fleetsync.replaced_alarm",
            "vehicle_id, id",
            "greatest(triggered_at, CASE WHEN resolved_at IS NULL THEN replaced_at END)",
            overdue="greatest(synced_at, replaced_at) < now() - interval '1 day'",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a setting deletes now; `is_usual` if no more than what expires in its turn."""

    keep: int
    extent: Extent
    is_usual: bool

    @property
    def kind(self) -> Kind:
        """What is deleted."""
        return self.extent.kind

    @property
    def setting(self) -> str:
        """The setting as it is written."""
        return f"{self.kind.setting}={self.keep}"


def is_monthly(cursor: Cursor) -> bool:
    """Tell whether measurements has partitions or chunks; else no month can be dropped."""
    cursor.execute(_MONTHLY)
    return bool(cursor.fetchall()[0][0])


def drops_months(cursor: Cursor) -> bool:
    """Tell whether the part of measurements that is being written is ever dropped.

    Months that others make have names of theirs, and stay.
    """
    if not is_monthly(cursor):
        return False
    cursor.execute(_DROPS_MONTHS)
    return bool(cursor.fetchall()[0][0])


def make_plan(cursor: Cursor, kind: Kind, keep: int, today: datetime) -> Plan:
    """Return what `keep` months or days delete now; nothing is changed.

    Indexes and the planner tell it; the alarms, which have no index by time, are read up to the
    first COUNTED that have expired.
    """
    if kind in MONTHLY:
        return _months_plan(cursor, kind, keep, today)
    plans = [_rows_plan(cursor, kind, keep, rows) for rows in ROW_SETS[kind]]
    return reduce(_both, plans)


def _both(one: Plan, other: Plan) -> Plan:
    """Return what two tables of one kind lose."""
    first, second = one.extent, other.extent
    oldest = [each.oldest for each in (first, second) if each.oldest is not None]
    extent = replace(
        first,
        rows=first.rows + second.rows,
        size=first.size + second.size,
        oldest=min(oldest, default=None),
    )
    return Plan(one.keep, extent, is_usual=one.is_usual and other.is_usual)


def _rows_plan(cursor: Cursor, kind: Kind, keep: int, rows: RowSet) -> Plan:
    """Return what of one table expires row by row."""
    age = timedelta(days=keep)
    statement = _ROWS.format(
        table=rows.table,
        column=rows.column,
        expired=rows.expired(),
        overdue=f"{rows.expired('%(overdue_age)s')} AND {rows.overdue}",
        oldest=epoch("oldest"),
        before=epoch("(now() - %(age)s::interval)"),
    )
    cursor.execute(
        statement, {"age": age, "overdue_age": age + timedelta(days=1), "counted": COUNTED}
    )
    count, is_overdue, oldest, before, size, total = cursor.fetchall()[0]
    if count == COUNTED:
        count = max(COUNTED, int(total * _expired_part(cursor, rows, age)))
    size = int(size * count / max(count, total, 1))
    extent = Extent(kind, 0, count, size, from_epoch(oldest), from_epoch(before))
    return Plan(keep, extent, is_usual=not is_overdue)


def _expired_part(cursor: Cursor, rows: RowSet, age: timedelta) -> float:
    """Return the planner's estimate of which part of a table has expired.

    It takes the policies of row level security for conditions that few rows fulfil, alike with and
    without our own condition.
    """
    estimates = []
    for condition in (rows.expired(), "true"):
        statement = _ESTIMATED.format(table=rows.table, condition=condition)
        cursor.execute(statement, {"age": age})
        plan: Any = cursor.fetchall()[0][0]
        estimates.append(float(plan[0]["Plan"]["Plan Rows"]))
    expired, every = estimates
    return min(1.0, expired / max(1.0, every))


def _months_plan(cursor: Cursor, kind: Kind, keep: int, today: datetime) -> Plan:
    if kind is Kind.MEASUREMENTS and not is_monthly(cursor):
        return Plan(keep, Extent(kind, 0, 0, 0, None, None), is_usual=True)
    cursor.execute(_MONTHS.format(expired=_EXPIRED[kind]), (keep, today.date()))
    months, rows, size, oldest, before = cursor.fetchall()[0]
    extent = Extent(kind, months, rows, size, from_epoch(oldest), from_epoch(before))
    return Plan(keep, extent, is_usual=months <= 1)


def may_delete(cursor: Cursor, plan: Plan) -> bool:
    """Tell whether what is planned may be deleted now; announce it if it must wait.

    Daemons with one setting, or one that is started again and again, get one answer: the wait is
    the database's. Where there are several settings, only the longest deletes.
    """
    extent = plan.extent
    values = {
        "kind": plan.kind,
        "keep": plan.keep,
        "usual": plan.is_usual,
        "months": extent.months,
        "rows": extent.rows,
        "bytes": extent.size,
        "oldest": extent.oldest,
        "before": extent.before,
    }
    cursor.execute(_MAY_DELETE, values)
    return bool(cursor.fetchall()[0][0])


def clear_announcements(cursor: Cursor, plan: Plan) -> None:
    """Take away the announcements of this setting and of longer ones: all of it is deleted."""
    cursor.execute(_CLEAR, (plan.kind, plan.keep))


def keep_for_ever(cursor: Cursor, kind: Kind) -> None:
    """Forget the announcements of a kind that is kept for ever, and note that it is."""
    cursor.execute(_KEEP_FOR_EVER, {"kind": kind})
