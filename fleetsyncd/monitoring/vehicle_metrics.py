"""The counters of one vehicle, and the metrics that export them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.reports import Failure, Outcome

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]
"""Suffix of the family's name, labels beside the vehicle's, value."""


@dataclass(slots=True)
class VehicleCounters:
    """The counters of one vehicle."""

    name: str
    paused: bool
    live_to: float | None
    """How far what is live is committed, in seconds since 1970."""
    interval: float | None = None
    """The seconds between its cycles."""
    gap: float = 0.0
    """The length of what is missing before it, in seconds."""
    loses_in: float | None = None
    """The seconds after which the vehicle drops a part of that; None if it does not."""
    up: bool | None = None
    """None until a cycle has ended, of any daemon."""
    failing: Failure | None = None
    """The kind of error that ended the last cycle; None if it ended well, or is not known."""
    cycles: int = 0
    rows_written: int = 0
    late_rows: int = 0
    lateness: float | None = None
    """Seconds; None before it was met."""
    bad_rows: int = 0
    received: int = 0
    discarded: int = 0
    failures: dict[Failure, int] = field(default_factory=lambda: {Failure.INTERNAL: 0})
    """By kind. `internal` starts at 0, or an alert on its increase would miss the first error."""
    calls: dict[str, tuple[int, float]] = field(default_factory=dict)
    audited: AuditCounts = field(default_factory=AuditCounts)
    verified: dict[int, float] = field(default_factory=dict)
    """By age in seconds, up to where looks of this age have found nothing missing."""


def up_by_status(status: str) -> bool | None:
    """Return whether the last cycle ended well, as `vehicles.sync_status` says; None: no cycle."""
    return None if status == "unknown" else status == Outcome.OK


Samples = Callable[[VehicleCounters, float], Iterator[Sample]]
"""Samples of a vehicle at a moment in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric of every vehicle; `kind` as Prometheus names it."""

    name: str
    kind: str
    help: str
    samples: Samples


def _one(value: Callable[[VehicleCounters], float | None]) -> Samples:
    def samples(counters: VehicleCounters, _now: float) -> Iterator[Sample]:
        if (sample := value(counters)) is not None:
            yield "", (), sample

    return samples


def _lag(counters: VehicleCounters, now: float) -> Iterator[Sample]:
    if counters.live_to is not None:
        yield "", (), max(0.0, now - counters.live_to)


def _failing(counters: VehicleCounters, _now: float) -> Iterator[Sample]:
    if counters.failing is not None:
        yield "", (("kind", counters.failing.value),), 1


def _failures(counters: VehicleCounters, _now: float) -> Iterator[Sample]:
    for kind, count in counters.failures.items():
        yield "", (("kind", kind.value),), count


def _calls(counters: VehicleCounters, _now: float) -> Iterator[Sample]:
    for call, (count, seconds) in counters.calls.items():
        yield "_count", (("call", call),), count
        yield "_sum", (("call", call),), seconds


def _verified(counters: VehicleCounters, now: float) -> Iterator[Sample]:
    for age_sec, verified_to in counters.verified.items():
        yield "", (("age", str(age_sec)),), max(0.0, now - verified_to)


PREFIX = "fleetsync_vehicle"
FAMILIES = (
    MetricFamily(
        f"{PREFIX}_up",
        "gauge",
        "1 if its last cycle ended ok, or goes on with a long gap",
        _one(lambda v: v.up),
    ),
    MetricFamily(
        f"{PREFIX}_failing", "gauge", "1 if its last cycle failed, by kind of error", _failing
    ),
    MetricFamily(
        f"{PREFIX}_paused", "gauge", "1 if an operator has paused it", _one(lambda v: v.paused)
    ),
    MetricFamily(
        f"{PREFIX}_interval_seconds",
        "gauge",
        "SYNC_INTERVAL_SEC, or its own interval if that is longer",
        _one(lambda v: v.interval),
    ),
    MetricFamily(f"{PREFIX}_lag_seconds", "gauge", "Age of what is live of it", _lag),
    MetricFamily(
        f"{PREFIX}_gap_seconds",
        "gauge",
        "Length of what is missing before what is live",
        _one(lambda v: v.gap),
    ),
    MetricFamily(
        f"{PREFIX}_loses_data_in_seconds",
        "gauge",
        "When it will have dropped a part of its gap at the present pace; only if it will",
        _one(lambda v: v.loses_in),
    ),
    MetricFamily(f"{PREFIX}_cycles_total", "counter", "Cycles ended", _one(lambda v: v.cycles)),
    MetricFamily(
        f"{PREFIX}_failures_total", "counter", "Failed cycles, by kind of error", _failures
    ),
    MetricFamily(
        f"{PREFIX}_rows_written_total",
        "counter",
        "Measurements added to the database",
        _one(lambda v: v.rows_written),
    ),
    MetricFamily(
        f"{PREFIX}_lateness_seconds",
        "gauge",
        "How long after their time its rows were committed at most; decays",
        _one(lambda v: v.lateness),
    ),
    MetricFamily(
        f"{PREFIX}_late_rows_total",
        "counter",
        "Measurements that came after their time had been pulled",
        _one(lambda v: v.late_rows),
    ),
    MetricFamily(
        f"{PREFIX}_bad_rows_total",
        "counter",
        "Rows put into quarantine",
        _one(lambda v: v.bad_rows),
    ),
    MetricFamily(
        f"{PREFIX}_received_bytes_total",
        "counter",
        "Bytes of answers as the link carried them, heads included, compressed",
        _one(lambda v: v.received),
    ),
    MetricFamily(
        f"{PREFIX}_discarded_bytes_total",
        "counter",
        "Bytes of answers that broke off or were too large, and are asked for in smaller parts",
        _one(lambda v: v.discarded),
    ),
    MetricFamily(
        f"{PREFIX}_audit_missing_total",
        "counter",
        "Rows that audits found missing",
        _one(lambda v: v.audited.missing),
    ),
    MetricFamily(
        f"{PREFIX}_audit_different_total",
        "counter",
        "Rows that audits found stored with another value",
        _one(lambda v: v.audited.different),
    ),
    MetricFamily(
        f"{PREFIX}_audit_gone_total",
        "counter",
        "Stored rows that audits did not find at the vehicle any more",
        _one(lambda v: v.audited.gone),
    ),
    MetricFamily(
        f"{PREFIX}_verified_age_seconds",
        "gauge",
        "Age of the time up to which looks found nothing missing, by the age at which they look",
        _verified,
    ),
    MetricFamily(f"{PREFIX}_call_seconds", "summary", "Seconds that its calls took", _calls),
)
