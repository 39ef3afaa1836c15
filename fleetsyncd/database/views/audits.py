"""How far the audits of operators are, what they have found, and why one makes no progress."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Window
from fleetsyncd.reports import AuditCounts
from fleetsyncd.text import age, sanitise

ERROR_LIMIT = 300
_STATUS = f"""
SELECT a.vehicle_id::text, a.from_at, a.to_at, a.reached_at, a.asked_at,
    a.checked, a.missing, a.different, a.gone, a.gone_sec, a.report_only,
    a.finished_at IS NOT NULL, left(a.last_error, {ERROR_LIMIT}), coalesce(s.paused, false),
    CASE WHEN v.sync_status IN ('timeout', 'error')
         THEN left(coalesce(s.last_error, v.sync_status), {ERROR_LIMIT}) END,
    s.islands <> '{{}}' OR EXISTS (
        SELECT FROM fleetsync.backfill b
        WHERE b.vehicle_id = a.vehicle_id AND b.finished_at IS NULL)
FROM fleetsync.audit a JOIN public.vehicles v ON v.id = a.vehicle_id
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = a.vehicle_id
WHERE NOT a.is_repair AND a.vehicle_id = ANY (%s::uuid[])
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class AuditStatus:
    """How far an audit is, and what it has found; `asked_at` is its version."""

    window: Window
    reached: datetime
    asked_at: datetime
    counts: AuditCounts
    gone_sec: float
    """Seconds of the interval that the vehicle had no longer, or that are older than is kept."""
    report_only: bool
    finished: bool
    last_error: str | None
    """Why the last attempt failed."""
    paused: bool
    vehicle_error: str | None
    """Why the vehicle's last cycle failed."""
    catches_up: bool
    """A gap or a backfill of the vehicle is pulled."""

    @property
    def fraction(self) -> float:
        """Share of the interval that is compared, 0 to 1."""
        return (self.reached - self.window.start) / self.window.length

    @property
    def is_whole(self) -> bool:
        """Whether all of the interval was compared, and nothing was missing or different."""
        return self.finished and self.counts.is_clean

    @property
    def outcome(self) -> str:
        """How it ended, or how far it is."""
        length = self.window.length.total_seconds()
        gone = f", but {age(self.gone_sec)} of {age(length)} gone" if self.gone_sec else ""
        return f"complete{gone}" if self.finished else f"{int(100 * self.fraction)}%{gone}"

    @property
    def obstacle(self) -> str | None:
        """Why it makes no progress, if something is known to stand in its way."""
        if self.finished:
            return None
        if self.paused:
            return "the vehicle is paused, its audit waits until it is resumed"
        if self.vehicle_error is not None:
            return self.vehicle_error
        if self.catches_up:
            return "what is missing of the vehicle is pulled first: a gap, or a backfill"
        return self.last_error


def audit_statuses(cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, AuditStatus]:
    """Return the status of some vehicles' last audits; vehicles without one are left out."""
    cursor.execute(_STATUS, ([str(vehicle_id) for vehicle_id in ids],))
    statuses = {}
    for row in cursor.fetchall():
        key, start, end, reached, asked_at, *counts = row[:9]
        gone_sec, report_only, finished, error, paused, failure, catches_up = row[9:]
        statuses[UUID(key)] = AuditStatus(
            window=Window(start, end),
            reached=reached,
            asked_at=asked_at,
            counts=AuditCounts(*counts),
            gone_sec=gone_sec,
            report_only=report_only,
            finished=finished,
            last_error=None if error is None else sanitise(error, ERROR_LIMIT),
            paused=paused,
            vehicle_error=None if failure is None else sanitise(failure, ERROR_LIMIT),
            catches_up=bool(catches_up),
        )
    return statuses
