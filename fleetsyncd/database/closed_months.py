"""Which months of measurements and minutes are closed, and whose key is to be written anew."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.database.housekeeping import Task
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.estimates import TABLE_BYTES, TABLE_ROWS

UNSAFE_SERVERS = range(140_000, 140_004)
"""Versions whose REINDEX CONCURRENTLY may leave rows out of an index, as PostgreSQL 14.4 tells."""
TIDY_KEY_BYTES = 50
"""Of a row in a key that was written anew; in one that grew with its rows it takes 89."""
LEAST_BYTES = 1_000_000
"""In a smaller key there is nothing to be saved."""
LEAST_GROWTH_BYTES, LEAST_GROWTH = 8 * 2**20, 0.1
"""A key is tidied again if it has grown by more than this, and by more than this part of it."""
# Months of minutes have a name of ours, and end with the month.
_MONTHS = """
SELECT partition::oid AS part, ends, 'time' AS by FROM fleetsync.partition_ranges()
WHERE NOT is_default
UNION ALL
SELECT m.oid, to_date(right(m.relname, 7), 'YYYY_MM') + interval '1 month', 'minute'
FROM pg_inherits i JOIN pg_class m ON m.oid = i.inhrelid
WHERE i.inhparent = 'public.measurements_minute'::regclass
  AND m.relname ~ '^measurements_minute_[0-9]{4}_[0-9]{2}$'
"""
# The key may have any name, and its columns any order: see schema/indexes.py. Those that failed
# come after the others.
_KEY = """
coalesce(CASE WHEN r.by = 'time' AND fleetsync.is_distributed() THEN s.index_bytes
    ELSE pg_relation_size(k.oid) END, 0)
""".strip()
_DUE = f"""
SELECT month, key, key_bytes, row_count, may_tidy, error,
    CASE WHEN finished_at IS NULL OR finished_at < started_at THEN started_at END
FROM (
    SELECT DISTINCT ON (c.oid) r.ends, h.started_at,
        format('%%I.%%I', n.nspname, c.relname) AS month,
        format('%%I.%%I', kn.nspname, k.relname) AS key,
        {_KEY} AS key_bytes, {TABLE_ROWS} AS row_count,
        CASE WHEN current_setting('server_version_num')::integer >= 170000
            THEN has_table_privilege(c.oid, 'MAINTAIN')
            ELSE pg_has_role(c.relowner, 'USAGE') END AS may_tidy,
        h.finished_at, h.bytes_after, h.error
    FROM ({_MONTHS}) r
    JOIN pg_class c ON c.oid = r.part AND c.relkind = 'r' {TABLE_BYTES}
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid
        AND i.indpred IS NULL AND i.indexprs IS NULL
    JOIN pg_class k ON k.oid = i.indexrelid
    JOIN pg_namespace kn ON kn.oid = k.relnamespace
    LEFT JOIN fleetsync.housekeeping h
        ON h.task = %(task)s AND h.subject = format('%%I.%%I', n.nspname, c.relname)
    WHERE isfinite(r.ends) AND r.ends <= %(now)s - %(after)s
      AND (%(keep)s::integer IS NULL OR r.by = 'minute'
           OR r.ends > date_trunc('month', %(now)s) - make_interval(months => %(keep)s))
      AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
          = ARRAY['channel_id', r.by, 'vehicle_id']
    ORDER BY c.oid, key_bytes DESC
) months
WHERE key_bytes > {LEAST_BYTES}
  AND (finished_at IS NULL
       OR key_bytes - bytes_after > greatest({LEAST_GROWTH_BYTES}, {LEAST_GROWTH} * bytes_after))
ORDER BY may_tidy DESC, started_at NULLS FIRST, ends DESC
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class ClosedMonth:
    """A partition that is to be tidied, by schema and name; `row_count` is an estimate."""

    table: str
    key: str
    key_bytes: int
    row_count: int
    may_tidy: bool
    """Whether the connected role has the right to."""
    error: str | None
    """Why it could not be tidied last."""
    failed_at: datetime | None
    """When it was begun last, if that has not ended well, or has not ended yet."""

    @property
    def name(self) -> str:
        """The partition's name for operators."""
        return self.table.removeprefix("public.")

    @property
    def saves_bytes(self) -> int:
        """About how much less its key would take."""
        return max(0, self.key_bytes - TIDY_KEY_BYTES * self.row_count)


def due_months(
    cursor: Cursor, now: datetime, after: timedelta, keep_months: int | None = None
) -> list[ClosedMonth]:
    """Return what is to be tidied, in this order: what ended `after` ago or before.

    What retention drops is left alone, if it keeps so many months of measurements. A month that was
    tidied is due again if its key has grown since. Nothing is due where it is not safe.
    """
    if is_unsafe(cursor):
        return []
    values = {"task": Task.TIDY.value, "now": now, "after": after, "keep": keep_months}
    cursor.execute(_DUE, values)
    return [ClosedMonth(*row) for row in cursor.fetchall()]


def is_unsafe(cursor: Cursor) -> bool:
    """Tell whether this server's version may damage an index that is written anew."""
    return cursor.connection.server_version in UNSAFE_SERVERS
