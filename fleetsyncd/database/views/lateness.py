"""Why vehicles are late that answer: what the database knows of it, in a few words each."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from fleetsyncd.database import mutes
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import sync_interval
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.states import LATE_AFTER_INTERVALS, State, VehicleOverview
from fleetsyncd.text import age, is_ahead

SHARE_OF_LAG = 0.5
"""A clock that is behind by this part of the lag is what makes a vehicle late."""
_LONG_WINDOW_SEC = 3600
"""A link that carries so much of a vehicle's time in one answer is not slow."""
# Only what can be a cause: most vehicles of a fleet have a good clock and a good link.
_CAUSES = """
SELECT vehicle_id::text, clock_skew_ms / 1000.0::float8, data_window_ms / 1000.0::float8
FROM fleetsync.vehicle_state
WHERE clock_skew_ms < -1000 * %(behind)s::float8 OR data_window_ms < 1000 * %(window)s
"""
_Cause = tuple[float | None, float | None]
"""The vehicle's clock minus the daemon's, and its learned window, in seconds."""
_NO_CAUSE: _Cause = (None, None)


def overview_with_reasons(
    cursor: Cursor, default_sync_interval_sec: float, tags: Collection[str] = ()
) -> list[VehicleOverview]:
    """Return the vehicles, ordered by name: why the late ones are late, and which are muted.

    With `tags` only those that have one of them. A running daemon's interval counts, if there is
    one.
    """
    vehicles = _with_mutes(cursor, fleet_overview(cursor, default_sync_interval_sec, tags))
    if all(vehicle.state is not State.LATE for vehicle in vehicles):
        return vehicles
    interval = sync_interval(cursor, default_sync_interval_sec)
    cursor.execute(_CAUSES, {"behind": interval, "window": _LONG_WINDOW_SEC})
    causes: dict[UUID, _Cause] = {UUID(key): (skew, span) for key, skew, span in cursor.fetchall()}
    return [
        msgspec.structs.replace(
            vehicle,
            late_because=_reason(
                vehicle, causes.get(vehicle.id, _NO_CAUSE), vehicle.interval(interval)
            ),
        )
        if vehicle.state is State.LATE
        else vehicle
        for vehicle in vehicles
    ]


def _with_mutes(cursor: Cursor, vehicles: list[VehicleOverview]) -> list[VehicleOverview]:
    """Return the vehicles with their mutes; a role that may not read them sees none."""
    muted = mutes.muted(cursor) if may_read(cursor, "fleetsync.mute") else {}
    if not muted:
        return vehicles
    return [
        msgspec.structs.replace(each, mute=muted[each.id]) if each.id in muted else each
        for each in vehicles
    ]


def _reason(vehicle: VehicleOverview, cause: _Cause, interval: float) -> str | None:
    """Return why a late vehicle is late, the cause that hides the others first; None if unknown."""
    skew, window = cause
    if is_ahead(vehicle.seen_age):
        return f"seen {age(-vehicle.seen_age)} ahead of the database's clock, which was set back"
    if vehicle.replica is None:
        return "no daemon pulls it"
    if vehicle.lag is None:
        return "nothing was pulled yet"
    if vehicle.seen_age is None or vehicle.seen_age > LATE_AFTER_INTERVALS * interval:
        return f"not asked for {age(vehicle.seen_age)}: the daemon is behind"
    if skew is not None and -skew >= SHARE_OF_LAG * vehicle.lag:
        return f"its clock is {age(-skew)} behind: set it"
    if window is not None and window < vehicle.lag:
        return f"slow link: one answer carries {age(window)} of its data"
    return None
