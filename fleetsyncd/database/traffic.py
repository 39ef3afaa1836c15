"""What the vehicles' links have carried, a row a vehicle and day in UTC."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.traffic import Traffic

KEEP = "13 months"
"""Beside the present one: a month is compared with that of the year before."""
BATCH = 5_000
_LOCK_MS = 500
"""For a vehicle that is being removed, or is added to by another daemon: the heartbeat's row is
held meanwhile, and the main loop waits for that."""
_ADD = """
WITH batch AS (
    UPDATE fleetsync.replica SET traffic_batch = %(number)s
    WHERE id = %(replica)s::uuid AND traffic_batch < %(number)s
    RETURNING id
)
INSERT INTO fleetsync.traffic AS t (vehicle_id, day, received_bytes, sent_bytes, requests)
SELECT n.vehicle_id, n.day, n.received, n.sent, n.requests
FROM unnest(%(ids)s::uuid[], %(days)s::date[], %(received)s::bigint[], %(sent)s::bigint[],
    %(requests)s::bigint[]) n(vehicle_id, day, received, sent, requests)
JOIN public.vehicles v ON v.id = n.vehicle_id
CROSS JOIN batch
ORDER BY n.vehicle_id, n.day
ON CONFLICT (vehicle_id, day) DO UPDATE SET
    received_bytes = t.received_bytes + excluded.received_bytes,
    sent_bytes = t.sent_bytes + excluded.sent_bytes,
    requests = t.requests + excluded.requests
"""
_IS_ADDED = """
SELECT FROM fleetsync.replica WHERE id = %(replica)s::uuid AND traffic_batch >= %(number)s
"""
_EXPIRE = """
DELETE FROM fleetsync.traffic WHERE (vehicle_id, day) IN (
    SELECT vehicle_id, day FROM fleetsync.traffic
    WHERE day < (date_trunc('month', now()) - %(keep)s::interval)::date LIMIT %(batch)s)
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was carried since the batch before, by vehicle and day.

    The numbers of a daemon's batches grow from 1 on.
    """

    number: int
    carried: Mapping[tuple[UUID, date], Traffic]


def add_batch(cursor: Cursor, replica_id: UUID, batch: Batch) -> bool:
    """Add a daemon's batch once, however often it is sent; False if the daemon has no heartbeat.

    Vehicles that were removed are left out. Rows that others hold are waited for shortly: then it
    is to be sent again.
    """
    carried = batch.carried
    values = {
        "replica": str(replica_id),
        "number": batch.number,
        "ids": [str(key) for key, _day in carried],
        "days": [day for _key, day in carried],
        "received": [each.received for each in carried.values()],
        "sent": [each.sent for each in carried.values()],
        "requests": [each.requests for each in carried.values()],
    }
    cursor.execute(f"SELECT set_config('lock_timeout', '{_LOCK_MS}ms', true)")
    cursor.execute(_ADD, values)
    if cursor.rowcount:
        return True
    cursor.execute(_IS_ADDED, values)
    return bool(cursor.rowcount)


def expire(database: Database) -> Iterator[None]:
    """Delete what is older than is kept, a batch a step; raises DatabaseError."""

    def delete(cursor: Cursor) -> int:
        cursor.execute(_EXPIRE, {"keep": KEEP, "batch": BATCH})
        return cursor.rowcount

    while database.run(delete) == BATCH:
        yield
