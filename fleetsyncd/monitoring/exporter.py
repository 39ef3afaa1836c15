"""Serve metrics to Prometheus over HTTP, without delaying the daemon.

The client library renders an answer in one go; for thousands of vehicles that would make every
greenlet wait. So the vehicles' series are rendered here, some hundred lines at a time, and the
library renders only what does not grow with the fleet.
"""

import logging
import math
import socket
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from uuid import UUID
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from fleetsyncd.monitoring.metrics import Metrics
from fleetsyncd.monitoring.vehicle_metrics import FAMILIES, MetricFamily, VehicleCounters

log = logging.getLogger("sync.metrics")

PATH = "/metrics"
CHUNK_VEHICLES = 200
"""Vehicles that are rendered in one go: about a millisecond of work."""
CLIENT_TIMEOUT_SEC = 10.0
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def serve(metrics: Metrics, host: str, port: int) -> WSGIServer:
    """Serve http://host:port/metrics in a thread; raise OSError if the port cannot be opened."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"metrics are at {PATH}\n".encode()]
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4)])
        return render(metrics, time.time())

    kind = _IPv6Server if ":" in host else _Server
    server: WSGIServer = make_server(host, port, application, kind, _Handler)
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Server(ThreadingMixIn, WSGIServer):
    """Serves each scrape in a thread of its own."""

    daemon_threads = True

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log a failed scrape at DEBUG only: the next one follows soon."""
        log.debug("a scrape by %s failed", client_address, exc_info=True)


class _IPv6Server(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_TIMEOUT_SEC

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Keep scrapes out of the log."""


def render(metrics: Metrics, now: float) -> Iterator[bytes]:
    """Yield the answer in pieces and let other greenlets run between them.

    `now` is in seconds since 1970.
    """
    yield generate_latest(metrics.registry)
    vehicles = metrics.vehicles()
    for family in FAMILIES:
        yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode()
        rest = iter(vehicles)
        while part := list(islice(rest, CHUNK_VEHICLES)):
            yield "".join(_lines(family, part, now)).encode()
            time.sleep(0)


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
