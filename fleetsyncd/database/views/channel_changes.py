"""Read-only query over the channels of a vehicle that mean something else than before."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.text import sanitise

MOST_CHANGES = 5
"""What a page shows, the last ones first."""
_CHANGES = f"""
SELECT channel_id, {epoch("changed_at")}, old_name, old_unit, old_min, old_max
FROM fleetsync.channel_change WHERE vehicle_id = %s::uuid
ORDER BY changed_at DESC, channel_id LIMIT {MOST_CHANGES}
"""  # noqa: S608  made of this file's own text


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
    return [
        StoredChange(
            channel_id=number,
            changed_at=from_epoch(changed),
            old_name=sanitise(old_name or "", 100),
            old_unit=sanitise(old_unit or "", 20),
            old_min=low,
            old_max=high,
        )
        for number, changed, old_name, old_unit, low, high in cursor.fetchall()
    ]
