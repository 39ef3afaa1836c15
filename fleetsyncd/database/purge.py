"""Delete the measurements of removed vehicles, and their minutes, in short transactions.

The oldest measurements go first. Each window of time is committed with how far the purge has come,
so it goes on where it was interrupted. Windows are sized so that each has about the same number of
rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from fleetsyncd.actions import Action
from fleetsyncd.database import removed_vehicles
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removed_vehicles import Extent, RemovedVehicle

BATCH_ROWS = 20_000
"""The most that one transaction deletes, unless that many have the same time."""
FIRST_WINDOW = timedelta(minutes=10)
LONGEST_WINDOW = timedelta(days=31)
SHORTEST_WINDOW = timedelta(microseconds=1)
EXTENT_SEC = 3600
"""What an interrupted purge has deleted in this month is in the index until it is vacuumed."""
# By channel, as the only index of measurements is ordered.
_WINDOW = """
FROM public.measurements WHERE vehicle_id = %(id)s::uuid AND channel_id = ANY (%(channels)s::int[])
    AND time >= %(start)s AND time < %(end)s
"""
_COUNT = f"SELECT count(*) FROM (SELECT {_WINDOW} LIMIT %(most)s) counted"  # noqa: S608  constants
_DELETE = f"DELETE {_WINDOW}"
_DELETE_MINUTES = """
DELETE FROM public.measurements_minute WHERE (vehicle_id, channel_id, minute) IN (
    SELECT vehicle_id, channel_id, minute FROM public.measurements_minute
    WHERE vehicle_id = %s::uuid LIMIT %s)
"""
_ADVANCE = """
UPDATE fleetsync.removed_vehicle SET purged_until = greatest(purged_until, %(end)s)
WHERE vehicle_id = %(id)s::uuid
"""


@dataclass(frozen=True, slots=True)
class PurgeProgress:
    """How far a purge has come through the vehicle's time, 0 to 1, and the rows deleted so far."""

    fraction: float
    rows: int


def ignore_progress(_progress: PurgeProgress) -> None:
    """Show nothing."""


def purge_by_id(database: Database, vehicle_id: UUID) -> int:
    """Delete all measurements of a removed vehicle, as `purge` does."""
    vehicle = database.run(lambda c: removed_vehicles.find_removed(c, str(vehicle_id)))
    return purge(database, vehicle)


def purge(
    database: Database,
    vehicle: RemovedVehicle,
    on_progress: Callable[[PurgeProgress], None] = ignore_progress,
    action: Action | None = None,
) -> int:
    """Delete all measurements and minutes of a removed vehicle, then its record.

    Returns how many measurements there were. An `action` is recorded before the first is deleted.

    Raises DatabaseError, and CommandError if it is restored meanwhile: the rest of its measurements
    stays.
    """
    extent = database.run(partial(_begin, vehicle, action))
    # First: of a vehicle that is restored meanwhile, minutes are computed anew from what is left.
    while database.run(partial(_delete_minutes, vehicle)) == BATCH_ROWS:
        pass
    rows = 0 if extent is None else _delete_all(database, vehicle, extent, on_progress)
    database.run(lambda cursor: removed_vehicles.forget(cursor, vehicle.id))
    return rows


def _begin(vehicle: RemovedVehicle, action: Action | None, cursor: Cursor) -> Extent | None:
    cursor.execute(f"SELECT set_config('statement_timeout', '{EXTENT_SEC}s', true)")
    removed_vehicles.ensure_record(cursor, vehicle)
    cursor.execute(_ADVANCE, {"id": str(vehicle.id), "end": "-infinity"})
    deleted = Change(vehicle.id, before={"measurements": "kept"}, vehicle=vehicle.name)
    record(cursor, action, [deleted])
    return removed_vehicles.read_extent(cursor, vehicle)


def _delete_minutes(vehicle: RemovedVehicle, cursor: Cursor) -> int:
    removed_vehicles.lock_record(cursor, vehicle)
    cursor.execute(_DELETE_MINUTES, (str(vehicle.id), BATCH_ROWS))
    return cursor.rowcount


def _delete_all(
    database: Database,
    vehicle: RemovedVehicle,
    extent: Extent,
    on_progress: Callable[[PurgeProgress], None],
) -> int:
    """Walk through the extent; a window with more rows than BATCH_ROWS is halved."""
    end_of_all = extent.last + SHORTEST_WINDOW
    start, length, rows = extent.first, FIRST_WINDOW, 0
    while start < end_of_all:
        end = min(start + length, end_of_all)
        window = _Window(vehicle, extent.channels, start, end)
        deleted = database.run(partial(_delete_window, window))
        if deleted is None:
            length = (end - start) / 2
            continue
        start, rows = end, rows + deleted
        if deleted < BATCH_ROWS / 2:
            length = min(length * 2, LONGEST_WINDOW)
        on_progress(PurgeProgress((start - extent.first) / (end_of_all - extent.first), rows))
    return rows


@dataclass(frozen=True, slots=True)
class _Window:
    vehicle: RemovedVehicle
    channels: tuple[int, ...]
    start: datetime
    end: datetime

    @property
    def is_shortest(self) -> bool:
        return self.end - self.start <= SHORTEST_WINDOW


def _delete_window(window: _Window, cursor: Cursor) -> int | None:
    """Delete a window's rows and return their number; None, and nothing, if they are too many."""
    removed_vehicles.lock_record(cursor, window.vehicle)
    values = {
        "id": str(window.vehicle.id),
        "channels": list(window.channels),
        "start": window.start,
        "end": window.end,
        "most": BATCH_ROWS + 1,
    }
    cursor.execute(_COUNT, values)
    if cursor.fetchall()[0][0] > BATCH_ROWS and not window.is_shortest:
        return None
    cursor.execute(_DELETE, values)
    deleted = cursor.rowcount
    cursor.execute(_ADVANCE, values)
    return deleted
