"""Compare what a vehicle answers with what is stored."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from uuid import UUID

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.database.measurements import BATCH, array
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Measurements

# Channel by channel, since that is the order of the key. A table that was adopted may store values
# as numeric, to which a sent value is rounded. Of two rows of a channel in the same millisecond
# either may be stored.
_COMPARE = """
WITH channels AS (
    SELECT channel_id AS c FROM public.channel_config WHERE vehicle_id = %(id)s::uuid
    UNION SELECT unnest(%(channels)s::int[])
),
sent AS (
    SELECT r.c, r.t, array_agg(r.v) AS vs
    FROM unnest(%(channels)s::int[], %(times)s::timestamptz[], %(values)s::float8[]) r(c, t, v)
    GROUP BY 1, 2
),
stored AS (
    SELECT c, m.time AS t, m.value AS v
    FROM channels, LATERAL (
        SELECT time, value FROM public.measurements
        WHERE vehicle_id = %(id)s::uuid AND channel_id = c
          AND time >= %(start)s AND time < %(end)s) m
)
SELECT count(*) FILTER (WHERE stored.c IS NULL),
    count(*) FILTER (WHERE sent.c IS NOT NULL AND stored.c IS NOT NULL AND NOT
        CASE WHEN pg_typeof(stored.v) = 'numeric'::regtype
             THEN stored.v::numeric IN (SELECT v::numeric FROM unnest(sent.vs) v)
             ELSE stored.v::float8 = ANY (sent.vs) END),
    count(*) FILTER (WHERE sent.c IS NULL)
FROM sent FULL JOIN stored ON sent.c = stored.c AND sent.t = stored.t
"""


def compare(cursor: Cursor, vehicle_id: UUID, window: Window, rows: Measurements) -> AuditCounts:
    """Compare a whole answer of `window` with the rows of it that are stored; change nothing."""
    found = AuditCounts(checked=len(rows))
    for part, batch in _batches(window, rows):
        values = {
            "id": str(vehicle_id),
            "start": part.start,
            "end": part.end,
            "channels": array(rows.channels[batch]),
            "times": array(rows.times[batch]),
            "values": array(rows.values[batch]),
        }
        cursor.execute(_COMPARE, values)
        missing, different, gone = cursor.fetchall()[0]
        found += AuditCounts(missing=missing, different=different, gone=gone)
    return found


def _batches(window: Window, rows: Measurements) -> Iterator[tuple[Window, slice]]:
    """Yield the parts of a window, each with its rows; all rows of a moment are in one part."""
    times, begin, start = rows.times, 0, window.start
    while begin + BATCH < len(times):
        at = times[begin + BATCH]
        cut = bisect_left(times, at)
        if cut == begin:
            cut = bisect_right(times, at)
        if cut == len(times):
            break
        yield Window(start, times[cut]), slice(begin, cut)
        begin, start = cut, times[cut]
    yield Window(start, window.end), slice(begin, None)
