"""How far the vehicles' backfills are, and why one makes no progress."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.chosen import ALL, CHOSEN, Chosen
from fleetsyncd.models import Window
from fleetsyncd.states import GapProgress
from fleetsyncd.text import age, sanitise

ERROR_LIMIT = 300
NAME_LIMIT = 200
_COLUMNS = f"""
SELECT b.vehicle_id::text, b.from_at, b.to_at, b.reached_at, b.asked_at, b.rows_added, b.gone_sec,
    b.finished_at IS NOT NULL, left(b.last_error, {ERROR_LIMIT}), coalesce(s.paused, false),
    CASE WHEN v.sync_status IN ('timeout', 'error')
         THEN left(coalesce(s.last_error, v.sync_status), {ERROR_LIMIT}) END,
    b.lacks_alarms, coalesce(v.name, b.vehicle_id::text), b.busy_sec, b.finished_at
FROM fleetsync.backfill b JOIN public.vehicles v ON v.id = b.vehicle_id
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = b.vehicle_id
"""  # noqa: S608  made of this file's own text
_STATUS = f"{_COLUMNS} WHERE b.vehicle_id = ANY (%s::uuid[])"
_LISTED = f"""{_COLUMNS}
WHERE {CHOSEN}
    AND (b.finished_at IS NULL OR NOT %(only_open)s)
ORDER BY b.finished_at IS NOT NULL, b.finished_at DESC, b.asked_at, b.vehicle_id LIMIT %(limit)s
"""
_COUNT = f"""
SELECT count(*) FILTER (WHERE b.finished_at IS NULL), count(*)
FROM fleetsync.backfill b JOIN public.vehicles v ON v.id = b.vehicle_id
WHERE {CHOSEN}
"""  # noqa: S608  made of this file's own text
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class BackfillStatus:
    """How far a backfill is pulled; `asked_at` is its version."""

    window: Window
    reached: datetime
    asked_at: datetime
    rows_added: int
    gone_sec: float
    """Seconds of the interval that the vehicle had no longer, or that are older than is kept."""
    finished: bool
    last_error: str | None
    """Why the last attempt failed."""
    paused: bool = False
    vehicle_error: str | None = None
    """Why the vehicle's last cycle failed."""
    lacks_alarms: bool = False
    """The vehicle has no call for alarms."""

    @property
    def fraction(self) -> float:
        """Share of the interval that is pulled, 0 to 1."""
        return (self.reached - self.window.start) / self.window.length

    @property
    def is_whole(self) -> bool:
        """Whether all of the interval was pulled."""
        return self.finished and not self.gone_sec and not self.lacks_alarms

    @property
    def outcome(self) -> str:
        """How it ended, or how far it is."""
        length = self.window.length.total_seconds()
        if self.gone_sec >= length:
            return f"nothing left to pull: all {age(length)} gone"
        gone = f", but {age(self.gone_sec)} of {age(length)} gone" if self.gone_sec else ""
        if self.finished and self.lacks_alarms:
            return f"complete{gone} and without alarms" if gone else "complete, but without alarms"
        return f"complete{gone}" if self.finished else f"{int(100 * self.fraction)}%{gone}"

    @property
    def obstacle(self) -> str | None:
        """Why it makes no progress, if something is known to stand in its way."""
        if self.finished:
            return None
        if self.paused:
            return "the vehicle is paused, its backfill waits until it is resumed"
        return self.last_error or (None if self.fraction else self.vehicle_error)


@dataclass(frozen=True, slots=True)
class ListedBackfill:
    """One vehicle's last backfill; `finished_at` is None while it is open."""

    vehicle_id: UUID
    vehicle: str
    status: BackfillStatus
    busy_sec: float
    finished_at: datetime | None

    @property
    def progress(self) -> GapProgress | None:
        """Its rate and the time left; None if it is finished or nothing is pulled yet."""
        fraction = self.status.fraction
        if self.status.finished or not self.busy_sec or not fraction:
            return None
        rate = self.status.rows_added / self.busy_sec
        return GapProgress(fraction, rate, self.busy_sec * (1 - fraction) / fraction)


@dataclass(frozen=True, slots=True)
class BackfillList:
    """At most MOST_LISTED backfills, and how many there are: open ones, and in all."""

    listed: tuple[ListedBackfill, ...]
    open: int
    total: int


def backfill_statuses(cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, BackfillStatus]:
    """Return the status of some vehicles' backfills; vehicles without one are left out."""
    cursor.execute(_STATUS, ([str(vehicle_id) for vehicle_id in ids],))
    return {each.vehicle_id: each.status for each in map(_listed, cursor.fetchall())}


def list_backfills(
    cursor: Cursor, chosen: Chosen = ALL, *, only_open: bool = False
) -> BackfillList:
    """Return the backfills of the chosen vehicles.

    The open ones come first, the oldest request before the others; then those that ended, the
    newest first.
    """
    cursor.execute(_COUNT, chosen.values)
    unfinished, total = cursor.fetchall()[0]
    values = {**chosen.values, "only_open": only_open, "limit": MOST_LISTED}
    cursor.execute(_LISTED, values)
    return BackfillList(tuple(map(_listed, cursor.fetchall())), unfinished, total)


def _listed(row: tuple[Any, ...]) -> ListedBackfill:
    (key, start, end, reached, asked_at, rows, gone_sec, finished, error, paused, failure,
     lacks_alarms, name, busy_sec, finished_at) = row  # fmt: skip
    status = BackfillStatus(
        window=Window(start, end),
        reached=reached,
        asked_at=asked_at,
        rows_added=rows,
        gone_sec=gone_sec,
        finished=finished,
        last_error=None if error is None else sanitise(error, ERROR_LIMIT),
        paused=paused,
        vehicle_error=None if failure is None else sanitise(failure, ERROR_LIMIT),
        lacks_alarms=lacks_alarms,
    )
    return ListedBackfill(UUID(key), sanitise(name, NAME_LIMIT), status, busy_sec, finished_at)
