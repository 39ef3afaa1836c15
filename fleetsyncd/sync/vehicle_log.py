"""Log the ends of vehicles' cycles, each as often as it tells something.

What is not told is logged as DEBUG. A failure or a remark that stays the same but for its numbers
is told when it comes, an hour later, and then after pauses that double up to a day. A cycle that
went well is told each time, or only when it is a change: LOG_VEHICLES; with a remark that is not
told again it is no warning.
"""

import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from fleetsyncd.reports import AttemptReport, CycleReport, Outcome
from fleetsyncd.sync import log_lines

log = logging.getLogger("sync")

FIRST_REPEAT_SEC, LONGEST_REPEAT_SEC = 3600.0, 86_400.0
"""After what time a failure or remark that stays the same is told again."""
CAUGHT_UP_FROM = timedelta(minutes=10)
"""A pull of a longer interval has closed a gap, which is a change."""
_Key = UUID | tuple[UUID, str] | None
"""A vehicle, its backfill, or the fleet as a whole."""
_NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Told:
    """A failure or remark without its numbers, and when it is told again if it stays the same."""

    text: str
    again_at: float
    pause_sec: float = FIRST_REPEAT_SEC


class VehicleLog:
    """Remembers what was told of each vehicle, and of the fleet as a whole."""

    def __init__(
        self, *, every_cycle: bool = True, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.every_cycle = every_cycle
        """Whether every good cycle of a vehicle has its line."""
        self._monotonic = monotonic
        self._told: dict[_Key, _Told] = {}
        """What was told last; None is the fleet as a whole."""

    def add(self, report: CycleReport) -> None:
        """Log how a vehicle's cycle ended."""
        level, text = log_lines.report_line(report)
        if not self._is_news(report):
            good = report.outcome is Outcome.OK
            level = logging.INFO if good and self.every_cycle else logging.DEBUG
        log.log(level, text, extra={"vehicle": report.vehicle.name})

    def add_attempt(self, report: AttemptReport) -> None:
        """Log how an attempt at a vehicle's backfill, gap or audit ended."""
        entry = report.entry
        key = entry.vehicle_id, "backfill" if report.audit is None else "audit"
        level = logging.WARNING if report.needs_attention else logging.INFO
        if not report.needs_attention:
            # A look that finds nothing does not make the next one that does a new thing.
            if report.audit is None:
                self._told.pop(key, None)
        elif not self._is_new(key, str(entry.error_msg)):
            level = logging.DEBUG
        if report.audit is not None and not report.audit.is_told:
            level = logging.DEBUG
        text = f"[{entry.vehicle_name}] {entry.error_msg}  wrote {entry.rows_written}"
        log.log(level, text, extra={"vehicle": entry.vehicle_name})

    def add_outage(self, text: str) -> None:
        """Log that no vehicle answers, which is a failure of the fleet as a whole."""
        log.log(logging.ERROR if self._is_new(None, "outage") else logging.DEBUG, text)

    def end_outage(self) -> None:
        """Take in that some vehicle answers: another outage is told at once."""
        self._told.pop(None, None)

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that left the fleet."""

        def is_kept(key: _Key) -> bool:
            return key is None or (key[0] if isinstance(key, tuple) else key) in fleet

        self._told = {key: told for key, told in self._told.items() if is_kept(key)}

    def _is_news(self, report: CycleReport) -> bool:
        if report.stopped:
            return True
        vehicle_id = report.vehicle.id
        if report.error_msg:
            return self._is_new(vehicle_id, f"{report.outcome} {report.error_msg}")
        had_told = self._told.pop(vehicle_id, None) is not None
        came_online = report.vehicle.status != Outcome.OK
        caught_up = report.interval is not None and report.interval.length >= CAUGHT_UP_FROM
        return had_told or came_online or caught_up

    def _is_new(self, key: _Key, text: str) -> bool:
        """Tell whether `text` is to be told of a vehicle, and remember that it was."""
        text, now = _NUMBERS.sub("0", text), self._monotonic()
        known = self._told.get(key)
        if known is None or known.text != text:
            self._told[key] = _Told(text, now + FIRST_REPEAT_SEC)
            return True
        if now < known.again_at:
            return False
        pause_sec = min(2 * known.pause_sec, LONGEST_REPEAT_SEC)
        self._told[key] = _Told(text, now + pause_sec, pause_sec)
        return True
