"""One cycle of the fleet, counted and told: a line per vehicle, one for the whole."""

import logging
import time
from collections.abc import Iterable

from fleetsyncd.models import CycleReport, Outcome, Progress
from fleetsyncd.sync import log_lines

log = logging.getLogger("sync")

OUTAGE_FROM = 3
"""Vehicles that must all be silent before the network is blamed instead of them."""


class CycleSummary:
    """How many vehicles a cycle started, and how they ended.

    Silent vehicles are not told before another one has answered: if none does, it is one fault of
    our network and not a thousand of theirs.
    """

    def __init__(self, started: int) -> None:
        self.started = started
        self.ok = 0
        self.failed = 0
        self.seconds = 0.0
        self._began = time.monotonic()
        self._silent: list[CycleReport] = []
        self._answered = False

    def add(self, report: CycleReport) -> None:
        """Count and log one vehicle's report."""
        if report.outcome is Outcome.OK:
            self.ok += 1
        else:
            self.failed += 1
        if report.reached:
            self._answered = True
            self._tell_silent()
        if self._answered or self.started < OUTAGE_FROM:
            _tell(report)
        else:
            self._silent.append(report)

    def summarise(self, busy: Iterable[tuple[str, Progress | None]], sleep: float) -> None:
        """Log how the cycle went; `busy` are the vehicles that are still at it."""
        self.seconds = time.monotonic() - self._began
        still = list(busy)
        pulling = any(progress is not None for _name, progress in still)
        asked = max(self.started, len(self._silent))
        if len(self._silent) >= max(OUTAGE_FROM, asked / 2) and not pulling:
            log.error("no vehicle answers (%d of %d): check the VPN", len(self._silent), asked)
            self._silent.clear()
        self._tell_silent()
        self._answered = True  # whoever reports from now on is told at once
        if named := log_lines.busy_vehicles(still):
            log.info("Cycle over after %.1fs — still busy: %s", self.seconds, named)
        else:
            log.info("Cycle done in %.1fs — sleeping %.1fs", self.seconds, sleep)

    def _tell_silent(self) -> None:
        for report in self._silent:
            _tell(report)
        self._silent.clear()


def _tell(report: CycleReport) -> None:
    log.log(*log_lines.report_line(report), extra={"vehicle": report.vehicle.name})
