"""What the database takes on its disk, and how fast it grows. Changes nothing."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from fleetsyncd.database.housekeeping import Task
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.estimates import TABLE_BYTES, TABLE_ROWS
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.database.views.worker_storage import SHARD_BYTES, StoringNode, read_workers

USUAL_ROW_BYTES = 157.0
"""Of a measurement and its entry in the key, in a month that is being written."""
LEAST_ROWS = 100_000
"""In fewer rows the empty rest of the last pages counts."""
MONTH_DAYS = 365.25 / 12
FOLLOWED = 3
"""If none of so many months has compressed chunks, no more are expected."""
DAY = timedelta(days=1)


class DiskUnknown(StrEnum):
    """Why it is not known how much room is left on the database's disk."""

    CLUSTER = "the measurements are on the disks of a cluster's workers"
    AWAY = "PostgreSQL is reached by TCP and not by a Unix socket, so it may be on another machine"
    HIDDEN = "the daemon's role may not read where its files are"
    UNSEEN = "its files are not to be seen from here, as if in another container"


# The chunks of a hypertable count by the month in which they end, those of an adopted one together.
# A month that ends or begins never has no time.
_TABLES = f"""
WITH measured AS (
    SELECT 'public.measurements'::regclass AS part
    UNION SELECT relid FROM pg_partition_tree('public.measurements')
)
SELECT * FROM (
SELECT c.oid::regclass::text, c.oid IN (SELECT part FROM measured),
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
            ELSE 'measurements' END, true, {epoch("min(p.begins)")}, {epoch("max(p.ends)")},
    sum(p.row_count)::bigint, sum(p.table_bytes)::bigint, sum(p.key_bytes)::bigint,
    coalesce(sum(p.row_count) FILTER (WHERE p.is_compressed), 0)::bigint,
    coalesce(sum(p.table_bytes + p.key_bytes) FILTER (WHERE p.is_compressed), 0)::bigint
FROM fleetsync.hidden_parts() p,
    date_trunc('month', p.ends - interval '1 microsecond') m(month)
GROUP BY m.month
) t(name, is_measurements, begins, ends, row_count, table_bytes, key_bytes,
    compressed_rows, compressed_bytes)
ORDER BY is_measurements DESC, begins NULLS FIRST, table_bytes + key_bytes DESC, name
"""  # noqa: S608  made of this file's own text
_OTHERS = ["vehicles", "vehicle_access", "channel_config", "alarms_log", "sync_journal"]
# Rows by the time that they were measured in: those of a gap do not count as one day's.
_GROWTH = """
SELECT coalesce(sum(day_rows * 86400.0 / day_seconds), 0)::float8, count(*)
FROM fleetsync.vehicle_state
WHERE intake_day >= current_date - 1 AND day_seconds > 0 AND day_rows > 0
"""
_TIDIED = """
SELECT to_regclass(subject)::text, finished_at FROM fleetsync.housekeeping
WHERE task = %s AND finished_at IS NOT NULL AND to_regclass(subject) IS NOT NULL
"""
# Ordinary roles see neither the size of a database that they may not connect to, nor its folder.
_DATABASE = """
SELECT current_database()::text, pg_database_size(current_database()),
    (SELECT setting FROM pg_settings WHERE name = 'data_directory')
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
    compressed_rows: int = 0
    compressed_bytes: int = 0
    """Of those chunks of a hypertable that are compressed."""

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


@dataclass(frozen=True, slots=True)
class Storage:
    """A database on its disk."""

    database: str
    database_bytes: int
    tables: tuple[StoredTable, ...]
    """Months of measurements, the oldest first; then the other tables, the largest first."""
    rows_a_day: float
    """Measurements at the pace of today and yesterday."""
    vehicles: int
    """Those that sent rows today or yesterday."""
    free: int | DiskUnknown
    """Bytes on the database's disk, or why they are not known."""
    nodes: tuple[StoringNode, ...] = ()
    """Where measurements are, if they are distributed over a cluster: not within the database's
    bytes, which are those of the coordinator."""

    @property
    def free_bytes(self) -> int | None:
        """Bytes on the database's disk; None if they are not known."""
        return None if isinstance(self.free, DiskUnknown) else self.free

    @property
    def is_whole(self) -> bool:
        """Whether all workers have told what they have: the bytes of others are not counted."""
        return all(node.is_reachable for node in self.nodes)

    @property
    def months(self) -> tuple[StoredTable, ...]:
        """Those of measurements, the oldest first."""
        return tuple(table for table in self.tables if table.is_measurements)

    @property
    def compressed_row_bytes(self) -> float | None:
        """Bytes of a row once it is compressed; None where that is not done, or not known."""
        return _newest(table.compressed_row_bytes for table in self.months[-FOLLOWED:])

    @property
    def bytes_a_day(self) -> float:
        """What the measurements of a day take for good, as the newest month that tells it."""
        a_row = self.compressed_row_bytes or _newest(table.row_bytes for table in self.months)
        return self.rows_a_day * (a_row or USUAL_ROW_BYTES)

    @property
    def passing_bytes(self) -> float:
        """What the newest measurements take beyond that until they are compressed."""
        if (a_row := self.compressed_row_bytes) is None:
            return 0.0
        rows = sum(table.rows - table.compressed_rows for table in self.months)
        taken = sum(table.total_bytes - table.compressed_bytes for table in self.months)
        return max(0.0, taken - rows * a_row)

    @property
    def measurement_bytes(self) -> int:
        """Bytes of all measurements."""
        return sum(table.total_bytes for table in self.months)

    @property
    def total_bytes(self) -> int:
        """Bytes of the database, and of what the workers of a cluster have of it."""
        return self.database_bytes + (self.measurement_bytes if self.nodes else 0)

    def levels_off_at(self, keep_months: int | None) -> float | None:
        """Return the bytes that it grows to if months are dropped after so many; None: for ever."""
        if keep_months is None:
            return None
        kept = self.bytes_a_day * MONTH_DAYS * (keep_months + 1) + self.passing_bytes
        return self.total_bytes - self.measurement_bytes + kept

    def full_in(self, room_bytes: float, keep_months: int | None) -> timedelta | None:
        """Return when so much more room is used up at this pace; None: never."""
        most = self.levels_off_at(keep_months)
        if not self.bytes_a_day:
            return None
        if most is not None and most <= self.total_bytes + room_bytes:
            return None
        days = max(0.0, room_bytes) / self.bytes_a_day
        return DAY * days if days < DAY.max.days else None


def _newest(told: Iterable[float | None]) -> float | None:
    """Return the last value that is known."""
    return next((each for each in reversed(list(told)) if each is not None), None)


def storage(cursor: Cursor) -> Storage:
    """Return what this database takes."""
    workers = read_workers(cursor)
    table_bytes = SHARD_BYTES if workers.nodes else TABLE_BYTES
    values = {"tables": _OTHERS, "shards": workers.shards}
    cursor.execute(_TABLES.format(table_bytes=table_bytes), values)
    rows = cursor.fetchall()
    tidied = _tidied(cursor)
    tables = tuple(_table(row, tidied) for row in rows)
    cursor.execute(_GROWTH)
    ((rows_a_day, vehicles),) = cursor.fetchall()
    cursor.execute(_DATABASE)
    ((name, size, folder),) = cursor.fetchall()
    is_here = cursor.connection.info.host.startswith("/")
    free = DiskUnknown.CLUSTER if workers.nodes else _free(folder, is_here=is_here)
    return Storage(name, size, tables, rows_a_day, vehicles, free, workers.nodes)


def _tidied(cursor: Cursor) -> dict[str, datetime]:
    """Return when months were tidied last, by table, as far as the role may know it."""
    if not may_read(cursor, "fleetsync.housekeeping"):
        return {}
    cursor.execute(_TIDIED, (Task.TIDY.value,))
    return dict(cursor.fetchall())


def _table(row: tuple[Any, ...], tidied: Mapping[str, datetime]) -> StoredTable:
    name, is_measurements, begins, ends, rows, table_bytes, key_bytes, *compressed = row
    return StoredTable(
        name.removeprefix("public."),
        is_measurements,
        None if begins is None else from_epoch(begins),
        None if ends is None else from_epoch(ends),
        rows,
        table_bytes,
        key_bytes,
        tidied.get(name),
        *compressed,
    )


def _free(folder: str | None, *, is_here: bool) -> int | DiskUnknown:
    """Return the bytes that ordinary users may still write to the disk of a folder."""
    if not is_here:
        return DiskUnknown.AWAY
    if folder is None:
        return DiskUnknown.HIDDEN
    try:
        told = os.statvfs(folder)
    except OSError:
        return DiskUnknown.UNSEEN
    return told.f_bavail * told.f_frsize
