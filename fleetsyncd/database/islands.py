"""Islands: what is live of a vehicle while there is a gap before it; see `gaps`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.database import lateness, store, vehicle_state
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import VehicleRemoved
from fleetsyncd.lateness import LatenessUpdate
from fleetsyncd.models import Address, LearnedWindows, Window

BEFORE = "tstzmultirange(tstzrange(NULL, {at}))"
"""All time before a moment."""
GAP_STATE = """
    catching_up_from = CASE WHEN {islands} <> '{{}}'
        THEN least(s.catching_up_from, {watermark}) END,
    catching_up_to = CASE WHEN {islands} <> '{{}}'
        THEN (SELECT max(lower(r)) FROM unnest({islands}) r) END,
    catching_up_sec = CASE WHEN {islands} <> '{{}}'
        THEN coalesce(s.catching_up_sec, 0) + %(gap_sec)s END,
    catching_up_rows = CASE WHEN {islands} <> '{{}}'
        THEN coalesce(s.catching_up_rows, 0) + %(gap_rows)s END,
    history_at = CASE WHEN {islands} <> '{{}}' THEN s.history_at END,
    island_watermark = {watermark}
"""
"""What is shown of a gap, once there are these islands and this watermark."""
_ISLANDS_AFTER_LIVE = f"""(
        CASE WHEN %(known)s::timestamptz IS NULL THEN tstzmultirange()
             ELSE {vehicle_state.true_islands("excluded.island_watermark")} END
        - CASE WHEN %(cut_from)s::timestamptz IS NULL THEN tstzmultirange()
               ELSE tstzmultirange(tstzrange(%(cut_from)s, NULL)) END
        + tstzmultirange(tstzrange(%(start)s, %(end)s))
        - {BEFORE.format(at="excluded.island_watermark")})"""
# The live part of a pull with a gap before it. It tells of its own window only, so it is true
# whatever happened to the watermark and to other islands since they were read. Where the watermark
# has come into the window meanwhile, all before its end is stored.
_ADVANCE_ISLAND = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET last_seen_at = now(), sync_status = 'ok',
        software_version = coalesce(%(version)s, software_version),
        last_sync_at = CASE WHEN last_sync_at >= %(start)s THEN greatest(last_sync_at, %(end)s)
                            ELSE coalesce(last_sync_at, %(gap_start)s) END
    WHERE id = %(id)s::uuid AND {vehicle_state.AT_ADDRESS}
    RETURNING id, last_sync_at
)
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, newest_measurement_at, islands, asked_to,
    clock_skew_ms, catching_up_from, catching_up_to, catching_up_sec, catching_up_rows,
    alarm_watermark, data_window_ms, alarms_window_ms, status_since, dated_status, covered_from,
    island_watermark, {lateness.COLUMNS})
SELECT id, %(newest)s, tstzmultirange(tstzrange(%(start)s, %(end)s)) - {
    BEFORE.format(at="last_sync_at")
}, CASE WHEN last_sync_at > %(behind_from)s THEN %(behind_from)s::timestamptz END,
    %(skew)s, last_sync_at, %(start)s, 0, 0, %(gap_start)s, %(data_ms)s,
    %(alarms_ms)s, CASE WHEN %(known)s::timestamptz IS NULL THEN now() END, 'ok',
    CASE WHEN %(known)s::timestamptz IS NULL THEN %(gap_start)s::timestamptz END,
    last_sync_at, {lateness.VALUES}
FROM vehicle
ON CONFLICT (vehicle_id) DO UPDATE SET
    alarm_watermark = CASE WHEN %(stepped_back)s
        THEN least(s.alarm_watermark, %(behind_from)s, %(start)s)
        ELSE coalesce(s.alarm_watermark, excluded.alarm_watermark) END,
    newest_measurement_at = greatest(s.newest_measurement_at, excluded.newest_measurement_at),
    covered_from = coalesce(excluded.covered_from, s.covered_from),
    islands = {_ISLANDS_AFTER_LIVE},
    {GAP_STATE.format(islands=_ISLANDS_AFTER_LIVE, watermark="excluded.island_watermark")},
    gap_error = CASE WHEN {_ISLANDS_AFTER_LIVE} <> '{{}}' THEN s.gap_error END,
    asked_to = least(s.asked_to, excluded.asked_to),
    clock_skew_ms = excluded.clock_skew_ms,
    data_window_ms = excluded.data_window_ms, alarms_window_ms = excluded.alarms_window_ms,
{lateness.UPDATED}, {vehicle_state.DAY}, updated_at = now(),
    status_since = CASE WHEN %(known)s::timestamptz IS NULL THEN now()
        WHEN ({vehicle_state.DATED}) IS NOT TRUE THEN NULL
        WHEN s.dated_status <> 'ok'
            OR (s.catching_up_from IS NULL) <> ({_ISLANDS_AFTER_LIVE} = '{{}}')
        THEN now() ELSE s.status_since END,
    dated_status = 'ok', dated_at = now(),
    paused_at = {vehicle_state.if_dated("paused_at")}, resumed_at = {
    vehicle_state.if_dated("resumed_at")
}
RETURNING s.island_watermark
"""  # noqa: S608  made of this project's own text


@dataclass(frozen=True, slots=True)
class IslandUpdate:
    """What a window that was pulled ahead of a gap changes in its vehicle's row and state."""

    vehicle_id: UUID
    window: Window
    gap_start: datetime
    """Where the gap begins if there is no watermark yet."""
    known: datetime | None
    """The watermark that the cycle has read."""
    cut_from: datetime | None
    """Of other islands, what is from here on is not true any more."""
    behind_from: datetime | None
    """Where the vehicle's clock was set back to; None: it was not."""
    stepped_back: bool
    newest_measurement_at: datetime | None
    clock_skew: timedelta | None
    software_version: str | None
    learned: LearnedWindows
    rows: int
    """Rows that came for this window."""
    covered: timedelta
    """The vehicle's time that this window covers anew."""
    address: Address
    lateness: LatenessUpdate


def advance_island(cursor: Cursor, update: IslandUpdate) -> datetime:
    """Record that a window ahead of a gap is stored; return the watermark as it is then.

    Raises VehicleRemoved and AddressChanged as `store.lock_vehicle` does.
    """
    cursor.execute(
        _ADVANCE_ISLAND,
        {
            "id": str(update.vehicle_id),
            "start": update.window.start,
            "end": update.window.end,
            "gap_start": update.gap_start,
            "known": update.known,
            "cut_from": update.cut_from,
            "behind_from": update.behind_from,
            "stepped_back": update.stepped_back,
            "newest": update.newest_measurement_at,
            "skew": store.skew_value(update.clock_skew),
            "version": update.software_version,
            "gap_sec": 0.0,
            "gap_rows": 0,
            "added": update.rows,
            "covered_sec": update.covered.total_seconds(),
            **store.address_values(update.address),
            **store.learned_values(update.learned),
            **lateness.update_values(update.lateness),
        },
    )
    row = cursor.fetchone()
    if row is None:
        store.lock_vehicle(cursor, update.vehicle_id, update.address)
        raise VehicleRemoved("the vehicle was removed, or row level security hides it")
    watermark: datetime = row[0]
    return watermark
