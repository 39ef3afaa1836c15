"""The daemon's metrics for Prometheus.

The series of a vehicle carry its name and id, and end when the vehicle is removed; all other labels
come from short, fixed lists. So the number of series is bounded by the size of the fleet.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from fleetsyncd import __version__
from fleetsyncd.audit_results import AuditResult
from fleetsyncd.lateness import Lateness
from fleetsyncd.loss_forecast import forecast_loss
from fleetsyncd.models import Vehicle
from fleetsyncd.monitoring import events
from fleetsyncd.monitoring.notice_metrics import NoticeMetrics
from fleetsyncd.monitoring.vehicle_metrics import VehicleCounters, up_by_status
from fleetsyncd.reports import AttemptReport, CycleReport, Outcome

WAIT_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30)
STALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5)
CALL_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

Verified = Mapping[tuple[UUID, int], datetime]
"""By vehicle and age, up to where looks found nothing missing."""


class Metrics:
    """Counts the events of the main loop."""

    def __init__(
        self,
        count_quarantine: Callable[[], int | None] = lambda: None,
        *,
        read_verified: Callable[[Collection[UUID]], Verified | None] = lambda _vehicles: None,
        sync_interval_sec: float = 30.0,
        daemon: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._sync_interval_sec = sync_interval_sec
        self.registry = CollectorRegistry()
        self._count_quarantine = count_quarantine
        self._read_verified = read_verified
        self._unread: set[UUID] = set()
        """Vehicles of which it is not known yet what was verified before this daemon began."""
        self._vehicles: dict[UUID, VehicleCounters] = {}
        self._outdated = False
        """Other daemons may have pulled the vehicles since."""
        ProcessCollector(registry=self.registry)
        self._gauge("fleetsync_build_info", "1", ["version"]).labels(__version__).set(1)
        self._gauge("fleetsync_daemon_info", "1", ["daemon"]).labels(daemon).set(1)
        self._database_up = self._gauge("fleetsync_database_up", "0 while PostgreSQL is lost")
        self._database_up.set(1)
        self._gauge("fleetsync_interval_seconds", "SYNC_INTERVAL_SEC").set(sync_interval_sec)
        self._cycles = Counter("fleetsync_cycles", "Cycles of the fleet", registry=self.registry)
        self._cycle_seconds = self._gauge("fleetsync_cycle_seconds", "How long the last cycle took")
        self._cycle_ended = self._gauge(
            "fleetsync_cycle_ended_timestamp_seconds",
            "When the last cycle ended, or the daemon started, or the database came back",
        )
        self._cycle_ended.set(now())
        self._cycle_vehicles = self._gauge(
            "fleetsync_cycle_vehicles", "Vehicles of the last cycle, by result", ["result"]
        )
        self._shards = self._gauge("fleetsync_shards", "Shards of the fleet that this daemon pulls")
        self._unstored = self._gauge(
            "fleetsync_unstored_vehicles", "Vehicles whose last cycle could not be stored"
        )
        self._tidied = Counter(
            "fleetsync_tidied_bytes",
            "Bytes that closed months take less since they were tidied",
            registry=self.registry,
        )
        self._quarantine = self._gauge("fleetsync_quarantine_rows", "Rows in quarantine")
        self._minutes_behind = self._gauge(
            "fleetsync_minutes_behind_seconds",
            "By how much minute aggregates are behind, of the vehicle that is furthest behind",
        )
        self._minutes_due = self._gauge(
            "fleetsync_minutes_due_vehicles",
            "Vehicles with past minute aggregates to be computed",
        )
        self._notices = NoticeMetrics(self.registry)
        self._call_seconds = self._histogram(
            "fleetsync_call_seconds", "Seconds that calls took, by path", CALL_BUCKETS, ["call"]
        )
        self.pool_wait = self._histogram(
            "fleetsync_pool_wait_seconds", "Waits for a database connection", WAIT_BUCKETS
        ).observe
        self.stall = self._histogram(
            "fleetsync_hub_stall_seconds", "Times in which no greenlet could run", STALL_BUCKETS
        ).observe

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def vehicles(self) -> list[tuple[UUID, VehicleCounters]]:
        """Return the counters of every vehicle of the fleet."""
        return list(self._vehicles.items())

    def count_call(self, vehicle_id: UUID, call: str, seconds: float, received: int) -> None:
        """Count one call to a vehicle."""
        self._call_seconds.labels(call).observe(seconds)
        counters = self._vehicles.get(vehicle_id)
        if counters is not None:
            count, total = counters.calls.get(call, (0, 0.0))
            counters.calls[call] = count + 1, total + seconds
            counters.received += received

    def listen(self, event: events.Event) -> None:
        """Count an event."""
        match event:
            case events.CycleStarted(vehicles, shards):
                self._on_cycle_started(vehicles)
                self._shards.set(shards)
            case events.VehicleCycleEnded(report):
                self._on_vehicle_cycle_ended(report)
            case events.AttemptEnded(report):
                entry = report.entry
                self._count(entry.vehicle_id, entry.rows_written, report)
                if report.audit is not None:
                    self._count_audit(entry.vehicle_id, report.audit)
            case events.CycleEnded():
                self._on_cycle_ended(event)
            case events.MonthTidied(saved_bytes):
                self._tidied.inc(saved_bytes)
            case events.MinutesKept(behind_sec, due_vehicles):
                self._minutes_behind.set(behind_sec)
                self._minutes_due.set(due_vehicles)
            case events.NoticesEnded() | events.NoticesWait() | events.MessageRefused():
                self._notices.count(event)
            case events.DatabaseDown():
                self._database_up.set(0)
                self._outdated = True
            case events.DatabaseUp():
                self._database_up.set(1)
                # Or the whole outage would pass for a cycle that does not end.
                self._cycle_ended.set(self._now())

    def _on_cycle_started(self, vehicles: Sequence[Vehicle]) -> None:
        fleet = {}
        for vehicle in vehicles:
            live_to = None if vehicle.live_to is None else vehicle.live_to.timestamp()
            counters = self._vehicles.get(vehicle.id)
            if counters is None:
                counters = VehicleCounters(vehicle.name, vehicle.paused, live_to)
                self._unread.add(vehicle.id)
            counters.name, counters.paused = vehicle.name, vehicle.paused
            counters.live_to = live_to
            counters.interval = vehicle.terms.interval(self._sync_interval_sec)
            counters.gap = vehicle.missing.total_seconds()
            counters.loses_in = self._loses_in(vehicle)
            counters.lateness = _seconds(vehicle.lateness)
            if counters.up is None or self._outdated:
                # What another daemon, or this one before a restart, has found out last.
                counters.up = up_by_status(vehicle.status)
            if counters.up:
                counters.failing = None
            fleet[vehicle.id] = counters
        self._vehicles = fleet
        self._outdated = False

    def _loses_in(self, vehicle: Vehicle) -> float | None:
        """Return in how many seconds the vehicle drops a part of its gap; None if it does not."""
        if vehicle.gap is None:
            return None
        now = datetime.fromtimestamp(self._now(), UTC)
        loss = forecast_loss(vehicle.history, vehicle.gap, now)
        return None if loss is None else loss.in_sec

    def _on_vehicle_cycle_ended(self, report: CycleReport) -> None:
        counters = self._vehicles.get(report.vehicle.id)
        if counters is None:
            return
        counters.cycles += 1
        counters.late_rows += report.late_rows
        counters.lateness = _seconds(report.lateness)
        self._count(report.vehicle.id, report.rows_written, report)
        if (live_to := report.live_to or report.watermark) is not None:
            counters.live_to = live_to.timestamp()
            if not report.leaves_gap:
                counters.gap, counters.loses_in = 0.0, None
        if report.failure is not None:
            counters.failures[report.failure] = counters.failures.get(report.failure, 0) + 1
        if report.goes_on or not report.stopped:
            counters.up = report.goes_on or report.outcome is Outcome.OK
            counters.failing = None if counters.up else report.failure

    def _count(self, vehicle_id: UUID, written: int, report: CycleReport | AttemptReport) -> None:
        if (counters := self._vehicles.get(vehicle_id)) is not None:
            counters.rows_written += written
            counters.bad_rows += report.bad_rows
            counters.discarded += report.discarded_bytes

    def _count_audit(self, vehicle_id: UUID, found: AuditResult) -> None:
        if (counters := self._vehicles.get(vehicle_id)) is not None:
            counters.audited += found.counts
            if found.age_sec is not None and found.verified_to is not None:
                at = found.verified_to.timestamp()
                counters.verified |= dict.fromkeys((found.age_sec, *found.also), at)

    def _on_cycle_ended(self, cycle: events.CycleEnded) -> None:
        self._cycles.inc()
        self._cycle_seconds.set(cycle.seconds)
        self._cycle_ended.set(self._now())
        self._unstored.set(cycle.unstored)
        for result in ("ok", "failed", "unfinished", "resting"):
            self._cycle_vehicles.labels(result).set(getattr(cycle, result))
        if (count := self._count_quarantine()) is not None:
            self._quarantine.set(count)
        self._take_verified()

    def _take_verified(self) -> None:
        """Take in what was verified of new vehicles before this daemon pulled them."""
        if not self._unread or (verified := self._read_verified(self._unread)) is None:
            return
        self._unread.clear()
        for (vehicle_id, age_sec), at in verified.items():
            if (counters := self._vehicles.get(vehicle_id)) is not None:
                counters.verified.setdefault(age_sec, at.timestamp())


def _seconds(lateness: Lateness) -> float | None:
    return None if lateness.late is None else lateness.late.total_seconds()
