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

from fleetsyncd.database import losses, store, vehicle_state
from fleetsyncd.database.islands import BEFORE, GAP_STATE
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.errors import PullStopped, WatermarkMoved
from fleetsyncd.models import HistoryLook, LearnedWindows, Vehicle, Window
from fleetsyncd.text import sanitise

# Other services, and older versions of this one, move last_sync_at without looking at the islands.
_ISLANDS = f"({vehicle_state.true_islands('{at}')} - {BEFORE})"
# A window of a gap. Whether the vehicle answers now is for its cycles to say. If its clock was set
# back, a cycle has cut the island before which the gap was to end, and what the vehicle stamps from
# now on may lie in the rest of the gap: the watermark must not pass what is an island now.
_ADVANCE_GAP = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET last_sync_at = greatest(last_sync_at, %(watermark)s)
    WHERE id = %(id)s::uuid AND {vehicle_state.AT_ADDRESS}
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
    {GAP_STATE.format(islands=_ISLANDS.format(at="last_sync_at"), watermark="last_sync_at")},
    data_window_ms = %(data_ms)s, gap_error = NULL,
{vehicle_state.DAY}
FROM vehicle WHERE s.vehicle_id = id
RETURNING last_sync_at, s.asked_to
"""  # noqa: S608  made of this project's own text
# In a transaction that has locked the vehicle's row before: then no other one changes the islands.
_REACH_ISLAND = f"""
WITH vehicle AS (
    UPDATE public.vehicles v SET last_sync_at = reached
    FROM (SELECT max(upper(r)) AS reached
          FROM fleetsync.vehicle_state s JOIN public.vehicles w ON w.id = s.vehicle_id,
              unnest({vehicle_state.true_islands("w.last_sync_at")}) r
          WHERE s.vehicle_id = %(id)s::uuid AND lower(r) <= w.last_sync_at
            AND s.asked_to IS NULL) island
    WHERE v.id = %(id)s::uuid AND reached > last_sync_at
    RETURNING v.id, v.last_sync_at
)
UPDATE fleetsync.vehicle_state s SET
    islands = {_ISLANDS.format(at="last_sync_at")},
    {GAP_STATE.format(islands=_ISLANDS.format(at="last_sync_at"), watermark="last_sync_at")},
    gap_error = NULL, updated_at = now(),
    status_since = CASE WHEN {vehicle_state.DATED} THEN CASE
        WHEN {_ISLANDS.format(at="last_sync_at")} = '{{}}' THEN now() ELSE s.status_since END END,
    dated_at = CASE WHEN {vehicle_state.DATED} THEN now() END
FROM vehicle WHERE s.vehicle_id = id
RETURNING last_sync_at
"""  # noqa: S608  made of this project's own text
_LOCK = """
SELECT last_sync_at FROM public.vehicles WHERE id = %(id)s::uuid FOR NO KEY UPDATE
"""
_OPEN_GAPS = f"""
SELECT s.vehicle_id::text, v.last_sync_at, (SELECT max(lower(r)) FROM unnest(s.islands) r),
    s.history_from, s.history_at, s.history_watermark, s.history_pace, s.gap_pace
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
WHERE s.islands <> '{{{{}}}}' AND NOT {vehicle_state.IS_PAUSED} AND v.sync_status = 'ok'
    AND upper({{islands}}) > v.last_sync_at
    AND s.vehicle_id <> ALL (%s::uuid[]) {{shards}}
ORDER BY v.last_sync_at
"""  # noqa: S608  made of this project's own text
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
    overdue: tuple[Window, ...] = ()
    """Of what is before the known watermark, what was found only now to be so."""


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
    if vehicle.watermark is not None:
        losses.forget_after(cursor, vehicle, vehicle.watermark)
    losses.record_passed(
        cursor, vehicle.id, vehicle.asked_to, update.watermark, update.lost, update.overdue
    )
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
        _OPEN_GAPS.format(shards=condition, islands=vehicle_state.true_islands("v.last_sync_at")),
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
