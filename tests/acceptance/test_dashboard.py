"""What the dashboard shows of an installation at work, in a terminal."""

import time
from datetime import timedelta
from pathlib import Path

from fleetsyncd.demo.processes import simulator
from fleetsyncd.times import utc_now
from tests.acceptance.conftest import Installation
from tests.tui.terminal import terminal

INTERVAL_SEC = 1
SLACK_SEC = 3
"""For a machine that does other things."""


def test_a_vehicle_that_dies_is_shown_within_an_interval_and_two_seconds(
    installation: Installation, tmp_path: Path
) -> None:
    with terminal(installation.server, installation.database_name, tmp_path) as it:
        it.sees("press a")
        with simulator(1, healthy=True, channels=2) as vehicles:
            installation.register(vehicles, utc_now() - timedelta(seconds=30), channels=2)
            installation.daemon(SYNC_INTERVAL_SEC=str(INTERVAL_SEC))
            it.sees("online")
        died, it.shown = time.monotonic(), bytearray()
        it.sees("error")
        assert time.monotonic() - died < INTERVAL_SEC + 2 + SLACK_SEC
        it.type("\x11")
        assert it.ended() == 0
