"""Serve metrics to Prometheus over HTTP, without delaying the daemon.

The client library renders and compresses an answer in one go; for thousands of vehicles that would
make every greenlet wait. So the vehicles' series are rendered here, some hundred lines at a time,
and the library renders only what does not grow with the fleet.
"""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from threading import Thread
from uuid import UUID

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fleetsyncd.monitoring.http_server import Limits, Page, Server
from fleetsyncd.monitoring.metrics import Metrics
from fleetsyncd.monitoring.vehicle_metrics import FAMILIES, MetricFamily, VehicleCounters
from fleetsyncd.time_limits import Deadline, no_deadline

PATH = "/metrics"
CHUNK_VEHICLES = 100
"""Vehicles of which a metric is rendered in one go: about a millisecond of work."""
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def serve(
    metrics: Metrics,
    host: str,
    port: int,
    *,
    deadline: Deadline = no_deadline,
    limits: Limits | None = None,
) -> Server:
    """Serve http://host:port/metrics in a thread; raise OSError if the port cannot be opened."""
    page = Page(PATH, CONTENT_TYPE_PLAIN_0_0_4, lambda: render(metrics, time.time()))
    server = Server(host, port, page, deadline=deadline, limits=limits)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def render(metrics: Metrics, now: float) -> Iterator[bytes]:
    """Yield the page in parts, between which others may run; `now` is in seconds since 1970."""
    yield generate_latest(metrics.registry)
    vehicles = metrics.vehicles()
    for family in FAMILIES:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode()
        rest = iter(vehicles)
        while part := list(islice(rest, CHUNK_VEHICLES)):
            yield "".join(_lines(family, part, now)).encode()


def _lines(
    family: MetricFamily, vehicles: Iterable[tuple[UUID, VehicleCounters]], now: float
) -> Iterator[str]:
    for vehicle_id, counters in vehicles:
        own = f'vehicle="{counters.name.translate(_ESCAPES)}",vehicle_id="{vehicle_id}"'
        for suffix, labels, value in family.samples(counters, now):
            more = "".join(f',{name}="{text}"' for name, text in labels)
            yield f"{family.name}{suffix}{{{own}{more}}} {_number(value)}\n"


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "NaN"
