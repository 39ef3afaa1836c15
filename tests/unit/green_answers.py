"""Reads hostile answers, green: for each line `call port` of input, one JSON line of what it cost.

A program of its own, since a process can be made green only once, before anything is imported.
"""

from fleetsyncd import green

green.patch()

import json  # noqa: E402  nothing may be imported before the patch
import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from datetime import UTC, datetime, timedelta  # noqa: E402

import gevent  # noqa: E402

from fleetsyncd.errors import VehicleError  # noqa: E402
from fleetsyncd.models import Window  # noqa: E402
from fleetsyncd.vehicle import decode  # noqa: E402
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient  # noqa: E402
from tests.hostile import KEYS  # noqa: E402

TICK_SEC = 0.001
OLDEST, NEWEST = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = Window(NEWEST - timedelta(days=1), NEWEST)

CALLS: Mapping[str, Callable[[VehicleClient], object]] = {
    "/status": lambda client: decode.status(client.status().body),
    "/channels": lambda client: decode.channels(client.channels().body),
    "/alarms": lambda client: decode.alarms(client.alarms(WINDOW).body, OLDEST, NEWEST),
    "/data": lambda client: decode.page(client.data(WINDOW).body, PAGE_LIMIT, OLDEST, NEWEST),
}


class Ticker:
    """Runs beside the reading; knows how much CPU time passed between two of its turns at most."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.process_time()
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self.turn()
            gevent.sleep(TICK_SEC)

    def turn(self) -> None:
        now = time.process_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def reset(self) -> None:
        self.turn()
        self.longest = 0.0


def main() -> None:
    """Ask what standard input says, until it ends."""
    ticker = Ticker()
    for line in sys.stdin:
        call, key, port = line.split()
        client = VehicleClient(
            "127.0.0.1",
            int(port),
            KEYS[int(key)],
            pull_timeout_sec=60,
            pull_max_body_mb=8,
            deadline=green.deadline,
        )
        gevent.sleep(2 * TICK_SEC)
        ticker.reset()
        began = time.process_time()
        try:
            CALLS[call](client)
            ended = "read"
        except VehicleError as error:
            ended = str(error)
        cpu_sec = time.process_time() - began
        gevent.sleep(2 * TICK_SEC)
        client.close()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = {"ended": ended, "cpu_sec": cpu_sec, "stall_sec": ticker.longest, "peak_kb": peak}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
