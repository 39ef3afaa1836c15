"""The registered vehicles with all that a daemon has to know of them."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.budgets import Intake
from fleetsyncd.database import lateness
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.database.vehicle_memory import CHANNELS_CONTENT
from fleetsyncd.database.vehicle_state import ADDRESS, IS_PAUSED, true_islands
from fleetsyncd.database.vehicle_terms import JOIN_TERMS, TERMS
from fleetsyncd.models import (
    HistoryLook,
    LearnedWindows,
    Vehicle,
    Window,
)
from fleetsyncd.terms import NO_TERMS, Terms
from fleetsyncd.text import sanitise

OPEN_ALARM_MAX_AGE = timedelta(days=7)
"""An open alarm that is older is not asked for again."""
MAX_SKEW = timedelta(days=365 * 200)
NAME_LIMIT = 200
_NOTHING_SET = (None,) * 4
_OPEN = """
WHERE vehicle_id = v.id AND resolved_at IS NULL AND triggered_at > age.since
  AND triggered_at < now() + interval '1 day'
"""
# Other services write last_sync_at too. Infinity, and years that Python cannot hold, are legal
# there; one such row must not keep the whole fleet from being read.
LOAD_VEHICLES = f"""
SELECT v.id::text, coalesce(v.name, v.id::text), {ADDRESS.format(v="v.")}, v.api_key,
       CASE WHEN v.last_sync_at IS NOT NULL
            THEN greatest(least(v.last_sync_at::timestamptz, '9999-01-01Z'), '0001-01-02Z') END,
       coalesce(v.sync_status, 'unknown'), v.software_version, {IS_PAUSED},
       s.alarm_watermark, a.oldest, s.asked_to, s.clock_skew_ms,
       coalesce(s.failures, 0), s.newest_measurement_at, s.alarms_digest,
       CASE WHEN c.content = s.channels_content THEN s.channels_digest END,
       s.data_window_ms, s.alarms_window_ms, s.id_hint, s.other_hint,
       CASE WHEN NOT isempty(s.islands) THEN
           (SELECT array_agg(at ORDER BY at)
            FROM unnest({true_islands("v.last_sync_at")}) r,
                LATERAL (VALUES (lower(r)), (upper(r))) ends(at)) END,
       s.history_from, s.history_at, s.history_watermark, s.history_pace, s.gap_pace,
       coalesce(v.last_sync_at::timestamptz, '-infinity') < s.island_watermark IS TRUE,
       s.intake_day IS NOT DISTINCT FROM current_date, s.day_rows, s.day_seconds, s.day_alarms,
       s.day_channel_changes, {TERMS}, {lateness.SELECTED}
FROM public.vehicles v
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
{JOIN_TERMS}
LEFT JOIN LATERAL (
    SELECT least(
        (SELECT triggered_at FROM public.alarms_log {_OPEN} ORDER BY triggered_at LIMIT 1),
        (SELECT triggered_at FROM fleetsync.replaced_alarm {_OPEN} ORDER BY triggered_at LIMIT 1)
    ) AS oldest
    FROM (SELECT now() - %s::interval AS since) age
) a ON true
LEFT JOIN LATERAL ({CHANNELS_CONTENT.format(vehicle="v.id")}) c ON true
WHERE true {{conditions}}
"""  # noqa: S608  made of this project's own text


def load_vehicles(
    cursor: Cursor, only: Collection[UUID] | None = None, shards: Collection[int] | None = None
) -> list[Vehicle]:
    """Return the fleet, or a part of it, with what the next cycle needs to know of each vehicle."""
    conditions, arguments = in_shards("v.id", shards)
    if only is not None:
        conditions += " AND v.id = ANY (%s::uuid[])"
        arguments.append([str(vehicle_id) for vehicle_id in only])
    statement = LOAD_VEHICLES.format(conditions=conditions)
    cursor.execute(statement, (OPEN_ALARM_MAX_AGE, *arguments))
    return [_vehicle(row) for row in cursor.fetchall()]


def _vehicle(row: tuple[Any, ...]) -> Vehicle:
    (
        key, name, host, port, api_key, watermark, status, version, paused,
        alarm_watermark, oldest_open_alarm, pulled_until, skew_ms, failures, newest,
        alarms_digest, channels_digest, data_ms, alarms_ms, hint, other_hint, island_ends,
        history_from, history_at, history_watermark, history_pace, gap_pace, was_set_back, is_today,
        day_rows, day_seconds, day_alarms, day_channel_changes,
        interval_sec, timeout_sec, window_sec, gap_kbit, *late
    ) = row  # fmt: skip
    return Vehicle(
        id=UUID(key),
        name=sanitise(name, NAME_LIMIT),
        host=host,
        port=port,
        api_key=api_key,
        watermark=watermark,
        status=status,
        software_version=version,
        paused=paused,
        alarm_watermark=alarm_watermark,
        oldest_open_alarm=oldest_open_alarm,
        pulled_until=pulled_until,
        clock_skew=_skew(skew_ms),
        failures=failures,
        newest_measurement_at=newest,
        islands=_islands(island_ends, watermark),
        was_set_back=was_set_back,
        history=HistoryLook(history_from, history_at, history_watermark, history_pace, gap_pace)
        if history_at is not None
        else None,
        alarms_digest=alarms_digest,
        channels_digest=channels_digest,
        learned=LearnedWindows(_length(data_ms), _length(alarms_ms)),
        id_hint=hint,
        other_hint=other_hint,
        intake=Intake(day_rows, day_seconds, day_alarms, day_channel_changes)
        if is_today
        else Intake(),
        lateness=lateness.from_row(*late),
        terms=_terms(interval_sec, timeout_sec, window_sec, gap_kbit),
    )


def _terms(*own: Any) -> Terms:
    """Return what was set for a vehicle; the same for all of which nothing was."""
    return NO_TERMS if own == _NOTHING_SET else Terms(*own)


def _islands(ends: list[datetime] | None, watermark: datetime | None) -> tuple[Window, ...]:
    """Return the islands that end after the watermark; others moved it over the rest."""
    if not ends or watermark is None:
        return ()
    islands = map(Window, ends[::2], ends[1::2])
    return tuple(island for island in islands if island.end > watermark)


def _length(milliseconds: int | None) -> timedelta | None:
    most = MAX_SKEW // timedelta(milliseconds=1)
    return None if milliseconds is None else timedelta(milliseconds=min(milliseconds, most))


def _skew(milliseconds: int | None) -> timedelta | None:
    """Return a stored skew; None for one that no clock within the limits has."""
    if milliseconds is None or abs(milliseconds) > MAX_SKEW / timedelta(milliseconds=1):
        return None
    return timedelta(milliseconds=milliseconds)
