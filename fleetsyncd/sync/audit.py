"""One attempt at an audit: an interval that an operator or the daemon wants compared."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from fleetsyncd.audit_results import AuditCounts, AuditResult
from fleetsyncd.database import audits
from fleetsyncd.database.pool import Cursor
from fleetsyncd.jobs import Audit
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport
from fleetsyncd.sync.comparing import Compared, ComparingAttempt
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.history import lost_history
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.recording import write_attempt_entry
from fleetsyncd.times import floor_ms, utc_day, utc_span
from fleetsyncd.vehicle.client import VehicleClient


def run_audit(
    vehicle: Vehicle,
    audit: Audit,
    client: VehicleClient,
    context: SyncContext,
    stop_reason: Callable[[], str | None] = lambda: None,
) -> AttemptReport:
    """Compare the rest of an audit, store what is missing, write a journal entry.

    `stop_reason` is called between windows and names the reason to end early. Raises
    DatabaseUnavailable and VehicleRemoved, for which no journal entry can be written, and
    DatabaseError if nothing of the attempt's end can be.
    """
    attempt = _AuditAttempt(vehicle, audit, context.source(vehicle, client, stop_reason), context)
    result = attempt.carry_out()
    entry = attempt.journal_entry(result)
    is_told = attempt.taken is None or attempt.has_committed
    if is_told:
        entry = write_attempt_entry(
            entry,
            result,
            attempt.source.learned,
            context.database,
            lambda cursor, reason: audits.fail_audit(cursor, vehicle.id, audit, reason),
        )
    return attempt.report(entry, result, AuditResult(attempt.counts, is_told=is_told))


class _AuditAttempt(ComparingAttempt):
    """One attempt at an audit that was requested."""

    def __init__(
        self, vehicle: Vehicle, audit: Audit, source: VehicleSource, context: SyncContext
    ) -> None:
        super().__init__(vehicle, audit.rest, source, context)
        self.audit = audit
        self.report_only = audit.report_only
        self.is_asked_for = not audit.is_repair
        self.begins = audit.reached
        """Of what is before it nothing can be compared."""

    def title(self) -> str:
        """Say what was to be compared, for the journal."""
        return utc_span(self.audit.window.start, self.audit.window.end)

    def prepare(self) -> None:
        """Leave out what retention deletes, and what the vehicle no longer has."""
        oldest, end = self.context.accepted_interval().start, self.interval.end
        if self.interval.start < oldest:
            self.notes.append(f"before {utc_day(oldest)} nothing is kept")
        self.begins = min(max(self.interval.start, oldest), end)
        if self.begins < end:
            lost = lost_history(self.source, Window(self.begins, end))
            self.has_all = lost is None or lost.window is not None
            if lost is not None:
                self.notes.append(str(lost))
                self.begins = floor_ms(lost.window.end) if lost.window else self.begins
        self.interval = Window(self.begins, end)
        if self.begins > self.audit.reached:
            self._skip()

    def _skip(self) -> None:
        """Record that there is nothing to compare before `begins`."""
        compared = Compared(Window(self.audit.reached, self.begins), AuditCounts())
        gone_sec = compared.window.length.total_seconds()
        self.context.database.run(lambda cursor: self._advance(cursor, compared, gone_sec))
        self.take_in(compared)

    def seconds_covered(self, window: Window) -> float:
        """Return how much time of `window` raises the number of rows that may come today.

        Nothing for what the daemon wants itself: a vehicle that answers otherwise each time must
        not be able to fill the tables.
        """
        return 0.0 if self.audit.is_repair else window.length.total_seconds()

    def record(self, cursor: Cursor, compared: Compared) -> None:
        """Record a window's progress in the transaction that stores its rows."""
        gone = compared.window.length if compared.counts.is_void else timedelta(0)
        self._advance(cursor, compared, gone.total_seconds())

    def _advance(self, cursor: Cursor, compared: Compared, gone_sec: float) -> None:
        update = audits.AuditUpdate(
            reached=compared.window.end,
            counts=compared.counts,
            seconds=(self.context.now() - self.step_started_at).total_seconds(),
            gone_sec=gone_sec,
            hint=self.hint,
        )
        audits.advance_audit(cursor, self.vehicle, self.audit, update)

    def take_in(self, compared: Compared) -> None:
        """Take in that a window's transaction is committed."""
        self.audit = replace(self.audit, reached=compared.window.end)
