"""Count and log one cycle of the fleet: a line for each vehicle, one for the whole."""

import logging
import time
from collections.abc import Iterable

from fleetsyncd.reports import CycleReport, Outcome, Progress
from fleetsyncd.states import OUTAGE_FROM
from fleetsyncd.sync import log_lines

log = logging.getLogger("sync")


class CycleSummary:
    """How many vehicles a cycle started, and how they ended.

    The log lines of silent vehicles are held back until another vehicle has answered: if none
    does, it is one fault of this host's network, not many of the vehicles'.
    """

    def __init__(self, started: int) -> None:
        self.started = started
        self.ok = 0
        self.failed = 0
        self.seconds = 0.0
        self._started_at = time.monotonic()
        self._silent: list[CycleReport] = []
        self._any_answered = False

    def add(self, report: CycleReport) -> None:
        """Count one vehicle's report, and log it or hold it back."""
        if report.outcome is Outcome.OK:
            self.ok += 1
        else:
            self.failed += 1
        if report.vehicle_answered:
            self._any_answered = True
            self._log_silent()
        if self._any_answered or self.started < OUTAGE_FROM:
            _log(report)
        else:
            self._silent.append(report)

    def summarise(self, busy: Iterable[tuple[str, Progress | None]], sleep: float) -> None:
        """Log how the cycle went; `busy` are the vehicles that are not done yet."""
        self.seconds = time.monotonic() - self._started_at
        unfinished = list(busy)
        pulling = any(progress is not None for _name, progress in unfinished)
        vehicles = max(self.started, len(self._silent))
        if len(self._silent) >= max(OUTAGE_FROM, vehicles / 2) and not pulling:
            log.error("no vehicle answers (%d of %d): check the VPN", len(self._silent), vehicles)
            self._silent.clear()
        self._log_silent()
        self._any_answered = True  # later reports are logged at once
        if named := log_lines.busy_vehicles(unfinished):
            log.info("Cycle over after %.1fs — still busy: %s", self.seconds, named)
        else:
            log.info("Cycle done in %.1fs — sleeping %.1fs", self.seconds, sleep)

    def _log_silent(self) -> None:
        for report in self._silent:
            _log(report)
        self._silent.clear()


def _log(report: CycleReport) -> None:
    log.log(*log_lines.report_line(report), extra={"vehicle": report.vehicle.name})
