"""Storing measurements, each once.

They travel as text literals of arrays: psycopg2 takes about twice as long to adapt lists.
"""

from datetime import datetime
from uuid import UUID

import msgspec
import psycopg2

from fleetsyncd.database import statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Measurements

BATCH = 12_000
"""Rows in one INSERT: small enough that building its text keeps no other greenlet waiting, and
large enough for ten minutes of 18 channels, which a dense gap is pulled in.
"""


def add_measurements(
    cursor: Cursor, vehicle_id: UUID, rows: Measurements, newest: datetime | None = None
) -> int:
    """Store rows (ordered, so that two writers never deadlock); return how many were new.

    `newest` is the last time of which the caller knows that something is stored; if more is, that
    costs time only. Locks the vehicle's row; adds nothing if it was removed, which `advance` then
    reports.
    """
    return sum(
        _add_batch(cursor, vehicle_id, rows, slice(start, start + BATCH), newest)
        for start in range(0, len(rows), BATCH)
    )


def _add_batch(
    cursor: Cursor, vehicle_id: UUID, rows: Measurements, batch: slice, newest: datetime | None
) -> int:
    """Store one batch; rows behind the newest known one are taken to be new until proved wrong."""
    all_new = newest is not None and rows.times[batch.start] > newest
    statement = statements.ADD_NEW_MEASUREMENTS if all_new else statements.ADD_MEASUREMENTS
    values = {
        "id": str(vehicle_id),
        "careful": False,
        "channels": _array(rows.channels[batch]),
        "times": _array(rows.times[batch]),
        "values": _array(rows.values[batch]),
    }
    try:
        cursor.execute(f"SAVEPOINT batch; {statement}", values)
        if all_new:
            return cursor.rowcount
    except psycopg2.errors.UniqueViolation:
        # Somebody else stored some of them meanwhile: another daemon, or a backfill.
        again = f"ROLLBACK TO SAVEPOINT batch; {statements.ADD_MEASUREMENTS}"
        cursor.execute(again, {**values, "careful": True})
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def _array(column: tuple[object, ...]) -> str:
    """Return a column as PostgreSQL's array literal, which but for its brackets is JSON."""
    return f"{{{msgspec.json.encode(column)[1:-1].decode()}}}"
