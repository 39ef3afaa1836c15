"""Store measurements, each once.

They are sent as text literals of arrays: psycopg2 needs about twice the time to adapt lists.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from fleetsyncd.database import statements
from fleetsyncd.database.cluster import runs_on_cluster
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
    that. Locks the vehicle's row, so that a removal waits for the end of the transaction. Whether
    there still is a vehicle is not asked: what records the progress of a transaction does.
    """
    added = Added()
    cursor.vehicle = vehicle_id
    for start in range(0, len(rows), BATCH):
        batch = slice(start, start + BATCH)
        values = {
            "id": str(vehicle_id),
            "channels": array(rows.channels[batch]),
            "times": array(rows.times[batch]),
            "values": array(rows.values[batch]),
            "newest": newest,
            "head": head,
        }
        added += _store(cursor, values)
    return added


def _store(cursor: Cursor, values: Mapping[str, object]) -> Added:
    """Store a batch; what was new makes its minutes due in the same transaction."""
    if not runs_on_cluster(cursor):
        cursor.execute(statements.ADD_MEASUREMENTS, values)
        return Added(*cursor.fetchall()[0])
    cursor.execute(statements.STORE_ON_WORKER, values)
    added = Added(*cursor.fetchall()[0])
    if added.rows:
        cursor.execute(statements.MARK_MINUTES, values)
    return added


def array(column: tuple[object, ...]) -> str:
    """Return a column as PostgreSQL's array literal, which is JSON but for its brackets."""
    return f"{{{msgspec.json.encode(column)[1:-1].decode()}}}"
