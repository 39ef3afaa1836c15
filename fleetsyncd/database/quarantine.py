"""The quarantine of bad rows: list, count, release and delete them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.text import sanitise
from fleetsyncd.times import ZonedTime

RAW_LIMIT = 5_000
"""Of a row's JSON: an alarm's message of 2,000 characters, each escaped, and the other fields."""
_TEXT_LIMIT = 2_000
ROWS = """
SELECT q.id, q.vehicle_id::text, coalesce(v.name, q.vehicle_id::text), q.call, q.raw, q.reason, q.at
FROM fleetsync.quarantine q JOIN public.vehicles v ON v.id = q.vehicle_id
WHERE {conditions} ORDER BY q.id {order} LIMIT %(limit)s
"""
_COUNTS = """
SELECT coalesce(v.name, q.vehicle_id::text), q.call, q.reason, count(*), max(q.at)
FROM fleetsync.quarantine q JOIN public.vehicles v ON v.id = q.vehicle_id
WHERE %(vehicle)s::uuid IS NULL OR q.vehicle_id = %(vehicle)s::uuid
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""
_OLD_ENOUGH = """
FROM fleetsync.quarantine
WHERE (%(vehicle)s::uuid IS NULL OR vehicle_id = %(vehicle)s::uuid) AND at <= {until}
"""
_PURGEABLE = f"""
SELECT count(*), count(DISTINCT vehicle_id), now() - %(age)s
{_OLD_ENOUGH.format(until="now() - %(age)s")}
"""
_PURGE = f"DELETE {_OLD_ENOUGH.format(until='%(until)s')}"
_PURGE_ROWS = "DELETE FROM fleetsync.quarantine q WHERE q.id = ANY (%(ids)s::bigint[])"
_BY_VEHICLE = """
WITH gone AS ({delete} RETURNING vehicle_id)
SELECT vehicle_id::text, count(*) FROM gone GROUP BY vehicle_id
"""
# A hash, because a reason may be sanitised where it is shown, and then no longer is what is stored.
REASON_HASH = "hashtextextended(q.reason, 0)"
_PURGE_GROUP = f"""
DELETE FROM fleetsync.quarantine q WHERE q.vehicle_id = %(vehicle)s::uuid AND q.call = %(call)s
    AND {REASON_HASH} = %(reason)s AND q.id <= %(newest)s
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One bad row: its JSON, cut to what is kept, and why it was refused."""

    id: int
    vehicle_id: UUID
    vehicle: str
    call: str
    raw: str
    reason: str
    at: ZonedTime


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often a vehicle's rows were refused for one reason."""

    vehicle: str
    call: str
    reason: str
    rows: int
    newest: ZonedTime


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """The bad rows of one vehicle, call and reason, as they were counted."""

    vehicle_id: UUID
    vehicle: str
    call: str
    reason: str
    reason_hash: int
    rows: int
    newest_id: int
    newest: ZonedTime


@dataclass(frozen=True, slots=True)
class Purgeable:
    """How many bad rows of how many vehicles a purge deletes: those that came up to `until`."""

    rows: int
    vehicles: int
    until: datetime


def list_rows(
    cursor: Cursor,
    vehicle_id: UUID | None,
    limit: int,
    *,
    after: int | None = None,
    only: Collection[int] | None = None,
) -> list[QuarantinedRow]:
    """Return bad rows of a vehicle or of all: the newest first, or in order of id after `after`.

    `after` is the last id of the previous page. With `only`, the rows with these ids and no others.
    """
    conditions = ["true"]
    if vehicle_id is not None:
        conditions.append("q.vehicle_id = %(vehicle)s::uuid")
    if after is not None:
        conditions.append("q.id > %(after)s")
    if only is not None:
        conditions.append("q.id = ANY (%(only)s::bigint[])")
    values = {
        "vehicle": vehicle_id and str(vehicle_id),
        "after": after,
        "only": None if only is None else list(only),
        "limit": limit,
    }
    order = "DESC" if after is None else "ASC"
    cursor.execute(ROWS.format(conditions=" AND ".join(conditions), order=order), values)
    return [quarantined_row(row) for row in cursor.fetchall()]


def find_row(cursor: Cursor, number: int) -> QuarantinedRow | None:
    """Return the bad row with this id; None if there is none."""
    statement = ROWS.format(conditions="q.id = %(id)s", order="")
    cursor.execute(statement, {"id": number, "limit": 1})
    rows = cursor.fetchall()
    return quarantined_row(rows[0]) if rows else None


def quarantined_row(row: tuple[Any, ...]) -> QuarantinedRow:
    """Return a row of ROWS, harmless to show."""
    number, key, name, call, raw, reason, at = row
    return QuarantinedRow(
        id=number,
        vehicle_id=UUID(key),
        vehicle=sanitise(name, 200),
        call=sanitise(call, 100),
        raw=sanitise(raw, RAW_LIMIT),
        reason=sanitise(reason, _TEXT_LIMIT),
        at=at,
    )


def count_by_reason(cursor: Cursor, vehicle_id: UUID | None) -> list[ReasonCount]:
    """Count the bad rows by vehicle, call and reason, the most frequent first."""
    cursor.execute(_COUNTS, {"vehicle": vehicle_id and str(vehicle_id)})
    return [
        ReasonCount(
            sanitise(vehicle, 200), sanitise(call, 100), sanitise(reason, _TEXT_LIMIT), rows, newest
        )
        for vehicle, call, reason, rows, newest in cursor.fetchall()
    ]


def delete_rows(cursor: Cursor, ids: Collection[int]) -> int:
    """Delete bad rows by id; return how many there were."""
    cursor.execute("DELETE FROM fleetsync.quarantine WHERE id = ANY (%s::bigint[])", (list(ids),))
    return cursor.rowcount


def purge_group(cursor: Cursor, group: RefusedGroup) -> int:
    """Delete the bad rows of a group up to its newest; return how many there were.

    Those that came after it was counted stay.
    """
    values = {
        "vehicle": str(group.vehicle_id),
        "call": group.call,
        "reason": group.reason_hash,
        "newest": group.newest_id,
    }
    cursor.execute(_PURGE_GROUP, values)
    return cursor.rowcount


def purgeable(cursor: Cursor, vehicle_id: UUID | None, age: timedelta) -> Purgeable:
    """Count the bad rows of a vehicle or of all that are at least this old."""
    cursor.execute(_PURGEABLE, {"vehicle": vehicle_id and str(vehicle_id), "age": age})
    return Purgeable(*cursor.fetchall()[0])


def purge(cursor: Cursor, vehicle_id: UUID | None, until: datetime) -> dict[UUID, int]:
    """Delete the bad rows of a vehicle or of all that came up to `until`; count them by vehicle."""
    return _purged(cursor, _PURGE, {"vehicle": vehicle_id and str(vehicle_id), "until": until})


def purge_rows(cursor: Cursor, ids: Collection[int]) -> dict[UUID, int]:
    """Delete bad rows by id; count them by vehicle."""
    return _purged(cursor, _PURGE_ROWS, {"ids": list(ids)})


def _purged(cursor: Cursor, delete: str, values: dict[str, object]) -> dict[UUID, int]:
    cursor.execute(_BY_VEHICLE.format(delete=delete), values)
    return {UUID(key): count for key, count in cursor.fetchall()}
