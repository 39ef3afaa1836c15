"""How far audits are, what they have found, and why one makes no progress."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.chosen import ALL, Chosen
from fleetsyncd.database.views.jobs import (
    JobKind,
    JobList,
    JobStatus,
    ListedJob,
    common_values,
    job_id,
    read_list,
    status_sql,
)
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import age as age_sql
from fleetsyncd.times import utc_text

_TABLE = "fleetsync.audit"
_COLUMNS = status_sql(
    _TABLE,
    """j.checked, j.missing, j.different, j.gone, j.report_only, j.is_repair,
    CASE WHEN j.is_repair AND j.not_before > now() THEN j.not_before END,
    s.islands <> '{}' OR EXISTS (
        SELECT FROM fleetsync.backfill b
        WHERE b.vehicle_id = j.vehicle_id AND b.finished_at IS NULL)""",
)
_STATUS = f"{_COLUMNS} WHERE NOT j.is_repair AND j.vehicle_id = ANY (%s::uuid[])"
_VERIFIED = f"""
SELECT age_sec, {age_sql("verified_to")} FROM fleetsync.verified
WHERE vehicle_id = %s::uuid AND looked_at IS NOT NULL ORDER BY age_sec
"""  # noqa: S608  made of this project's own text


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStatus(JobStatus):
    """How far an audit is, and what it has found."""

    counts: AuditCounts
    report_only: bool
    is_repair: bool
    """The daemon wants it, since rows were missing; False: an operator does."""
    not_before: datetime | None
    """Until when a repair waits; None if it does not."""
    catches_up: bool
    """A gap or a backfill of the vehicle is pulled."""

    @property
    def rows(self) -> int:
        """How many rows were compared."""
        return self.counts.checked

    @property
    def is_whole(self) -> bool:
        """Whether all of the interval was compared, and nothing was missing or different."""
        return self.finished and self.counts.is_clean

    @property
    def outcome(self) -> str:
        """How it ended, or how far it is."""
        gone = self.gone_text
        return f"complete{gone}" if self.finished else f"{int(100 * self.fraction)}%{gone}"

    @property
    def fate(self) -> str:
        """What becomes of missing rows."""
        return "not stored" if self.report_only else "stored"

    @property
    def found(self) -> str:
        """What it has found, the gravest first."""
        counts = self.counts
        parts = (
            f"{counts.missing:,} missing ({self.fate})" if counts.missing else "",
            f"{counts.different:,} different" if counts.different else "",
            "nothing missing or different" if counts.is_clean else "",
            f"{counts.gone:,} no longer held" if counts.gone else "",
        )
        return ", ".join(filter(None, parts))

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
        if self.not_before is not None:
            return f"repairs were often in vain: this one waits until {utc_text(self.not_before)}"
        return self.last_error


def audit_statuses(cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, AuditStatus]:
    """Return the status of operators' last audits of vehicles; those without one are left out."""
    cursor.execute(_STATUS, ([str(vehicle_id) for vehicle_id in ids],))
    return {job_id(row)[0]: _status(row) for row in cursor.fetchall()}


def list_audits(cursor: Cursor, chosen: Chosen = ALL, *, only_open: bool = False) -> JobList:
    """Return the audits of the chosen vehicles, repairs included; none if they may not be read."""
    if not may_read(cursor, _TABLE):
        return JobList()
    rows, *counts = read_list(cursor, _TABLE, _COLUMNS, chosen, only_open=only_open)
    return JobList(tuple(map(_listed, rows)), *counts)


def verified_ages(cursor: Cursor, vehicle_id: UUID) -> dict[int, float]:
    """Return for looks of each age how many seconds ago what they have proved ends.

    Both in seconds; none if it may not be read.
    """
    if not may_read(cursor, "fleetsync.verified"):
        return {}
    cursor.execute(_VERIFIED, (str(vehicle_id),))
    return dict(cursor.fetchall())


def _listed(row: Sequence[Any]) -> ListedJob[AuditStatus]:
    status = _status(row)
    kind = JobKind.REPAIR if status.is_repair else JobKind.AUDIT
    return ListedJob(kind, *job_id(row), status)


def _status(row: Sequence[Any]) -> AuditStatus:
    common, (*counts, report_only, is_repair, not_before, catches_up) = common_values(row)
    return AuditStatus(
        counts=AuditCounts(*counts),
        report_only=report_only,
        is_repair=is_repair,
        not_before=not_before,
        catches_up=bool(catches_up),
        **common,
    )
