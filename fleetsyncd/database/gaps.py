"""Gaps: what a vehicle measured while it was not pulled, caught up beside its cycles.

The watermark is `last_sync_at`: all before it is committed. While there is a gap, cycles commit
what is live ahead of it, as an island: an interval after the watermark. The catch-up moves the
watermark through the gap; when it has reached the island, it jumps to that one's end. A vehicle
that goes away meanwhile leaves an island behind, and begins another.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.database import lateness, losses, statements, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.errors import PullStopped, VehicleRemoved, WatermarkMoved
from fleetsyncd.lateness import LatenessUpdate
from fleetsyncd.models import Address, HistoryLook, LearnedWindows, Vehicle, Window
from fleetsyncd.text import sanitise

_BEFORE = "tstzmultirange(tstzrange(NULL, {at}))"
"""All time before a moment."""
# Other services, and older versions of this one, move last_sync_at without looking at the islands.
_ISLANDS = f"({statements.true_islands('{at}')} - {_BEFORE})"
_GAP_STATE = """
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
             ELSE {statements.true_islands("excluded.island_watermark")} END
        - CASE WHEN %(cut_from)s::timestamptz IS NULL THEN tstzmultirange()
               ELSE tstzmultirange(tstzrange(%(cut_from)s, NULL)) END
        + tstzmultirange(tstzrange(%(start)s, %(end)s))
        - {_BEFORE.format(at="excluded.island_watermark")})"""
# The live part of a pull with a gap before it. It tells of its own window only, so it is true
# whatever happened to the watermark and to other islands since they were read. Where the watermark
# has come into the window meanwhile, all before its end is stored.
_ADVANCE_ISLAND = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET last_seen_at = now(), sync_status = 'ok',
        software_version = coalesce(%(version)s, software_version),
        last_sync_at = CASE WHEN last_sync_at >= %(start)s THEN greatest(last_sync_at, %(end)s)
                            ELSE coalesce(last_sync_at, %(gap_start)s) END
    WHERE id = %(id)s::uuid AND {statements.AT_ADDRESS}
    RETURNING id, last_sync_at
)
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, newest_measurement_at, islands, asked_to,
    clock_skew_ms, catching_up_from, catching_up_to, catching_up_sec, catching_up_rows,
    alarm_watermark, data_window_ms, alarms_window_ms, status_since, dated_status, covered_from,
    island_watermark, {lateness.COLUMNS})
SELECT id, %(newest)s, tstzmultirange(tstzrange(%(start)s, %(end)s)) - {
    _BEFORE.format(at="last_sync_at")
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
    {_GAP_STATE.format(islands=_ISLANDS_AFTER_LIVE, watermark="excluded.island_watermark")},
    gap_error = CASE WHEN {_ISLANDS_AFTER_LIVE} <> '{{}}' THEN s.gap_error END,
    asked_to = least(s.asked_to, excluded.asked_to),
    clock_skew_ms = excluded.clock_skew_ms,
    data_window_ms = excluded.data_window_ms, alarms_window_ms = excluded.alarms_window_ms,
{lateness.UPDATED}, {statements.DAY}, updated_at = now(),
    status_since = CASE WHEN %(known)s::timestamptz IS NULL THEN now()
        WHEN ({statements.DATED}) IS NOT TRUE THEN NULL
        WHEN s.dated_status <> 'ok'
            OR (s.catching_up_from IS NULL) <> ({_ISLANDS_AFTER_LIVE} = '{{}}')
        THEN now() ELSE s.status_since END,
    dated_status = 'ok', dated_at = now(),
    paused_at = {statements.if_dated("paused_at")}, resumed_at = {statements.if_dated("resumed_at")}
RETURNING s.island_watermark
"""  # noqa: S608  made of this file's own text
# A window of a gap. Whether the vehicle answers now is for its cycles to say. If its clock was set
# back, a cycle has cut the island before which the gap was to end, and what the vehicle stamps from
# now on may lie in the rest of the gap: the watermark must not pass what is an island now.
_ADVANCE_GAP = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET last_sync_at = greatest(last_sync_at, %(watermark)s)
    WHERE id = %(id)s::uuid AND {statements.AT_ADDRESS}
      AND greatest(last_sync_at, '0001-01-02Z') >= %(known)s
      AND EXISTS (
          SELECT FROM fleetsync.vehicle_state s WHERE s.vehicle_id = %(id)s::uuid
            AND (s.other_hint IS NULL OR s.other_hint = %(hint)s)
            AND (last_sync_at >= %(watermark)s OR lower(s.islands) >= %(watermark)s)
            AND (s.asked_to IS NOT DISTINCT FROM %(known_asked_to)s
                 OR s.asked_to IS NOT DISTINCT FROM %(watermark)s
                 OR %(known)s < %(watermark)s AND last_sync_at >= %(watermark)s))
    RETURNING id, last_sync_at
)
UPDATE fleetsync.vehicle_state s SET
    asked_to = CASE WHEN s.asked_to > %(watermark)s THEN s.asked_to
                    WHEN last_sync_at > %(watermark)s AND s.asked_to IS NOT NULL
                    THEN %(watermark)s::timestamptz END,
    islands = {_ISLANDS.format(at="last_sync_at")},
    {_GAP_STATE.format(islands=_ISLANDS.format(at="last_sync_at"), watermark="last_sync_at")},
    data_window_ms = %(data_ms)s, gap_error = NULL,
{statements.DAY}
FROM vehicle WHERE s.vehicle_id = id
RETURNING last_sync_at, s.asked_to
"""  # noqa: S608  made of this file's own text
# In a transaction that has locked the vehicle's row before: then no other one changes the islands.
_REACH_ISLAND = f"""
WITH vehicle AS (
    UPDATE public.vehicles v SET last_sync_at = reached
    FROM (SELECT max(upper(r)) AS reached
          FROM fleetsync.vehicle_state s JOIN public.vehicles w ON w.id = s.vehicle_id,
              unnest({statements.true_islands("w.last_sync_at")}) r
          WHERE s.vehicle_id = %(id)s::uuid AND lower(r) <= w.last_sync_at
            AND s.asked_to IS NULL) island
    WHERE v.id = %(id)s::uuid AND reached > last_sync_at
    RETURNING v.id, v.last_sync_at
)
UPDATE fleetsync.vehicle_state s SET
    islands = {_ISLANDS.format(at="last_sync_at")},
    {_GAP_STATE.format(islands=_ISLANDS.format(at="last_sync_at"), watermark="last_sync_at")},
    gap_error = NULL, updated_at = now(),
    status_since = CASE WHEN {statements.DATED} THEN CASE
        WHEN {_ISLANDS.format(at="last_sync_at")} = '{{}}' THEN now() ELSE s.status_since END END,
    dated_at = CASE WHEN {statements.DATED} THEN now() END
FROM vehicle WHERE s.vehicle_id = id
RETURNING last_sync_at
"""  # noqa: S608  made of this file's own text
_LOCK = """
SELECT last_sync_at FROM public.vehicles WHERE id = %(id)s::uuid FOR NO KEY UPDATE
"""
_OPEN_GAPS = """
SELECT s.vehicle_id::text, v.last_sync_at, (SELECT max(lower(r)) FROM unnest(s.islands) r),
    s.history_from, s.history_at, s.history_watermark, s.history_pace, s.gap_pace
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
WHERE s.islands <> '{{}}' AND NOT s.paused AND v.sync_status = 'ok'
    AND upper({islands}) > v.last_sync_at
    AND s.vehicle_id <> ALL (%s::uuid[]) {shards}
ORDER BY v.last_sync_at
"""
_SAVE_LOOK = """
UPDATE fleetsync.vehicle_state SET history_from = %(begins)s, history_at = %(at)s,
    history_watermark = %(watermark)s, history_pace = %(history_pace)s, gap_pace = %(gap_pace)s
WHERE vehicle_id = %(id)s::uuid AND islands <> '{}'
"""
_FAIL_GAP = """
UPDATE fleetsync.vehicle_state SET gap_error = %(error)s
WHERE vehicle_id = %(id)s::uuid AND islands <> '{}'
"""


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that may be pulled now."""

    vehicle_id: UUID
    whole: Window
    """From the watermark to the end of the last part that is missing."""
    history: HistoryLook | None


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


@dataclass(frozen=True, slots=True)
class GapUpdate:
    """What a stored window of a gap changes."""

    vehicle: Vehicle
    """As the catch-up has read it: with the watermark that it has read or written last."""
    watermark: datetime
    hint: str | None
    """What the machine calls itself otherwise than the vehicle, as the catch-up knows it."""
    rows: int
    """Rows that came for this window."""
    added: int
    """Rows that it added."""
    seconds: float
    """How long it took."""
    covered: timedelta
    learned: LearnedWindows = field(default_factory=LearnedWindows)
    lost: tuple[Window, ...] = ()
    """Of the gap, what nobody can pull any more."""


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


def advance_gap(cursor: Cursor, update: GapUpdate) -> tuple[datetime, datetime | None]:
    """Move the watermark through a gap; return it and `asked_to` as they are now.

    At the end of the gap it jumps to that of the island. Raises WatermarkMoved if it was set back
    meanwhile, or the vehicle's clock was; PullStopped if the machine calls itself otherwise
    meanwhile; VehicleRemoved, and AddressChanged as `store.lock_vehicle` does.
    """
    vehicle = update.vehicle
    key = {"id": str(vehicle.id)}
    values = {
        **key,
        "watermark": update.watermark,
        "known": vehicle.watermark,
        "known_asked_to": vehicle.pulled_until,
        "hint": update.hint,
        "gap_sec": update.seconds,
        "gap_rows": update.added,
        "added": update.rows,
        "covered_sec": update.covered.total_seconds(),
        **store.address_values(vehicle.address),
        **store.learned_values(update.learned),
    }
    # Two statements, one round trip: the second sees what others did before they let the lock go.
    cursor.execute(f"{_LOCK}; {_ADVANCE_GAP}", values)
    row = cursor.fetchone()
    if row is None:
        store.lock_vehicle(cursor, vehicle.id, vehicle.address)
        raise _moved_error(cursor, vehicle.id, update.hint)
    reached, asked_to = row
    losses.record_passed(cursor, vehicle.id, vehicle.watermark, update.watermark, update.lost)
    if vehicle.islands and update.watermark >= vehicle.islands[0].start:
        cursor.execute(_REACH_ISLAND, {**key, "gap_sec": 0.0, "gap_rows": 0})
        if (jumped := cursor.fetchone()) is not None:
            reached = jumped[0]
    return reached, asked_to


def reach_island(cursor: Cursor, vehicle_id: UUID) -> None:
    """Let the watermark jump over islands that it has reached already."""
    values = {"id": str(vehicle_id), "gap_sec": 0.0, "gap_rows": 0}
    cursor.execute(_LOCK, values)
    cursor.execute(_REACH_ISLAND, values)


def _moved_error(cursor: Cursor, vehicle_id: UUID, hint: str | None) -> Exception:
    """Return the error that says why a catch-up, which knows `hint`, must not store any more."""
    cursor.execute(
        "SELECT other_hint FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid",
        (str(vehicle_id),),
    )
    row = cursor.fetchone()
    if row is not None and row[0] is not None and row[0] != hint:
        told = sanitise(row[0])
        return PullStopped(
            f"the vehicle calls itself {told} meanwhile: the next attempt asks again"
        )
    return WatermarkMoved(
        "last_sync_at or the vehicle's clock was set back meanwhile: the next attempt starts anew"
    )


def open_gaps(
    cursor: Cursor, excluded: Collection[UUID], shards: Collection[int] | None = None
) -> list[OpenGap]:
    """Return the gaps of the vehicles of some shards or (None) of all: the longest behind first.

    Those of paused vehicles, and of those that do not answer, are left out.
    """
    condition, arguments = in_shards("s.vehicle_id", shards)
    values = ([str(vehicle_id) for vehicle_id in excluded], *arguments)
    cursor.execute(
        _OPEN_GAPS.format(shards=condition, islands=statements.true_islands("v.last_sync_at")),
        values,
    )
    return [
        OpenGap(
            UUID(key),
            Window(watermark, max(watermark, end)),
            None if look[1] is None else HistoryLook(*look),
        )
        for key, watermark, end, *look in cursor.fetchall()
    ]


def save_look(cursor: Cursor, vehicle_id: UUID, look: HistoryLook) -> None:
    """Record where the vehicle's history begins, while it has a gap."""
    values = {
        "id": str(vehicle_id),
        "begins": look.begins,
        "at": look.at,
        "watermark": look.watermark,
        "history_pace": look.history_pace,
        "gap_pace": look.gap_pace,
    }
    cursor.execute(_SAVE_LOOK, values)


def fail_gap(cursor: Cursor, vehicle_id: UUID, error: str) -> None:
    """Record why a gap makes no progress."""
    cursor.execute(_FAIL_GAP, {"id": str(vehicle_id), "error": error})
