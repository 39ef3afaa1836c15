"""Lost intervals: what is before the watermark, although not everything of it is stored.

An interval is of one kind only, that which was found last.
Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.time_limits import LATEST_CLOCK

GONE = "gone for good"
"""The kind of what the vehicle, or this program by its retention, did not have any more."""
MISSING = "missing by audit"
"""The kind of what an audit found to be missing and has not stored."""
MOST_INTERVALS = 1_000
"""Of a vehicle; the oldest ones are taken together, with what is between them."""
_TAKE_NEIGHBOURS = """
DELETE FROM fleetsync.lost_interval WHERE vehicle_id = %(id)s::uuid AND kind = %(kind)s
    AND from_at <= %(end)s AND to_at >= %(start)s
RETURNING from_at, to_at
"""
_TAKE_OLDEST = """
DELETE FROM fleetsync.lost_interval WHERE vehicle_id = %(id)s::uuid AND kind = %(kind)s
    AND from_at <= (
        SELECT newest[%(most)s] FROM (
            SELECT array_agg(from_at ORDER BY from_at DESC) AS newest
            FROM fleetsync.lost_interval WHERE vehicle_id = %(id)s::uuid AND kind = %(kind)s) each
        WHERE cardinality(newest) > %(most)s)
RETURNING from_at, to_at
"""
_ADD = """
INSERT INTO fleetsync.lost_interval (vehicle_id, kind, from_at, to_at)
VALUES (%(id)s::uuid, %(kind)s, %(start)s, %(end)s)
"""
_RECOVER = """
WITH cut AS (
    DELETE FROM fleetsync.lost_interval
    WHERE vehicle_id = %(id)s::uuid AND kind = ANY (%(kinds)s)
        AND from_at < %(end)s AND to_at > %(start)s
    RETURNING vehicle_id, kind, from_at, to_at, found_at
)
INSERT INTO fleetsync.lost_interval (vehicle_id, kind, from_at, to_at, found_at)
SELECT vehicle_id, kind, lower(rest), upper(rest), found_at FROM cut, unnest(
    tstzmultirange(tstzrange(from_at, to_at)) - tstzmultirange(tstzrange(%(start)s, %(end)s))) rest
"""

IS_MISSING = f"""
SELECT FROM fleetsync.lost_interval WHERE vehicle_id = %(id)s::uuid AND kind = '{MISSING}'
    AND from_at < %(end)s AND to_at > %(start)s
"""


def record_loss(cursor: Cursor, vehicle_id: UUID, lost: Window, kind: str = GONE) -> None:
    """Record that an interval is lost, together with those of its kind that it touches.

    It takes the place of what is recorded of other kinds.
    """
    if lost.end <= lost.start:
        return
    key = {"id": str(vehicle_id), "kind": kind}
    cursor.execute(_TAKE_NEIGHBOURS, {**key, "start": lost.start, "end": lost.end})
    _add_joined(cursor, key, [lost, *(Window(*ends) for ends in cursor.fetchall())])
    cursor.execute(_TAKE_OLDEST, {**key, "most": MOST_INTERVALS})
    if oldest := [Window(*ends) for ends in cursor.fetchall()]:
        _add_joined(cursor, key, oldest)


def record_passed(
    cursor: Cursor,
    vehicle_id: UUID,
    known: datetime | None,
    reached: datetime,
    lost: Iterable[Window],
    overdue: Iterable[Window] = (),
) -> None:
    """Record what is lost of the time that a watermark has passed over, from `known` on.

    What is `overdue` was passed over before, and is known only now.
    """
    for each in overdue:
        record_loss(cursor, vehicle_id, each)
    for each in lost:
        start = each.start if known is None else max(known, each.start)
        record_loss(cursor, vehicle_id, Window(start, min(reached, each.end)))


def recover(
    cursor: Cursor, vehicle_id: UUID, stored: Window, kinds: Collection[str] = (GONE, MISSING)
) -> None:
    """Record that an interval is not lost in one of these ways: all of it is stored after all."""
    if stored.end > stored.start:
        ends = {"start": stored.start, "end": stored.end}
        cursor.execute(_RECOVER, {"id": str(vehicle_id), "kinds": list(kinds), **ends})


def is_missing(cursor: Cursor, vehicle_id: UUID, within: Window) -> bool:
    """Tell whether an audit has found rows of this time to be missing, and nobody stored them."""
    values = {"id": str(vehicle_id), "start": within.start, "end": within.end}
    cursor.execute(IS_MISSING, values)
    return bool(cursor.fetchall())


def forget_after(cursor: Cursor, vehicle: Vehicle, watermark: datetime) -> None:
    """Forget what is lost after the watermark, if it was set back: all of that is pulled again."""
    if vehicle.was_set_back:
        recover(cursor, vehicle.id, Window(watermark, LATEST_CLOCK))


def _add_joined(cursor: Cursor, key: dict[str, str], parts: list[Window]) -> None:
    """Add one interval from the first start to the last end."""
    ends = {"start": min(part.start for part in parts), "end": max(part.end for part in parts)}
    others = [kind for kind in (GONE, MISSING) if kind != key["kind"]]
    cursor.execute(_RECOVER, {**key, **ends, "kinds": others})
    cursor.execute(_ADD, {**key, **ends})
