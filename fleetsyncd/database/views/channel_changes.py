"""Read-only query over the channels of a vehicle that mean something else than before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.text import sanitise

MOST_CHANGES, MOST_PLOTTED = 5, 100
"""What a page shows, and a plot, the last ones first."""
_COLUMNS = f"""
SELECT channel_id, {epoch("changed_at")}, old_name, old_unit, old_min, old_max
FROM fleetsync.channel_change WHERE vehicle_id = %s::uuid
"""  # noqa: S608  made of this file's own text
_CHANGES = f"{_COLUMNS} ORDER BY changed_at DESC, channel_id LIMIT {MOST_CHANGES}"
_CHANGES_SINCE = f"""
{_COLUMNS} AND channel_id = ANY (%s::int[]) AND changed_at >= to_timestamp(%s)
ORDER BY changed_at DESC, channel_id LIMIT {MOST_PLOTTED}
"""


@dataclass(frozen=True, slots=True)
class StoredChange:
    """What a channel meant until `changed_at`."""

    channel_id: int
    changed_at: datetime | None
    old_name: str
    old_unit: str
    old_min: float | None
    old_max: float | None


def channel_changes(cursor: Cursor, vehicle_id: UUID) -> list[StoredChange]:
    """Return the vehicle's last MOST_CHANGES changes; none if the role may not read them."""
    if not may_read(cursor, "fleetsync.channel_change"):
        return []
    cursor.execute(_CHANGES, (str(vehicle_id),))
    return list(map(_change, cursor.fetchall()))


def changes_since(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[int], since: float
) -> list[StoredChange]:
    """Return the changes of channels from a time on, in seconds since 1970, the last ones first.

    What was stored before any of them has its earlier meaning. None if the role may not read them.
    """
    if not may_read(cursor, "fleetsync.channel_change"):
        return []
    cursor.execute(_CHANGES_SINCE, (str(vehicle_id), list(channels), since))
    return list(map(_change, cursor.fetchall()))


def _change(row: tuple[Any, ...]) -> StoredChange:
    number, changed, old_name, old_unit, low, high = row
    return StoredChange(
        channel_id=number,
        changed_at=from_epoch(changed),
        old_name=sanitise(old_name or "", 100),
        old_unit=sanitise(old_unit or "", 20),
        old_min=low,
        old_max=high,
    )
