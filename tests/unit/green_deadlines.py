"""Asks each of the ports given as `name=port`, green, and prints as JSON how each call ended.

A program of its own, since a process can be made green only once, before anything is imported.
"""

from fleetsyncd import green

green.patch()

import json  # noqa: E402  nothing may be imported before the patch
import sys  # noqa: E402
import time  # noqa: E402
from datetime import UTC, datetime  # noqa: E402

import gevent  # noqa: E402

from fleetsyncd.errors import VehicleError  # noqa: E402
from fleetsyncd.models import Window  # noqa: E402
from fleetsyncd.vehicle.client import VehicleClient  # noqa: E402

TICK_SEC = 0.01
WINDOW = Window(datetime(2026, 2, 22, tzinfo=UTC), datetime(2026, 2, 23, tzinfo=UTC))


def main() -> None:
    """Ask one port after the other while another greenlet ticks."""
    ticks = [0]
    ticking = gevent.spawn(_tick, ticks)
    outcomes = {}
    for argument in sys.argv[2:]:
        name, _, port = argument.partition("=")
        began, before = time.monotonic(), ticks[0]
        ended = _ask(int(port), float(sys.argv[1]))
        outcomes[name] = {
            "ended": ended,
            "seconds": time.monotonic() - began,
            "ticks": ticks[0] - before,
        }
    ticking.kill()
    sys.stdout.write(json.dumps(outcomes))


def _ask(port: int, timeout: float) -> str:
    client = VehicleClient(
        "127.0.0.1",
        port,
        None,
        pull_timeout_sec=timeout,
        pull_max_body_mb=64,
        deadline=green.deadline,
    )
    try:
        client.data(WINDOW)
    except VehicleError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        client.close()
    return "answered"


def _tick(ticks: list[int]) -> None:
    while True:
        gevent.sleep(TICK_SEC)
        ticks[0] += 1


if __name__ == "__main__":
    main()
