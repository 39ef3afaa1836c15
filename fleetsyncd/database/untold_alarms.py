"""Open alarms whose beginning was not told: their end is not told either, or they are told later.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.statements import IS_SAME_ALARM
from fleetsyncd.slices import Slices
from fleetsyncd.telemetry import Alarm

# A row of fleetsync.condition for each: `amount` is the number that the vehicle gave it, `since`
# when it was triggered, and `flap_told_at` is null if it is told as soon as nothing is muted.
_HOLD = """
INSERT INTO fleetsync.condition (kind, subject, vehicle_id, since, amount, flap_told_at)
SELECT 'untold alarm', subject, %(id)s::uuid, since, amount, now() + %(rest)s::interval
FROM jsonb_to_recordset(%(alarms)s::jsonb) a(subject text, since timestamptz, amount bigint)
ON CONFLICT (kind, subject) DO UPDATE SET flap_told_at = excluded.flap_told_at
"""
_RELEASE = """
DELETE FROM fleetsync.condition WHERE kind = 'untold alarm' AND subject = ANY (%s::text[])
RETURNING subject
"""
# The channel is the last part of the subject.
_IS_SAME = IS_SAME_ALARM.format(
    known="k", triggered="u.since", channel="nullif(split_part(u.subject, ' ', 4), '')::int"
)
_COLUMNS = "k.channel_id, k.severity, k.message, k.triggered_at"
_OPEN = f"""k.vehicle_id = u.vehicle_id AND k.alarm_id = u.amount AND {_IS_SAME}
    AND k.resolved_at IS NULL"""
_TAKE = f"""
WITH untold AS (
    DELETE FROM fleetsync.condition WHERE kind = 'untold alarm'
      AND vehicle_id <> ALL (%s::uuid[]) AND coalesce(flap_told_at <= now(), true)
    RETURNING subject, vehicle_id, since, amount
)
SELECT u.vehicle_id::text, u.amount, a.* FROM untold u CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM public.alarms_log k WHERE {_OPEN}
    UNION ALL
    SELECT {_COLUMNS} FROM fleetsync.replaced_alarm k WHERE {_OPEN} LIMIT 1) a
"""  # noqa: S608  made of this file's own text


def hold_alarms(
    cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm], rest: timedelta | None = None
) -> None:
    """Remember those that are open as not told: they are, by `take_alarms`, after a `rest`."""
    rows = [
        {"subject": _subject(vehicle_id, each), "since": each.triggered_at, "amount": each.alarm_id}
        for each in alarms
        if each.resolved_at is None
    ]
    if rows:
        values = {"id": str(vehicle_id), "rest": rest, "alarms": msgspec.json.encode(rows).decode()}
        cursor.execute(_HOLD, values)


def forget_resolved(cursor: Cursor, vehicle_id: UUID, resolved: Sequence[Alarm]) -> list[Alarm]:
    """Return those of the alarms, which are resolved now, whose beginning was told."""
    if not resolved:
        return []
    named = {_subject(vehicle_id, each): each for each in resolved}
    cursor.execute(_RELEASE, (list(named),))
    untold = {subject for (subject,) in cursor.fetchall()}
    return [each for subject, each in named.items() if subject not in untold]


def take_alarms(
    cursor: Cursor, untold: Collection[UUID], slices: Slices
) -> dict[UUID, list[Alarm]]:
    """Return what is to be told now, as it still is open; it then counts as told.

    That of `untold` vehicles stays.
    """
    cursor.execute(_TAKE, ([str(vehicle_id) for vehicle_id in untold],))
    found: dict[UUID, list[Alarm]] = {}
    for key, number, channel, severity, message, triggered in slices.each(cursor):
        alarm = Alarm(number, channel, severity, message, triggered, None)
        found.setdefault(UUID(key), []).append(alarm)
    return found


def _subject(vehicle_id: UUID, alarm: Alarm) -> str:
    channel = "" if alarm.channel_id is None else alarm.channel_id
    return f"{vehicle_id} {alarm.alarm_id} {alarm.triggered_at.timestamp():.3f} {channel}"
