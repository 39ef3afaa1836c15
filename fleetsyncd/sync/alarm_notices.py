"""Tells operators of a vehicle's alarms, in the transaction that stores them."""

from collections.abc import Sequence

from fleetsyncd.conditions.alarms import alarm_notices, is_told
from fleetsyncd.database import alarms, mutes, notices, untold_alarms
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Alarm, Vehicle
from fleetsyncd.notices import Subject
from fleetsyncd.sync.context import SyncContext


def grave_changes(
    context: SyncContext, vehicle: Vehicle, given: Sequence[Alarm], cursor: Cursor
) -> tuple[Sequence[Alarm], Sequence[Alarm]]:
    """Return the new and the resolved alarms among those that operators are told of."""
    least = context.told_alarms
    if least is None or not given:
        return (), ()
    grave = [alarm for alarm in given if is_told(alarm, least)]
    return alarms.alarm_changes(cursor, vehicle.id, grave)


def tell_alarms(
    context: SyncContext,
    vehicle: Vehicle,
    begun: Sequence[Alarm],
    resolved: Sequence[Alarm],
    cursor: Cursor,
) -> None:
    """Write what is told of alarms; under a mute nothing, but what stays open until its end."""
    resolved = untold_alarms.forget_resolved(cursor, vehicle.id, resolved)
    if not begun and not resolved:
        return
    if mutes.muted(cursor, [vehicle.id]):
        untold_alarms.hold_alarms(cursor, vehicle.id, begun)
        return
    subject = Subject(vehicle.id, vehicle.name)
    notices.add_notices(cursor, list(alarm_notices(subject, begun, resolved, context.now())))
