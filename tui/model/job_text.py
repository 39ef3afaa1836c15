"""What is said of backfills and audits, in words."""

from collections.abc import Sequence

from fleetsyncd.database.views.audits import AuditStatus
from fleetsyncd.database.views.jobs import JobKind, JobStatus, ListedJob
from fleetsyncd.text import age, counted
from fleetsyncd.times import utc_span, utc_text
from tui.formatting import percent_text, progress_text

FIELDS: Sequence[str] = (
    "vehicle", "kind", "asked by", "interval utc", "done", "rate", "left", "rows", "missing",
    "different", "no longer held", "state",
)  # fmt: skip
"""What is known of a job; the rows of an audit are those that were checked."""


def has_findings(status: JobStatus) -> bool:
    """Tell whether an audit has found something missing or different."""
    return isinstance(status, AuditStatus) and not status.counts.is_clean


def state_text(job: ListedJob[JobStatus], *, is_pulled: bool) -> str:
    """Say what it has found, and how it ended, what stands in its way, or that it goes on.

    None goes on unless a daemon is alive (`is_pulled`).
    """
    status = job.status
    state = _progress_state(job, is_pulled=is_pulled)
    if not isinstance(status, AuditStatus) or not (status.finished or has_findings(status)):
        return state
    return f"{state}; {status.found}" if status.obstacle else f"{status.found}; {state}"


def _progress_state(job: ListedJob[JobStatus], *, is_pulled: bool) -> str:
    status = job.status
    if status.finished_at is not None:
        return f"{status.outcome}, {utc_text(status.finished_at)}"
    if status.obstacle:
        return status.obstacle
    if not is_pulled:
        return "waits for a daemon: none is alive"
    doing = "being pulled" if job.kind is JobKind.BACKFILL else "being compared"
    return doing if status.progress else "waits for the daemon"


def full_row(job: ListedJob[JobStatus], *, is_pulled: bool) -> list[str]:
    """Return the texts of FIELDS."""
    status = job.status
    progress = status.progress if is_pulled else None
    return [
        job.vehicle,
        _kind(job),
        _asked_by(job),
        utc_span(status.window.start, status.window.end),
        percent_text(status.fraction),
        "" if progress is None else f"{progress.rows_per_second or 0:.0f} rows/s",
        "" if progress is None else age(progress.seconds_left),
        str(status.rows),
        *_counts(status),
        state_text(job, is_pulled=is_pulled),
    ]


def job_progress_text(status: JobStatus) -> str:
    """Return how much of an open job is done, and the time left if that is known."""
    return progress_text(status.progress) or percent_text(status.fraction)


def in_full(job: ListedJob[JobStatus], *, is_pulled: bool) -> str:
    """Say in a few lines what the columns have no room for."""
    status = job.status
    progress = progress_text(status.progress) if is_pulled else ""
    told = (
        f"{job.vehicle}: {_kind(job)}, asked for by {_asked_by(job)}",
        amounts_text(status),
        _progress_state(job, is_pulled=is_pulled) + (f", {progress}" if progress else ""),
    )
    return ". ".join(told)


def amounts_text(status: JobStatus) -> str:
    """Say how many rows were added, or checked and found how."""
    if not isinstance(status, AuditStatus):
        return f"{counted(status.rows, 'row')} added"
    counts = status.counts
    fate = f" ({status.fate})" if counts.missing else ""
    return (
        f"{counted(counts.checked, 'row')} checked, {counts.missing:,} missing{fate},"
        f" {counts.different:,} different, {counts.gone:,} no longer held"
    )


def _kind(job: ListedJob[JobStatus]) -> str:
    stores_nothing = isinstance(job.status, AuditStatus) and job.status.report_only
    return f"{job.kind}, report only" if stores_nothing else job.kind


def _asked_by(job: ListedJob[JobStatus]) -> str:
    return "the daemon" if job.kind is JobKind.REPAIR else "an operator"


def _counts(status: JobStatus) -> list[str]:
    if not isinstance(status, AuditStatus):
        return ["", "", ""]
    counts = status.counts
    missing = f"{counts.missing} ({status.fate})" if counts.missing else "0"
    return [missing, str(counts.different), str(counts.gone)]
