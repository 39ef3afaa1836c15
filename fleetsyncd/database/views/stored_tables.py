"""The tables of the database, and the months of measurements, on the disk. Changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fleetsyncd.database.housekeeping import Task
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.retention_plan import IS_DROPPED
from fleetsyncd.database.views.estimates import TABLE_BYTES, TABLE_ROWS
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.database.views.worker_storage import SHARD_BYTES, Workers

MINUTES = "measurements_minute_"
"""How the months of minutes are called, before year and month."""
LEAST_ROWS = 100_000
"""In fewer rows the empty rest of the last pages counts."""
# The chunks of a hypertable count by the month in which they end, those of an adopted one together.
# A month that ends or begins never has no time.
_TABLES = f"""
WITH measured AS (
    SELECT 'public.measurements'::regclass AS part
    UNION SELECT relid FROM pg_partition_tree('public.measurements')
)
SELECT * FROM (
SELECT c.oid::regclass::text, c.oid IN (SELECT part FROM measured), coalesce({IS_DROPPED}, false),
    CASE WHEN isfinite(r.begins) THEN {epoch("r.begins")} END,
    CASE WHEN isfinite(r.ends) THEN {epoch("r.ends")} END,
    {TABLE_ROWS} + coalesce(i.row_count, 0),
    coalesce(s.table_bytes, 0) + coalesce(i.table_bytes, 0),
    coalesce(s.index_bytes, 0) + coalesce(i.index_bytes, 0), 0, 0
FROM pg_class c LEFT JOIN fleetsync.partition_ranges() r ON r.partition = c.oid {{table_bytes}}
LEFT JOIN (
    SELECT i.inhparent, sum({TABLE_ROWS})::bigint, sum(s.table_bytes)::bigint,
        sum(s.index_bytes)::bigint
    FROM pg_class m JOIN pg_inherits i ON i.inhparent = m.oid
    JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r' {{table_bytes}}
    WHERE m.oid = 'public.measurements'::regclass AND m.relkind = 'r' GROUP BY 1
) i(parent, row_count, table_bytes, index_bytes) ON i.parent = c.oid
WHERE c.relkind = 'r' AND c.oid IS DISTINCT FROM fleetsync.hidden_table()
  AND (c.relnamespace = 'fleetsync'::regnamespace
       OR c.oid IN (SELECT part FROM measured
                    UNION ALL SELECT relid FROM pg_partition_tree('public.measurements_minute'))
       OR c.relnamespace = 'public'::regnamespace AND c.relname = ANY (%(tables)s))
UNION ALL
SELECT CASE WHEN isfinite(m.month) THEN to_char(m.month, '"measurements_"YYYY_MM')
            ELSE 'measurements' END, true, fleetsync.timescale_schema() IS NOT NULL,
    {epoch("min(p.begins)")}, {epoch("max(p.ends)")},
    sum(p.row_count)::bigint, sum(p.table_bytes)::bigint, sum(p.key_bytes)::bigint,
    coalesce(sum(p.row_count) FILTER (WHERE p.is_compressed), 0)::bigint,
    coalesce(sum(p.table_bytes + p.key_bytes) FILTER (WHERE p.is_compressed), 0)::bigint
FROM fleetsync.hidden_parts() p,
    date_trunc('month', p.ends - interval '1 microsecond') m(month)
GROUP BY m.month
) t(name, is_measurements, is_dropped, begins, ends, row_count, table_bytes, key_bytes,
    compressed_rows, compressed_bytes)
ORDER BY is_measurements DESC, begins NULLS FIRST, table_bytes + key_bytes DESC, name
"""  # noqa: S608  made of this file's own text
_OTHERS = ["vehicles", "vehicle_access", "channel_config", "alarms_log", "sync_journal"]
_TIDIED = """
SELECT to_regclass(subject)::text, finished_at FROM fleetsync.housekeeping
WHERE task = %s AND finished_at IS NOT NULL AND to_regclass(subject) IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table, or one month of measurements, on the disk; `rows` is an estimate."""

    name: str
    is_measurements: bool
    begins: datetime | None
    ends: datetime | None
    rows: int
    table_bytes: int
    key_bytes: int
    tidied_at: datetime | None
    is_dropped: bool = True
    """Of a part of measurements: whether retention drops it when its time has come."""
    compressed_rows: int = 0
    compressed_bytes: int = 0
    """Of those chunks of a hypertable that are compressed."""

    @property
    def is_minutes(self) -> bool:
        """Whether it is a month of minutes."""
        return self.name.startswith(MINUTES)

    @property
    def total_bytes(self) -> int:
        """Of its rows and of all its indexes."""
        return self.table_bytes + self.key_bytes

    @property
    def row_bytes(self) -> float | None:
        """Bytes a row, its part of the indexes included; None if there are too few to tell."""
        return self.total_bytes / self.rows if self.rows >= LEAST_ROWS else None

    @property
    def compressed_row_bytes(self) -> float | None:
        """The same of a row that is compressed."""
        enough = self.compressed_rows >= LEAST_ROWS
        return self.compressed_bytes / self.compressed_rows if enough else None


def stored_tables(cursor: Cursor, workers: Workers) -> tuple[StoredTable, ...]:
    """Return the parts of measurements, the oldest first; then the other tables, the largest."""
    table_bytes = SHARD_BYTES if workers.nodes else TABLE_BYTES
    values = {"tables": _OTHERS, "shards": workers.shards}
    cursor.execute(_TABLES.format(table_bytes=table_bytes), values)
    rows = cursor.fetchall()
    tidied = _tidied(cursor)
    return tuple(_table(row, tidied) for row in rows)


def _tidied(cursor: Cursor) -> dict[str, datetime]:
    """Return when months were tidied last, by table, as far as the role may know it."""
    if not may_read(cursor, "fleetsync.housekeeping"):
        return {}
    cursor.execute(_TIDIED, (Task.TIDY.value,))
    return dict(cursor.fetchall())


def _table(row: tuple[Any, ...], tidied: Mapping[str, datetime]) -> StoredTable:
    name, is_measurements, is_dropped, begins, ends, rows, *sizes = row
    table_bytes, key_bytes, *compressed = sizes
    return StoredTable(
        name.removeprefix("public."),
        is_measurements,
        None if begins is None else from_epoch(begins),
        None if ends is None else from_epoch(ends),
        rows,
        table_bytes,
        key_bytes,
        tidied.get(name),
        is_dropped,
        *compressed,
    )
