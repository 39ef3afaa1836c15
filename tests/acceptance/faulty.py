"""The daemon with a planted bug: `python -m tests.acceptance.faulty run`.

Each cycle of a vehicle called Bug ends by an error that nothing expects.
"""

from typing import Any

import fleetsyncd.__main__  # patches for gevent before anything else of ours is imported
from fleetsyncd.reports import CycleReport
from fleetsyncd.sync import cycle_runner

NAME = "Bug"
_sync_vehicle = cycle_runner.sync_vehicle


def _faulty(vehicle: Any, *arguments: Any, **options: Any) -> CycleReport:
    if vehicle.name == NAME:
        raise ZeroDivisionError("planted")
    return _sync_vehicle(vehicle, *arguments, **options)


if __name__ == "__main__":
    cycle_runner.sync_vehicle = _faulty
    fleetsyncd.__main__.main()
