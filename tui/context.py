"""What every screen works with: the gateway, the state of the fleet, and two clocks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fleetsyncd.times import utc_now
from tui.gateway import Gateway
from tui.model.state import FleetState


@dataclass
class ScreenContext:
    """Handed to the app and to each of its screens; clocks can be replaced in tests."""

    gateway: Gateway
    state: FleetState
    now: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = utc_now
