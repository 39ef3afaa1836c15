"""Prometheus metrics of the daemon, served only when METRICS_PORT is set."""

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from fleetsyncd.models import CycleReport, Outcome


class Metrics:
    """Counts what cycles came to; one label, the vehicle's name, on everything per vehicle."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        label = ["vehicle"]
        self._up = Gauge(
            "fleetsync_vehicle_up",
            "1 if the vehicle's last cycle ended ok",
            label,
            registry=self.registry,
        )
        self._lag = Gauge(
            "fleetsync_vehicle_watermark_timestamp_seconds",
            "Everything stamped before this moment is committed",
            label,
            registry=self.registry,
        )
        self._rows = Counter(
            "fleetsync_rows_written",
            "Measurements added to the database",
            label,
            registry=self.registry,
        )
        self._cycles = Counter(
            "fleetsync_vehicle_cycles",
            "Cycles of a vehicle by outcome",
            [*label, "outcome"],
            registry=self.registry,
        )
        self._bad_rows = Counter(
            "fleetsync_bad_rows", "Rows set aside as bad", label, registry=self.registry
        )

    def add(self, report: CycleReport) -> None:
        """Count one vehicle's cycle."""
        name = report.vehicle.name
        self._up.labels(name).set(report.outcome is Outcome.OK)
        if report.watermark is not None:
            self._lag.labels(name).set(report.watermark.timestamp())
        self._rows.labels(name).inc(report.rows_written)
        self._bad_rows.labels(name).inc(report.bad_rows)
        self._cycles.labels(name, report.outcome.value).inc()

    def serve(self, host: str, port: int) -> None:
        """Answer scrapes at http://host:port/metrics from now on; raise OSError if it is taken."""
        start_http_server(port, addr=host, registry=self.registry)
