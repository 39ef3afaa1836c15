"""Read-only queries over one vehicle: its channels, their values over time, alarms, details."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetsyncd.database.cluster import value_of
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import name_of
from fleetsyncd.database.views.newest_values import newest_values
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.series import Slices, read_exactly
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.text import sanitise

SPARK_SEC = 600
SPARK_POINTS = 20
MAX_ALARMS, MAX_CHANNELS = 200, 200
"""What a page shows: a vehicle decides how many it has."""

_COLUMNS = "channel_id, name, unit, min_value, max_value"
# Step by step along the index: a planner that takes the vehicle for one of few channels would read
# all of them, and sort them.
_FIRST = f"""
WITH RECURSIVE c AS (
    (SELECT {_COLUMNS}, 1 AS position FROM public.channel_config
     WHERE vehicle_id = %(id)s::uuid ORDER BY channel_id LIMIT 1)
    UNION ALL
    SELECT following.*, c.position + 1 FROM c CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM public.channel_config f
        WHERE f.vehicle_id = %(id)s::uuid AND f.channel_id > c.channel_id
        ORDER BY f.channel_id LIMIT 1
    ) following
    WHERE c.position < %(limit)s
)
"""  # noqa: S608  made of this file's own text
_MATCHING = f"""
WITH c AS (
    SELECT {_COLUMNS} FROM public.channel_config
    WHERE vehicle_id = %(id)s::uuid
      AND (strpos(lower(name), lower(%(search)s)) > 0
           OR starts_with(channel_id::text, %(search)s))
    ORDER BY channel_id LIMIT %(limit)s
)
"""  # noqa: S608  made of this file's own text
_CHANNELS = "SELECT coalesce(json_agg(c ORDER BY c.channel_id), '[]')::text FROM c"
_ALARM_TIMES = ", ".join(map(epoch, ("triggered_at", "resolved_at", "replaced_at")))
ALARM_COLUMNS = f"alarm_id, channel_id, severity, message, {_ALARM_TIMES}"
"""What `stored_alarm` makes a StoredAlarm of."""
_STORED = """
(SELECT vehicle_id, alarm_id, channel_id, severity::text, message::text,
    triggered_at::timestamptz, resolved_at::timestamptz, NULL::timestamptz AS replaced_at
 FROM public.alarms_log {replaced}) stored
"""
_REPLACED = """
 UNION ALL
 SELECT vehicle_id, alarm_id, channel_id, severity, message, triggered_at, resolved_at, replaced_at
 FROM fleetsync.replaced_alarm
"""
_ALARMS = f"""
SELECT {ALARM_COLUMNS} FROM {{stored}} WHERE vehicle_id = %s::uuid
ORDER BY coalesce(resolved_at, replaced_at) IS NOT NULL, triggered_at DESC LIMIT %s
"""  # noqa: S608  made of this file's own text
_DETAILS = f"""
SELECT {name_of()}, coalesce(host(v.vpn_ip), '?'), coalesce(v.api_port, 8001),
    {epoch("v.created_at")}, {epoch("v.last_seen_at")}, {epoch("v.last_sync_at")},
    {epoch("s.alarm_watermark")}, {epoch("s.newest_measurement_at")}, s.clock_skew_ms,
    (SELECT count(*) FROM fleetsync.quarantine q WHERE q.vehicle_id = v.id),
    s.id_hint, s.other_hint, {epoch("s.other_hint_since")}, {epoch("now()")}
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
WHERE v.id = %s::uuid
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class ChannelValue:
    """A channel with its newest value.

    `curve` holds its averages in SPARK_POINTS slices of the last SPARK_SEC, None without any value.
    """

    channel_id: int
    name: str
    unit: str
    min_value: float | None
    max_value: float | None
    value: float | None
    age: float | None
    measured_at: datetime | None
    curve: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class StoredAlarm:
    """A stored alarm; open while `resolved_at` and `replaced_at` are None."""

    alarm_id: int
    channel_id: int | None
    severity: str
    message: str
    triggered_at: datetime | None
    resolved_at: datetime | None
    replaced_at: datetime | None = None
    """Since when another alarm has its number: it is of an earlier numbering."""

    @property
    def ended_at(self) -> datetime | None:
        """Up to when it is known to have lasted; None while it lasts."""
        return self.resolved_at or self.replaced_at


@dataclass(frozen=True, slots=True)
class VehicleDetails:
    """A vehicle's registration and sync state; never its key."""

    name: str
    host: str
    port: int
    created_at: datetime | None
    last_seen_at: datetime | None
    last_sync_at: datetime | None
    alarm_watermark: datetime | None
    newest_measurement_at: datetime | None
    clock_skew_ms: int | None
    quarantined: int
    now: float
    """The database's time when they were read, in seconds since 1970."""
    id_hint: str | None = None
    """What it calls itself, or has until `other_hint_since`."""
    other_hint: str | None = None
    other_hint_since: datetime | None = None


def channel_values(cursor: Cursor, vehicle_id: UUID, search: str = "") -> list[ChannelValue]:
    """Return the vehicle's first MAX_CHANNELS channels with their newest values.

    With a `search`, only those whose name contains it, or whose number starts with it.
    """
    values = {"id": str(vehicle_id), "limit": MAX_CHANNELS, "search": search}
    channels = value_of(cursor, (_MATCHING if search else _FIRST) + _CHANNELS, values)
    newest = newest_values(cursor, channels, values)
    if not newest:
        return []
    slices = Slices.until(newest[0].now, SPARK_SEC, SPARK_POINTS)
    curves = read_exactly(cursor, vehicle_id, [each.channel_id for each in newest], slices)
    return [
        ChannelValue(
            channel_id=each.channel_id,
            name=sanitise(each.name or "", 100),
            unit=sanitise(each.unit or "", 20),
            min_value=each.min_value,
            max_value=each.max_value,
            value=each.value,
            age=each.age,
            measured_at=from_epoch(each.measured_at),
            curve=tuple(map(curves.get(each.channel_id, {}).get, range(SPARK_POINTS))),
        )
        for each in newest
    ]


def all_alarms(cursor: Cursor) -> str:
    """Return what ALARM_COLUMNS are of, as SQL: alarms, replaced ones too if the role may."""
    may = may_read(cursor, "fleetsync.replaced_alarm")
    return _STORED.format(replaced=_REPLACED if may else "")


def stored_alarms(cursor: Cursor, vehicle_id: UUID) -> list[StoredAlarm]:
    """Return the vehicle's alarms: open ones first, then the newest."""
    cursor.execute(_ALARMS.format(stored=all_alarms(cursor)), (str(vehicle_id), MAX_ALARMS))
    return [stored_alarm(row) for row in cursor.fetchall()]


def stored_alarm(row: Sequence[Any]) -> StoredAlarm:
    """Return the alarm of a row of ALARM_COLUMNS."""
    number, channel, severity, message, triggered, resolved, replaced = row
    return StoredAlarm(
        alarm_id=number,
        channel_id=channel,
        severity=sanitise(severity or "", 30),
        message=sanitise(message or "", 300),
        triggered_at=from_epoch(triggered),
        resolved_at=from_epoch(resolved),
        replaced_at=from_epoch(replaced),
    )


def vehicle_details(cursor: Cursor, vehicle_id: UUID) -> VehicleDetails | None:
    """Return the vehicle's details; None if it was removed."""
    cursor.execute(_DETAILS, (str(vehicle_id),))
    row = cursor.fetchone()
    if row is None:
        return None
    (
        name,
        host,
        port,
        created,
        seen,
        synced,
        alarms_to,
        newest,
        skew,
        quarantined,
        hint,
        other,
        since,
        now,
    ) = row
    return VehicleDetails(
        now=now,
        name=sanitise(name, 200),
        host=host,
        port=port,
        created_at=from_epoch(created),
        last_seen_at=from_epoch(seen),
        last_sync_at=from_epoch(synced),
        alarm_watermark=from_epoch(alarms_to),
        newest_measurement_at=from_epoch(newest),
        clock_skew_ms=skew,
        quarantined=quarantined,
        id_hint=None if hint is None else sanitise(hint, 200),
        other_hint=None if other is None else sanitise(other, 200),
        other_hint_since=from_epoch(since),
    )
