"""The daemon with a planted bug: `python -m tests.acceptance.faulty run`.

Each cycle of a vehicle called Bug ends by an error that nothing expects.
"""

from typing import Any
from unittest.mock import patch

import fleetsyncd.__main__  # noqa: F401  patches for gevent, before anything else of ours
from fleetsyncd.cli import main
from fleetsyncd.reports import CycleReport
from fleetsyncd.sync import cycle_runner
from fleetsyncd.sync.cycle import sync_vehicle

NAME = "Bug"


def _faulty(vehicle: Any, *arguments: Any, **options: Any) -> CycleReport:
    if vehicle.name == NAME:
        raise ZeroDivisionError("planted")
    return sync_vehicle(vehicle, *arguments, **options)


if __name__ == "__main__":
    with patch.object(cycle_runner, "sync_vehicle", _faulty):
        main()
