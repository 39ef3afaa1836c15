"""What every screen needs: the gateway, the state of the fleet, and two clocks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from fleetsyncd.times import utc_now
from tui.gateway import Gateway
from tui.model.day_strips import DayStrips
from tui.model.state import FleetState


@dataclass
class ScreenContext:
    """Shared by the app and all its screens; tests replace the clocks."""

    gateway: Gateway
    state: FleetState
    days: DayStrips = field(default_factory=DayStrips)
    """The last day of the vehicles that were on the screen."""
    now: Callable[[], float] = time.monotonic
    """Seconds on the monotonic clock, for ages."""
    wall: Callable[[], datetime] = utc_now
    """The time of day, aware."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Configured passwords and keys, so that no message and no file repeats them."""
