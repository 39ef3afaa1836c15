"""What the database takes on its disk, and how fast it grows. Changes nothing."""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.retention_plan import drops_months
from fleetsyncd.database.views.growth import Growth, kept, used_up_in
from fleetsyncd.database.views.minutes import rows_a_minute
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.stored_tables import StoredTable, stored_tables
from fleetsyncd.database.views.worker_storage import StoringNode, read_workers

USUAL_ROW_BYTES = 157.0
"""Of a measurement and its entry in the key, in a month that is being written."""
USUAL_MINUTE_BYTES, USUAL_ROWS_A_MINUTE = 186.0, 60.0
"""Of a minute of a channel and its entry in the key; with a row a second."""
FOLLOWED = 3
"""If none of so many months has compressed chunks, no more are expected."""


class DiskUnknown(StrEnum):
    """Why it is not known how much room is left on the database's disk."""

    CLUSTER = "the measurements are on the disks of a cluster's workers"
    AWAY = "PostgreSQL is reached by TCP and not by a Unix socket, so it may be on another machine"
    HIDDEN = "the daemon's role may not read where its files are"
    UNSEEN = "its files are not to be seen from here, as if in another container"


# Rows by the time that they were measured in: those of a gap do not count as one day's.
_GROWTH = """
SELECT coalesce(sum(day_rows * 86400.0 / day_seconds), 0)::float8, count(*)
FROM fleetsync.vehicle_state
WHERE intake_day >= current_date - 1 AND day_seconds > 0 AND day_rows > 0
"""
# Ordinary roles see neither the size of a database that they may not connect to, nor its folder.
_DATABASE = """
SELECT current_database()::text, pg_database_size(current_database()),
    (SELECT setting FROM pg_settings WHERE name = 'data_directory')
"""


@dataclass(frozen=True, slots=True)
class Keep:
    """For how many months rows are kept, as MEASUREMENTS_KEEP_MONTHS and MINUTES_KEEP_MONTHS say.

    Measurements: None for ever. Minutes: 0 for ever, None if none are computed.
    """

    measurements_months: int | None = None
    minutes_months: int | None = None


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
    drops_months: bool = True
    """Whether retention ever drops the part of measurements that is being written."""
    rows_a_minute: float | None = None
    """Measurements in a minute of a channel; None if no minutes are stored."""

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

    @property
    def minute_bytes_a_day(self) -> float:
        """What the minutes of a day's measurements take, where they are kept."""
        a_minute = _newest(table.row_bytes for table in self._minute_months)
        minutes = self.rows_a_day / (self.rows_a_minute or USUAL_ROWS_A_MINUTE)
        return minutes * (a_minute or USUAL_MINUTE_BYTES)

    def growth_a_day(self, keep: Keep) -> float:
        """Return the bytes that a day of the vehicles takes for good, minutes included."""
        return sum(each.bytes_a_day for each in self._growths(keep))

    def levels_off_at(self, keep: Keep) -> float | None:
        """Return the bytes that it grows to, since months are dropped; None: it has no end."""
        most = self.total_bytes + sum(each.left_bytes for each in self._growths(keep))
        return most if math.isfinite(most) and self.ends_growth(keep) else None

    def ends_growth(self, keep: Keep) -> bool:
        """Tell whether MEASUREMENTS_KEEP_MONTHS is set, and has an effect."""
        return keep.measurements_months is not None and self.drops_months

    def full_in(self, room_bytes: float, keep: Keep) -> timedelta | None:
        """Return when so much more room is used up at this pace; None: never."""
        return used_up_in(room_bytes, self._growths(keep)) if self.rows_a_day else None

    @property
    def _minute_months(self) -> list[StoredTable]:
        """Those of minutes, the oldest first."""
        return sorted((each for each in self.tables if each.is_minutes), key=lambda each: each.name)

    def _growths(self, keep: Keep) -> list[Growth]:
        """Return what grows, and how far."""
        return [self._measurements(keep.measurements_months), *self._minutes(keep.minutes_months)]

    def _measurements(self, months: int | None) -> Growth:
        present = sum(table.total_bytes for table in self.months if table.is_dropped)
        if months is None or not self.drops_months:
            return Growth(self.bytes_a_day, present)
        return kept(self.bytes_a_day, present, months, self.passing_bytes)

    def _minutes(self, months: int | None) -> list[Growth]:
        if months is None:
            return []
        a_day = self.minute_bytes_a_day
        present = sum(table.total_bytes for table in self._minute_months)
        return [kept(a_day, present, months) if months else Growth(a_day, present)]


def _newest(told: Iterable[float | None]) -> float | None:
    """Return the last value that is known."""
    return next((each for each in reversed(list(told)) if each is not None), None)


def storage(cursor: Cursor) -> Storage:
    """Return what this database takes."""
    workers = read_workers(cursor)
    tables = stored_tables(cursor, workers)
    cursor.execute(_GROWTH)
    ((rows_a_day, vehicles),) = cursor.fetchall()
    cursor.execute(_DATABASE)
    ((name, size, folder),) = cursor.fetchall()
    is_here = cursor.connection.info.host.startswith("/")
    free = DiskUnknown.CLUSTER if workers.nodes else _free(folder, is_here=is_here)
    return Storage(
        name,
        size,
        tables,
        rows_a_day,
        vehicles,
        free,
        workers.nodes,
        drops_months(cursor),
        _rows_a_minute(cursor, tables),
    )


def _rows_a_minute(cursor: Cursor, tables: Iterable[StoredTable]) -> float | None:
    """Return how many measurements a minute of a channel has, as far as the role may know it."""
    minutes = sum(table.rows for table in tables if table.is_minutes)
    if not minutes or not may_read(cursor, "public.measurements_minute"):
        return None
    return rows_a_minute(cursor, minutes)


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
