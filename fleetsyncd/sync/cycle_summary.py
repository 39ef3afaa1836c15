"""Count one cycle of the fleet, and log it: its vehicles as they end, and its summary."""

import logging
import time
from collections.abc import Collection, Iterable
from uuid import UUID

from fleetsyncd.reports import CycleReport, Outcome, Progress
from fleetsyncd.states import OUTAGE_FROM
from fleetsyncd.sync import log_lines
from fleetsyncd.sync.vehicle_log import VehicleLog

log = logging.getLogger("sync")


class CycleSummary:
    """How many vehicles a cycle started, and how they ended.

    The log lines of silent vehicles are held back until another vehicle has answered: if none
    does, it is one fault of this host's network, not many of the vehicles'. Those with an interval
    of their own tell nothing about that: a cycle asks a few of them, and these may all be dead.
    """

    def __init__(
        self,
        started: int,
        resting: int = 0,
        vehicle_log: VehicleLog | None = None,
        *,
        silent_resting: int | None = None,
        own_interval: Collection[UUID] = (),
    ) -> None:
        self.started = started
        self.resting = resting
        """Vehicles without a good cycle that are not asked in this one."""
        self._silent_resting = resting if silent_resting is None else silent_resting
        """Those of them that are silent for long."""
        self._own_interval = own_interval
        self._judged = started - len(own_interval)
        """Vehicles of this cycle that tell whether the network is to blame."""
        self.ok = 0
        self.failed = 0
        self.rows_written = 0
        self.seconds = 0.0
        self._started_at = time.monotonic()
        self._log = vehicle_log or VehicleLog()
        self._silent: list[CycleReport] = []
        self._any_answered = False

    def add(self, report: CycleReport) -> None:
        """Count one vehicle's report, and log it or hold it back."""
        if report.outcome is Outcome.OK:
            self.ok += 1
        else:
            self.failed += 1
        self.rows_written += report.rows_written
        if report.vehicle_answered:
            self._any_answered = True
            self._log.end_outage()
            self._log_silent()
        is_own = report.vehicle.id in self._own_interval
        if is_own or self._any_answered or self._judged + self._silent_resting < OUTAGE_FROM:
            self._log.add(report)
        else:
            self._silent.append(report)

    def summarise(
        self, busy: Iterable[tuple[str, Progress | None]], sleep: float, waiting: int = 0
    ) -> None:
        """Log how the cycle went; `busy` are the vehicles that are not done yet.

        So many of them are `waiting` for a slot, and tell nothing about the network.
        """
        self.seconds = time.monotonic() - self._started_at
        unfinished = list(busy)
        pulling = any(progress is not None for _name, progress in unfinished)
        asked = max(self._judged - waiting, len(self._silent))
        if self._is_outage(asked) and not pulling:
            self._log.add_outage(self._outage_text(asked))
            self._silent.clear()
        self._log_silent()
        self._any_answered = True  # later reports are logged at once
        facts = self._facts()
        if named := log_lines.busy_vehicles(unfinished):
            log.info("Cycle over after %.1fs — still busy: %s%s", self.seconds, named, facts)
        else:
            log.info("Cycle done in %.1fs — sleeping %.1fs%s", self.seconds, sleep, facts)

    def _is_outage(self, asked: int) -> bool:
        """Tell whether most of those that were asked are silent, and none of them has answered."""
        silent = len(self._silent)
        return silent + self._silent_resting >= OUTAGE_FROM and silent >= max(1, asked / 2)

    def _outage_text(self, asked: int) -> str:
        rest = f", {self._silent_resting} more rest" if self._silent_resting else ""
        return f"no vehicle answers ({len(self._silent)} of {asked}{rest}): check the VPN"

    def _facts(self) -> str:
        """Return the counts that no line of a vehicle tells; without such lines, all of them."""
        counts = {"failed": self.failed, "resting": self.resting}
        if self._log.every_cycle:
            counts = {name: count for name, count in counts.items() if count}
        else:
            counts = {"ok": self.ok, **counts, "rows": self.rows_written}
        return "".join(f"  {name}={count}" for name, count in counts.items())

    def _log_silent(self) -> None:
        for report in self._silent:
            self._log.add(report)
        self._silent.clear()
