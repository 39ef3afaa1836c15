"""The quarantine as operators look through it: groups of bad rows, and a group page by page."""

from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.quarantine import (
    REASON_HASH,
    ROWS,
    QuarantinedRow,
    RefusedGroup,
    quarantined_row,
)
from fleetsyncd.database.vehicle_state import name_of
from fleetsyncd.database.views.chosen import ALL, CHOSEN, Chosen
from fleetsyncd.text import sanitise

MOST_GROUPS = 200
"""Groups that are listed, those with the newest rows first."""
PAGE_ROWS = 100
_NAME_LIMIT, _CALL_LIMIT, _REASON_LIMIT = 200, 100, 2_000
_GROUPS = f"""
SELECT q.vehicle_id::text, {name_of(key="q.vehicle_id")}, q.call, min(q.reason),
    {REASON_HASH}, count(*), max(q.id), max(q.at)
FROM fleetsync.quarantine q JOIN public.vehicles v ON v.id = q.vehicle_id
WHERE {CHOSEN}
GROUP BY q.vehicle_id, v.name, q.call, {REASON_HASH}
ORDER BY max(q.id) DESC LIMIT {MOST_GROUPS}
"""  # noqa: S608  made of this project's own text
_TOTAL = f"""
SELECT count(*), count(DISTINCT q.vehicle_id)
FROM fleetsync.quarantine q JOIN public.vehicles v ON v.id = q.vehicle_id
WHERE {CHOSEN}
"""  # noqa: S608  made of this project's own text
_OF_GROUP = f"""q.vehicle_id = %(vehicle)s::uuid AND q.call = %(call)s
    AND {REASON_HASH} = %(reason)s AND (%(before)s::bigint IS NULL OR q.id < %(before)s)"""

_SIZE = f"""
SELECT count(*) FROM fleetsync.quarantine q WHERE {_OF_GROUP}
"""  # noqa: S608  made of this project's own text


def refused_total(cursor: Cursor, chosen: Chosen = ALL) -> tuple[int, int]:
    """Return how many bad rows the chosen vehicles have, and how many of them have some."""
    cursor.execute(_TOTAL, chosen.values)
    rows, vehicles = cursor.fetchall()[0]
    return rows, vehicles


def refused_groups(cursor: Cursor, chosen: Chosen = ALL) -> list[RefusedGroup]:
    """Return at most MOST_GROUPS groups of the chosen vehicles, the newest rows first."""
    cursor.execute(_GROUPS, chosen.values)
    return [
        RefusedGroup(
            UUID(key),
            sanitise(vehicle, _NAME_LIMIT),
            sanitise(call, _CALL_LIMIT),
            sanitise(reason, _REASON_LIMIT),
            *rest,
        )
        for key, vehicle, call, reason, *rest in cursor.fetchall()
    ]


def refused_rows(
    cursor: Cursor, group: RefusedGroup, before: int | None = None
) -> list[QuarantinedRow]:
    """Return the group's page that follows the row with the id `before`; None: the newest."""
    values = {**_values(group), "before": before, "limit": PAGE_ROWS}
    cursor.execute(ROWS.format(conditions=_OF_GROUP, order="DESC"), values)
    return [quarantined_row(row) for row in cursor.fetchall()]


def group_size(cursor: Cursor, group: RefusedGroup) -> int:
    """Return how many bad rows the group has at present."""
    cursor.execute(_SIZE, {**_values(group), "before": None})
    size: int = cursor.fetchall()[0][0]
    return size


def _values(group: RefusedGroup) -> dict[str, object]:
    return {"vehicle": str(group.vehicle_id), "call": group.call, "reason": group.reason_hash}
