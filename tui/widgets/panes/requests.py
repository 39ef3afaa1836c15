"""What operators have asked for of a vehicle's past, and what looks have proved, in fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.database.views.audits import AuditStatus
from fleetsyncd.database.views.backfills import BackfillStatus
from fleetsyncd.database.views.jobs import JobStatus
from fleetsyncd.text import age, counted
from fleetsyncd.times import utc_span
from tui.gateway import Gateway
from tui.model.job_text import job_progress_text
from tui.widgets.row_table import Fields


@dataclass(frozen=True, slots=True)
class Requests:
    """What operators have asked for of a vehicle, and what looks of each age have proved."""

    backfill: BackfillStatus | None
    audit: AuditStatus | None
    verified_ages: Mapping[int, float]
    """How many seconds ago what is proved ends, by the age in seconds."""


def read_requests(gateway: Gateway, vehicle_id: UUID) -> Requests:
    """Read them; blocks, and raises as the gateway does."""
    return Requests(
        gateway.backfills.statuses([vehicle_id]).get(vehicle_id),
        gateway.audits.statuses([vehicle_id]).get(vehicle_id),
        gateway.audits.verified_ages(vehicle_id),
    )


def request_fields(requests: Requests) -> Fields:
    """Return them as fields; what is not known is empty."""
    audit = requests.audit
    return [
        *_job_fields("backfill", requests.backfill),
        *_job_fields("audit", audit),
        ("audit checked", counted(audit.rows, "row") if audit is not None else ""),
        ("audit found", audit.found if audit is not None and audit.rows else ""),
        ("verified to, by age", _verified_text(requests.verified_ages)),
    ]


def _job_fields(noun: str, job: JobStatus | None) -> Fields:
    """Return the interval, how it ended or how far it is, and what stands in its way."""
    if job is None:
        return []
    return [
        (f"{noun} of", utc_span(job.window.start, job.window.end)),
        (noun, job.outcome if job.finished else job_progress_text(job)),
        (f"{noun} waits for", job.obstacle or ""),
    ]


def _verified_text(ages: Mapping[int, float]) -> str:
    """Return up to when looks at what is so old found nothing missing; empty without any."""
    return ", ".join(f"{age(old)}: {age(proved)} ago" for old, proved in ages.items())
