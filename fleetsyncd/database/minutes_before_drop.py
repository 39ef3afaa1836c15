"""Minutes of months whose rows are to be dropped: once these are gone, they never are computed.

A vehicle's minutes follow its watermark, but not to the end: those before it fell silent would wait
for its next rows, and those after a gap for the gap.
"""

from datetime import date, datetime

from fleetsyncd.database.pool import Cursor

_EXPIRED = """
SELECT (array_agg(partition ORDER BY ends))[1], min(begins), min(ends), max(ends)
FROM fleetsync.expired_months(%s, %s)
"""
# As where a vehicle that is far behind goes on at the present: who writes meanwhile is not missed.
_HAND_OVER = """
WITH behind AS (
    SELECT s.vehicle_id, s.minutes_to FROM fleetsync.minute_state s
    WHERE s.minutes_from < %(end)s AND s.minutes_to < %(end)s
    FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE fleetsync.minute_state s SET minutes_to = %(end)s FROM behind
    WHERE s.vehicle_id = behind.vehicle_id AND s.minutes_to = behind.minutes_to
    RETURNING s.vehicle_id, greatest(behind.minutes_to, s.minutes_from) AS from_at
), begun AS (
    INSERT INTO fleetsync.minute_state AS s (vehicle_id, minutes_from, minutes_to)
    SELECT v.id, %(limit)s, %(end)s FROM public.vehicles v
    WHERE %(limit)s < %(end)s
      AND NOT EXISTS (SELECT FROM fleetsync.minute_state k WHERE k.vehicle_id = v.id)
    ON CONFLICT (vehicle_id) DO NOTHING
    RETURNING s.vehicle_id, s.minutes_from
)
INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at)
SELECT vehicle_id, from_at, %(end)s FROM moved
UNION ALL SELECT vehicle_id, minutes_from, %(end)s FROM begun
"""
_AWAITED = """
SELECT count(*) FROM public.vehicles v
LEFT JOIN fleetsync.minute_state s ON s.vehicle_id = v.id
WHERE CASE WHEN s.vehicle_id IS NULL THEN %(limit)s < %(end)s
    ELSE s.minutes_from < %(end)s AND (s.minutes_to < %(end)s OR EXISTS (
        SELECT FROM fleetsync.minute_due d WHERE d.vehicle_id = s.vehicle_id
          AND d.from_at < %(end)s AND d.to_at > %(begin)s))
    END
"""


def hand_over(cursor: Cursor, keep_months: int, today: date, limit: datetime) -> None:
    """Make due what is not computed of all expired months; no minutes before `limit` are kept."""
    cursor.execute(_EXPIRED, (keep_months, today))
    ((_name, _begin, _end, last),) = cursor.fetchall()
    if last is not None:
        cursor.execute(_HAND_OVER, {"end": last, "limit": limit})


def awaited(
    cursor: Cursor, keep_months: int, today: date, limit: datetime
) -> tuple[str, int] | None:
    """Return the oldest expired month, and of how many vehicles minutes are to be computed of it.

    None: of no vehicle, or no month has expired.
    """
    cursor.execute(_EXPIRED, (keep_months, today))
    ((name, begin, end, _last),) = cursor.fetchall()
    if name is None:
        return None
    cursor.execute(_AWAITED, {"begin": begin, "end": end, "limit": limit})
    ((vehicles,),) = cursor.fetchall()
    return (name, vehicles) if vehicles else None
