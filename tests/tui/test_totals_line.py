"""The line of totals where there is little room: the trouble stays, whole."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from fleetsyncd.database.pool import Database
from fleetsyncd.severities import OpenAlarms, Severity
from fleetsyncd.states import State
from tests.tui.driving import Driver, drive, small_fleet
from tui.widgets.status_bar import totals_line

COUNTS = {
    State.ONLINE: 8677, State.CATCHING_UP: 88, State.TIMEOUT: 500, State.ERROR: 432,
    State.LATE: 210, State.NEVER: 81, State.PAUSED: 12,
}  # fmt: skip
PARTS = ("◆1234", "✖ 432", "◌ 500", "◔ 210", "? 81", "◐ 88", "‖ 12", "● 8677")
"""The worst first."""


def test_a_line_that_is_too_long_keeps_the_worst_parts_and_cuts_no_number(
    database: Database,
) -> None:
    small_fleet(database)

    async def look(it: Driver) -> None:
        assert it.state.snapshot is not None
        it.state.counts = Counter(COUNTS)
        alarms = OpenAlarms(1234, Severity.CRITICAL, 1234)
        it.state.snapshot = replace(it.state.snapshot, open_alarms=alarms)
        it.state.frozen_at = datetime.now(UTC)
        for width in range(30, 75):
            line = totals_line(it.state, it.app.context.now(), width).plain
            assert len(line) <= width
            shown = [part for part in PARTS if re.search(rf"{re.escape(part)}\b", line)]
            assert shown == list(PARTS[: len(shown)]), line
        assert len(shown) >= 6

    drive(database, look)
