"""The registered vehicles with all that a daemon has to know of them."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.budgets import Intake
from fleetsyncd.database import lateness, statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
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


def load_vehicles(
    cursor: Cursor, only: Collection[UUID] | None = None, shards: Collection[int] | None = None
) -> list[Vehicle]:
    """Return the fleet, or a part of it, with what the next cycle needs to know of each vehicle."""
    conditions, arguments = in_shards("v.id", shards)
    if only is not None:
        conditions += " AND v.id = ANY (%s::uuid[])"
        arguments.append([str(vehicle_id) for vehicle_id in only])
    statement = statements.LOAD_VEHICLES.format(conditions=conditions)
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
