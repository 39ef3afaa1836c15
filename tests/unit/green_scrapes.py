"""Serves the metrics of a fleet, green: prints the port, then for each line of input a stall.

The arguments are the number of vehicles and the server's limits as JSON. A stall is the longest CPU
time between two turns of a greenlet that wants to run every millisecond, since the line before.
"""

from fleetsyncd import green

green.patch()

import json  # noqa: E402  nothing may be imported before the patch
import sys  # noqa: E402
import time  # noqa: E402
from datetime import UTC, datetime  # noqa: E402
from uuid import UUID  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObjectThread  # noqa: E402

from fleetsyncd.models import Vehicle  # noqa: E402
from fleetsyncd.monitoring import events, exporter  # noqa: E402
from fleetsyncd.monitoring.http_server import Limits  # noqa: E402
from fleetsyncd.monitoring.metrics import Metrics  # noqa: E402

TICK_SEC = 0.001
NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)


class Ticker:
    """Knows the longest CPU time between two of its turns."""

    def __init__(self) -> None:
        self._longest = 0.0
        self._last = time.process_time()
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self._turn()
            gevent.sleep(TICK_SEC)

    def _turn(self) -> None:
        now = time.process_time()
        self._longest = max(self._longest, now - self._last)
        self._last = now

    def stall(self) -> float:
        """Return the longest so far, and begin anew."""
        self._turn()
        longest, self._longest = self._longest, 0.0
        return longest


def fleet(size: int) -> Metrics:
    """Return the metrics of so many vehicles, each of which was called."""
    metrics = Metrics()
    vehicles = [
        Vehicle(UUID(int=n), f"Truck-{n:05}", "10.8.0.1", 8001, None, NOW, "ok", None)
        for n in range(size)
    ]
    metrics.listen(events.CycleStarted(vehicles))
    for vehicle in vehicles:
        for call in ("/status", "/channels", "/data", "/alarms"):
            metrics.count_call(
                vehicle.id, call, vehicle.id.int % 997 / 1e3, vehicle.id.int % 99_991
            )
    return metrics


def say(value: float) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    limits = Limits(**json.loads(sys.argv[2]))
    server = exporter.serve(
        fleet(int(sys.argv[1])), "127.0.0.1", 0, deadline=green.deadline, limits=limits
    )
    ticker = Ticker()
    say(server.port)
    for _ in FileObjectThread(sys.stdin.fileno(), close=False):
        say(ticker.stall())


if __name__ == "__main__":
    main()
