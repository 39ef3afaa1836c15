"""Store alarms, each once, also those whose number their vehicle has used before.

Another machine, or one that was set up anew, counts its alarms from the beginning. The newest alarm
of a number is in `public.alarms_log`, whose key other services know; the others of it are in
`fleetsync.replaced_alarm`, and are updated there.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2

from fleetsyncd.database import store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.statements import IS_SAME_ALARM
from fleetsyncd.telemetry import Alarm

_TRIES = 5
"""Another transaction that stores the same vehicle's alarms makes one more of them necessary."""
_INPUT = """
input AS (
    SELECT r.* FROM unnest(%(ids)s::bigint[], %(channels)s::int[], %(severities)s::text[],
        %(messages)s::text[], %(triggered)s::timestamptz[], %(resolved)s::timestamptz[])
        WITH ORDINALITY r(id, channel, severity, message, triggered, resolved, number)
)
"""
# The statements below are made of constants only. Alarms are looked up one by one (count, OFFSET 0,
# ANY): under row level security the planner takes a vehicle to have few of them, and would join
# each of an answer with all that are stored.
_OF_LOG = IS_SAME_ALARM.format(known="k", triggered="r.triggered", channel="r.channel")
_REPLACED = IS_SAME_ALARM.format(known="p", triggered="r.triggered", channel="r.channel")
_IS_NEWER = "(k.triggered_at < r.triggered - interval '1 ms') IS NOT FALSE"
_LOG = "public.alarms_log k WHERE k.vehicle_id = %(id)s::uuid AND k.alarm_id = r.id"
_ARCHIVE = "fleetsync.replaced_alarm p WHERE p.vehicle_id = %(id)s::uuid AND p.alarm_id = r.id"
_HAS = """
SELECT FROM (
    SELECT vehicle_id FROM public.alarms_log WHERE vehicle_id = %(id)s::uuid
    UNION ALL
    SELECT vehicle_id FROM fleetsync.replaced_alarm WHERE vehicle_id = %(id)s::uuid
) stored OFFSET %(before)s LIMIT 1
"""
_KNOWN = f"""
WITH {_INPUT}
SELECT r.number::int FROM input r
WHERE (SELECT count(*) FROM {_LOG} AND {_OF_LOG}) > 0
   OR (SELECT count(*) FROM {_ARCHIVE} AND {_REPLACED}) > 0
ORDER BY 1
"""  # noqa: S608
_OPEN = f"""
WITH {_INPUT}
SELECT r.number::int,
    (SELECT count(*) FROM {_LOG} AND {_OF_LOG}) + (SELECT count(*) FROM {_ARCHIVE} AND {_REPLACED})
        > 0,
    (SELECT count(*) FROM {_LOG} AND {_OF_LOG} AND k.resolved_at IS NULL)
        + (SELECT count(*) FROM {_ARCHIVE} AND {_REPLACED} AND p.resolved_at IS NULL) > 0
FROM input r ORDER BY 1
"""  # noqa: S608
# A statement does not see what its own CTEs change: a replaced alarm is one also after its update.
_REUSED = f"""
WITH {_INPUT},
replaced AS MATERIALIZED (
    SELECT p.id, r.resolved, r.number
    FROM input r CROSS JOIN LATERAL (SELECT * FROM {_ARCHIVE} AND {_REPLACED} OFFSET 0) p
),
updated AS (
    UPDATE fleetsync.replaced_alarm p SET resolved_at = r.resolved, synced_at = now()
    FROM replaced r
    WHERE p.vehicle_id = %(id)s::uuid AND p.id = ANY (ARRAY(SELECT id FROM replaced))
      AND p.id = r.id AND p.resolved_at IS DISTINCT FROM r.resolved
    RETURNING 1
),
reused AS (
    SELECT r.number::int, {_IS_NEWER} AS is_newer
    FROM input r CROSS JOIN LATERAL (SELECT * FROM {_LOG} OFFSET 0) k
    WHERE {_OF_LOG} IS NOT TRUE AND r.number <> ALL (ARRAY(SELECT number FROM replaced))
)
SELECT (SELECT count(*) FROM updated)::int, ARRAY(SELECT number FROM reused ORDER BY number),
    ARRAY(SELECT number FROM reused WHERE is_newer ORDER BY number)
"""  # noqa: S608
_COLUMNS = "vehicle_id, alarm_id, channel_id, severity, message, triggered_at, resolved_at"
# Deleted and stored anew: what others have added to the row says nothing about the newer alarm.
_MOVE_OLDER = f"""
WITH {_INPUT},
moved AS (
    DELETE FROM public.alarms_log k USING input r
    WHERE k.vehicle_id = %(id)s::uuid AND k.alarm_id = ANY (%(ids)s::bigint[])
      AND k.alarm_id = r.id AND {_IS_NEWER}
    RETURNING to_jsonb(k) AS whole, k.vehicle_id, k.alarm_id, k.channel_id, k.severity, k.message,
        k.triggered_at, k.resolved_at, k.synced_at
)
INSERT INTO fleetsync.replaced_alarm ({_COLUMNS}, synced_at, other_columns)
SELECT {_COLUMNS}, synced_at,
    nullif(whole - string_to_array('{_COLUMNS}, synced_at', ', '), '{{}}') FROM moved
ON CONFLICT DO NOTHING
"""  # noqa: S608
_ADD_REPLACED = f"""
WITH {_INPUT}
INSERT INTO fleetsync.replaced_alarm ({_COLUMNS}, synced_at)
SELECT %(id)s::uuid, id, channel, severity, message, triggered, resolved, now() FROM input
ON CONFLICT DO NOTHING
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class SavedAlarms:
    """How many alarms and resolutions were new, and how many of the alarms have a used number."""

    written: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class _Reused:
    """Alarms whose number another stored one has."""

    updated: int
    """Resolutions of replaced alarms that were new."""
    alarms: list[Alarm]
    newer: list[Alarm]
    """Those that are newer than the one in `alarms_log`."""


def has_alarms(cursor: Cursor, vehicle_id: UUID, count: int) -> bool:
    """Tell whether at least so many alarms are stored."""
    cursor.execute(_HAS, {"id": str(vehicle_id), "before": count - 1})
    return cursor.rowcount == 1


def known_alarms(cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]) -> list[Alarm]:
    """Return those of the alarms that are stored, resolved or not."""
    if not alarms:
        return []
    cursor.execute(_KNOWN, _values(vehicle_id, alarms))
    return [alarms[number - 1] for (number,) in cursor.fetchall()]


def alarm_changes(
    cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]
) -> tuple[list[Alarm], list[Alarm]]:
    """Return the alarms that are not stored yet, and those that are stored as open and are not."""
    if not alarms:
        return [], []
    cursor.execute(_OPEN, _values(vehicle_id, alarms))
    states = [(alarms[number - 1], known, is_open) for number, known, is_open in cursor.fetchall()]
    new = [alarm for alarm, is_known, _is_open in states if not is_known]
    resolved = [alarm for alarm, _is_known, is_open in states if is_open and alarm.resolved_at]
    return new, resolved


def save_alarms(cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]) -> SavedAlarms:
    """Store new alarms and resolutions; of alarms with one number the newest in `alarms_log`.

    Where the row of an older one cannot be moved, since rows of others refer to it, it stays, and
    the newer one is kept beside it.
    """
    if not alarms:
        return SavedAlarms()
    written = store.save_alarms(cursor, vehicle_id, _newest(alarms))
    reused = _find_reused(cursor, vehicle_id, alarms)
    found = SavedAlarms(written + reused.updated + len(reused.alarms), len(reused.alarms))
    for _ in range(_TRIES):
        newest = _newest(reused.newer)
        if not newest or not _move_older(cursor, vehicle_id, newest):
            break
        store.save_alarms(cursor, vehicle_id, newest)
        reused = _find_reused(cursor, vehicle_id, reused.alarms)
    if reused.alarms:
        cursor.execute(_ADD_REPLACED, _values(vehicle_id, reused.alarms))
    return found


def _newest(alarms: Sequence[Alarm]) -> list[Alarm]:
    """Return the newest alarm of each number, by number, so that writers never deadlock."""

    def place(alarm: Alarm) -> tuple[int, datetime]:
        return alarm.alarm_id, alarm.triggered_at

    return list({alarm.alarm_id: alarm for alarm in sorted(alarms, key=place)}.values())


def _find_reused(cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]) -> _Reused:
    """Find the alarms that are in neither table; update those that were replaced before."""
    cursor.execute(_REUSED, _values(vehicle_id, alarms))
    ((updated, numbers, newer),) = cursor.fetchall()
    return _Reused(updated, [alarms[n - 1] for n in numbers], [alarms[n - 1] for n in newer])


def _move_older(cursor: Cursor, vehicle_id: UUID, newest: Sequence[Alarm]) -> bool:
    """Take the older alarms of these numbers out of `alarms_log`; False if others refer to one."""
    cursor.execute("SAVEPOINT older")
    try:
        cursor.execute(_MOVE_OLDER, _values(vehicle_id, newest))
    except (psycopg2.errors.ForeignKeyViolation, psycopg2.errors.RestrictViolation):
        cursor.execute("ROLLBACK TO SAVEPOINT older")
        return False
    return True


def _values(vehicle_id: UUID, alarms: Sequence[Alarm]) -> dict[str, Any]:
    return {
        "id": str(vehicle_id),
        "ids": [alarm.alarm_id for alarm in alarms],
        "channels": [alarm.channel_id for alarm in alarms],
        "severities": [alarm.severity for alarm in alarms],
        "messages": [alarm.message for alarm in alarms],
        "triggered": [alarm.triggered_at for alarm in alarms],
        "resolved": [alarm.resolved_at for alarm in alarms],
    }
