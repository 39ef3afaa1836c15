"""What audits and looks have found and operators are still to be told of, summed by vehicle.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.database.pool import Cursor

# Not a condition: its row counts until it is told, also over a mute or a pause. The counters of
# audits cannot tell it, as each new one begins with 0.
_ADD = """
INSERT INTO fleetsync.condition AS c (kind, subject, vehicle_id, since, amount)
VALUES ('found', %(id)s, %(id)s::uuid, now(), %(rows)s)
ON CONFLICT (kind, subject) DO UPDATE SET amount = c.amount + excluded.amount
"""
_TAKE = """
DELETE FROM fleetsync.condition WHERE kind = 'found' AND vehicle_id <> ALL (%s::uuid[])
RETURNING vehicle_id::text, amount
"""


def add_findings(
    cursor: Cursor,
    vehicle_id: UUID,
    counts: AuditCounts,
    is_counted: str,
    values: Mapping[str, object],
) -> None:
    """Add what was found missing or different, in the transaction that counts it.

    `is_counted` is SQL that finds a row if these counts were committed by a try before, the answer
    to which was lost.
    """
    rows = counts.missing + counts.different
    if not rows:
        return
    cursor.execute(is_counted, values)
    if not cursor.fetchall():
        cursor.execute(_ADD, {"id": str(vehicle_id), "rows": rows})


def take_findings(cursor: Cursor, untold: Collection[UUID]) -> dict[UUID, int]:
    """Return what is to be told now, which then counts as told; of `untold` vehicles it stays."""
    cursor.execute(_TAKE, ([str(vehicle_id) for vehicle_id in untold],))
    return {UUID(key): int(rows) for key, rows in cursor.fetchall()}
