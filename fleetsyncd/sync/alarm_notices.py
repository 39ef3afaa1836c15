"""Tells operators of a vehicle's alarms, in the transaction that stores them."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleetsyncd.conditions.alarms import alarm_notices, are_fresh, chatter_notice, is_told
from fleetsyncd.conditions.chatter import Beginning
from fleetsyncd.conditions.model import FLAP_TIME
from fleetsyncd.database import alarms, mutes, notices, untold_alarms
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Vehicle
from fleetsyncd.notices import Subject
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.telemetry import Alarm


@dataclass(frozen=True, slots=True)
class Told:
    """What a transaction tells of a vehicle's alarms; nothing without a beginning."""

    beginning: Beginning | None = None
    resolved: int = 0


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
) -> Told:
    """Write what is told of alarms; under a mute nothing, but what stays open until its end.

    The context's chatter has to be told of it once it is committed.
    """
    now = context.now()
    begun = are_fresh(begun, now)
    resolved = untold_alarms.forget_resolved(cursor, vehicle.id, resolved)
    if not begun and not resolved:
        return Told()
    if mutes.muted(cursor, [vehicle.id]):
        untold_alarms.hold_alarms(cursor, vehicle.id, begun)
        return Told()
    beginning = context.chatter.divide(vehicle.id, begun, now)
    untold_alarms.hold_alarms(cursor, vehicle.id, beginning.withheld, FLAP_TIME)
    subject = Subject(vehicle.id, vehicle.name)
    told = list(alarm_notices(subject, beginning.told, resolved))
    if beginning.within_hour:
        told.append(chatter_notice(subject, beginning.withheld, beginning.within_hour))
    notices.add_notices(cursor, told)
    return Told(beginning, len(resolved))


def note_told(context: SyncContext, vehicle: Vehicle, told: Told) -> None:
    """Take in that what was told is committed."""
    if told.beginning is not None:
        context.chatter.note(vehicle.id, told.beginning, told.resolved, context.now())
