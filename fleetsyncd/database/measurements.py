"""Store measurements, each once.

They are sent as text literals of arrays: psycopg2 needs about twice the time to adapt lists.
"""

from bisect import bisect_left
from datetime import datetime
from uuid import UUID

import msgspec
import psycopg2

from fleetsyncd.database import statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.lateness import Added
from fleetsyncd.models import Measurements

BATCH = 12_000
"""Rows in one INSERT.

Few enough that no other greenlet waits long while its text is built; enough for ten minutes of 18
channels, the window in which dense gaps are pulled.
"""


def add_measurements(
    cursor: Cursor, vehicle_id: UUID, rows: Measurements, newest: datetime | None = None
) -> int:
    """Store rows as `add_pulled` does, and return how many were new."""
    return add_pulled(cursor, vehicle_id, rows, newest, None).rows


def add_pulled(
    cursor: Cursor,
    vehicle_id: UUID,
    rows: Measurements,
    newest: datetime | None,
    head: datetime | None,
) -> Added:
    """Store rows and return what was new; they are ordered, so that writers never deadlock.

    `newest` is the time of the newest row that the caller knows to be stored; a newer one that is
    stored makes this slower, not wrong. New rows before `head` are late; None: nothing is known of
    that. Locks the vehicle's row. Adds nothing if the vehicle was removed; `advance_watermark`
    then says so.
    """
    added = Added()
    for start in range(0, len(rows), BATCH):
        added += _add_batch(cursor, vehicle_id, rows, slice(start, start + BATCH), newest, head)
    return added


def _add_batch(
    cursor: Cursor,
    vehicle_id: UUID,
    rows: Measurements,
    batch: slice,
    newest: datetime | None,
    head: datetime | None,
) -> Added:
    """Store one batch; rows newer than `newest` are taken as new until the key refuses one."""
    all_new = newest is not None and rows.times[batch.start] > newest
    statement = statements.ADD_NEWER_MEASUREMENTS if all_new else statements.ADD_MEASUREMENTS
    values = {
        "id": str(vehicle_id),
        "careful": False,
        "head": head,
        "channels": array(rows.channels[batch]),
        "times": array(rows.times[batch]),
        "values": array(rows.values[batch]),
    }
    try:
        cursor.execute(f"SAVEPOINT batch; {statement}", values)
        if all_new:
            return _all_added(rows.times[batch], cursor.rowcount, head)
    except psycopg2.errors.UniqueViolation:
        # Another daemon or a backfill has stored some of them meanwhile.
        again = f"ROLLBACK TO SAVEPOINT batch; {statements.ADD_MEASUREMENTS}"
        cursor.execute(again, {**values, "careful": True})
    row = cursor.fetchone()
    return Added(*row) if row else Added()


def _all_added(times: tuple[datetime, ...], count: int, head: datetime | None) -> Added:
    """Return what was added of a batch that was new as a whole; nothing if the vehicle is gone."""
    late = 0 if head is None or not count else bisect_left(times, head)
    return Added(count, late, times[0] if late else None)


def array(column: tuple[object, ...]) -> str:
    """Return a column as PostgreSQL's array literal, which is JSON but for its brackets."""
    return f"{{{msgspec.json.encode(column)[1:-1].decode()}}}"
