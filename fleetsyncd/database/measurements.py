"""Store measurements, each once.

They are sent as text literals of arrays: psycopg2 needs about twice the time to adapt lists.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from fleetsyncd.database.cluster import runs_on_cluster, value_of
from fleetsyncd.database.pool import Cursor
from fleetsyncd.lateness import Added
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Measurements

BATCH = 12_000
"""Rows in one INSERT.

Few enough that no other greenlet waits long while its text is built; enough for ten minutes of 18
channels, the window in which dense gaps are pulled.
"""

CHANNELS = """
SELECT coalesce(array_agg(channel_id), '{}')::text FROM public.channel_config
WHERE vehicle_id = %(id)s::uuid
"""
"""The text of an array: which channels a vehicle has."""
# Channel by channel, since that is the order of the key.
_NEWEST = """
SELECT max(m.time) FROM unnest({channels}::int[]) channel
CROSS JOIN LATERAL (
    SELECT r.time FROM public.measurements r
    WHERE r.vehicle_id = %(id)s::uuid AND r.channel_id = channel
        AND r.time >= %(start)s AND r.time < %(end)s
    ORDER BY r.time DESC LIMIT 1) m
"""
# The vehicle's row is locked once per statement instead of a foreign key checked per row: while the
# lock is held the vehicle cannot be removed.
_ADD_MEASUREMENTS = """
SELECT FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE;
SELECT added, late, oldest_late FROM fleetsync.add_measurements(
    %(id)s::uuid, %(channels)s, %(times)s, %(values)s,
    %(newest)s::timestamptz, %(head)s::timestamptz)
"""
# What that function does, in two. A cluster hands this call on to the worker, as it stands here;
# within a function, the coordinator has to read all of its text twice.
_STORE_ON_WORKER = """
SELECT FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE;
SELECT added, late, oldest_late FROM fleetsync.store_measurements(
    %(id)s::uuid, %(channels)s, %(times)s, %(values)s,
    %(newest)s::timestamptz, %(head)s::timestamptz)
"""
_MARK_MINUTES = "SELECT fleetsync.mark_minutes(%(id)s::uuid, %(times)s)"


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
        cursor.execute(_ADD_MEASUREMENTS, values)
        return Added(*cursor.fetchall()[0])
    cursor.execute(_STORE_ON_WORKER, values)
    added = Added(*cursor.fetchall()[0])
    if added.rows:
        cursor.execute(_MARK_MINUTES, values)
    return added


def newest_within(cursor: Cursor, vehicle_id: UUID, window: Window) -> datetime | None:
    """Return the time of the newest row of a window that is stored; None if none is."""
    values = {"id": str(vehicle_id), "start": window.start, "end": window.end}
    channels = value_of(cursor, CHANNELS, values)
    cursor.execute(_NEWEST.format(channels=channels), values)
    newest: datetime | None = cursor.fetchall()[0][0]
    return newest


def array(column: tuple[object, ...]) -> str:
    """Return a column as PostgreSQL's array literal, which is JSON but for its brackets."""
    return f"{{{msgspec.json.encode(column)[1:-1].decode()}}}"
