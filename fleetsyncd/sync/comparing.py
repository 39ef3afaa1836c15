"""What audits and looks do alike: ask a vehicle again, compare its answers with the tables.

What is missing is stored, unless the attempt only reports. What is different is told, and left as
it is. Rows and progress are committed together, window by window, beside the vehicle's cycles.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from fleetsyncd.audit_results import AuditCounts, AuditResult, audit_remark
from fleetsyncd.budgets import MOST_OF_BUDGET, Intake
from fleetsyncd.database import comparison, losses, store, vehicle_memory
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import AuditTaken, BadAnswer, PullOverrun
from fleetsyncd.lateness import Added
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import AUDIT_PREFIX
from fleetsyncd.reports import AttemptReport, JournalEntry, Outcome
from fleetsyncd.sync import identity
from fleetsyncd.sync.commit import Totals, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.outcome import StepResult, run_step
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.recording import attempt_entry
from fleetsyncd.telemetry import DataPage, Measurements


@dataclass(frozen=True, slots=True)
class Compared:
    """A window that was compared, and what was found in it."""

    window: Window
    counts: AuditCounts


class ComparingAttempt(ABC):
    """The steps of one attempt and their results so far."""

    report_only = False
    is_asked_for = False
    """Whether an operator wants it, not the daemon itself."""

    def __init__(
        self,
        vehicle: Vehicle,
        interval: Window,
        source: VehicleSource,
        context: SyncContext,
        ask_machine: Callable[[], str | None] | None = None,
    ) -> None:
        self.vehicle = vehicle
        self.interval = interval
        self.source = source
        self.context = context
        self._ask_machine = ask_machine or partial(
            identity.ask_machine, source.client, context.database, vehicle
        )
        self.started_at = self.step_started_at = context.now()
        self.totals = Totals()
        self.counts = AuditCounts()
        self.unstored = 0
        """Of the rows that were missing, how many still are."""
        self.intake = replace(vehicle.intake)
        self.hint = vehicle.other_hint
        self.notes: list[str] = []
        self.taken: str | None = None
        """Why the audit is no longer this attempt's."""
        self.has_committed = False
        self.has_all = False
        """Whether the vehicle has all that it measured in the interval, as far as it can tell."""

    @abstractmethod
    def record(self, cursor: Cursor, compared: Compared) -> None:
        """Record a window's progress in the transaction that stores its rows."""

    @abstractmethod
    def title(self) -> str:
        """Say what was to be compared, for the journal."""

    @abstractmethod
    def prepare(self) -> None:
        """Find out what of the interval can be asked for."""

    def seconds_covered(self, window: Window) -> float:
        """Return how much time of `window` raises the number of rows that may come today."""
        del window
        return 0.0

    def carry_out(self) -> StepResult:
        """Compare the interval; return how that ended."""
        result = run_step(self._run).with_left_out(self.totals.left_out)
        if result.database_refused:
            self.context.partitions.forget()
        return result

    def _run(self) -> None:
        try:
            self.hint = self._ask_machine()
            self.prepare()
            if self.interval.start < self.interval.end:
                self._compare_all()
        except AuditTaken as taken:
            self.taken = str(taken)

    def _compare_all(self) -> None:
        self._check_rows()
        try:
            with closing(self.source.measurements(self.interval)) as pages:
                for window, page in pages:
                    self._commit(window, _within(page, window))
                    if window.end < self.interval.end:
                        self._check_rows()
        except PullOverrun as overrun:
            if not self.has_committed:
                raise BadAnswer("/data", str(overrun)) from None

    def _check_rows(self) -> None:
        """Raise BudgetSpent if no more may be stored today; an operator may use all of it."""
        self.intake.check_rows(self.context.budget, 1.0 if self.is_asked_for else MOST_OF_BUDGET)

    def _commit(self, window: Window, page: DataPage) -> None:
        """Compare one window, and commit what was missing together with the progress."""
        vehicle_id, covered = self.vehicle.id, self.seconds_covered(window)
        counts, unstored = AuditCounts(), 0

        def record(cursor: Cursor, added: Added, _stored: Measurements) -> None:
            nonlocal counts, unstored
            found = comparison.compare(cursor, vehicle_id, window, page.measurements)
            # A row that cannot be read may be one that is stored.
            bad = len(page) - len(page.measurements)
            missing, gone = found.missing + added.rows, max(0, found.gone - bad)
            counts, unstored = replace(found, missing=missing, gone=gone), found.missing
            self._record_coverage(cursor, window, page, unstored)
            self.record(cursor, Compared(window, counts))
            intake = Intake(rows=len(page), seconds=covered)
            vehicle_memory.count_intake(cursor, vehicle_id, intake)

        def report(cursor: Cursor) -> None:
            store.lock_vehicle(cursor, vehicle_id, self.vehicle.address)
            record(cursor, Added(), page.measurements)

        if self.report_only:
            self.context.database.run(report)
        else:
            commit_page(self.context, vehicle_id, page, None, record, self.totals)
        self.counts += counts
        self.unstored += unstored
        self.intake.rows += len(page)
        self.intake.seconds += covered
        self.has_committed = True
        self.take_in(Compared(window, counts))
        self.step_started_at = self.context.now()

    def _record_coverage(
        self, cursor: Cursor, window: Window, page: DataPage, unstored: int
    ) -> None:
        """Record whether all of a window is stored now, or so many rows of it are not.

        Rows that were missing are not found by an answer without any: the vehicle has dropped them.
        """
        if unstored:
            losses.record_loss(cursor, self.vehicle.id, window, losses.MISSING)
            return
        kinds = [losses.GONE] if self.has_all else []
        kinds += [losses.MISSING] if len(page.measurements) else []
        losses.recover(cursor, self.vehicle.id, window, kinds)

    @abstractmethod
    def take_in(self, compared: Compared) -> None:
        """Take in that a window's transaction is committed."""

    def journal_entry(self, result: StepResult) -> JournalEntry:
        """Return the journal entry of this attempt."""
        return attempt_entry(
            self.vehicle,
            (self.started_at, self.context.now()),
            result,
            self.totals.rows_written,
            f"{AUDIT_PREFIX}{self.title()}",
            self.taken or result.reason,
            audit_remark(self.counts, self.unstored),
            *self.notes,
            self.source.broken_remark,
            self.totals.bad_remark,
        )

    def report(self, entry: JournalEntry, result: StepResult, found: AuditResult) -> AttemptReport:
        """Return the result of the attempt for the log and the metrics."""
        failed = entry.status != Outcome.OK and not result.stopped
        return AttemptReport(
            entry,
            self.totals.bad_rows,
            self.source.discarded_bytes,
            result.retry_after_sec,
            needs_attention=not found.counts.is_clean or failed,
            audit=found,
        )


def _within(page: DataPage, window: Window) -> DataPage:
    """Return the page without rows that were not asked for."""
    return replace(page, measurements=page.measurements.inside(window))
