"""One attempt at an audit: a vehicle is asked again, and its answers are compared with the tables.

What is missing is stored, unless the audit only reports. What is different is told, and left as it
is. Rows and progress are committed together, window by window, beside the vehicle's cycles.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

from fleetsyncd.budgets import Intake
from fleetsyncd.database import audits, comparison, store, vehicle_memory, verified
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import AuditTaken, BadAnswer, PullOverrun
from fleetsyncd.lateness import Added
from fleetsyncd.models import Audit, DataPage, Look, Measurements, Vehicle, Window
from fleetsyncd.reports import (
    AUDIT_PREFIX,
    AttemptReport,
    AuditCounts,
    AuditResult,
    JournalEntry,
    Outcome,
    audit_remark,
)
from fleetsyncd.sync import identity
from fleetsyncd.sync.commit import Totals, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.history import lost_history
from fleetsyncd.sync.outcome import StepResult, run_step
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.recording import attempt_entry, write_attempt_entry
from fleetsyncd.text import age
from fleetsyncd.times import utc_day, utc_span, utc_text
from fleetsyncd.vehicle.client import VehicleClient

LEAST_LATE = timedelta(seconds=1)
"""What is learned of a row that was missing although pulls do not overlap."""


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


def run_look(
    vehicle: Vehicle,
    look: Look,
    client: VehicleClient,
    context: SyncContext,
    stop_reason: Callable[[], str | None] = lambda: None,
) -> AttemptReport:
    """Look at a small window; if something is missing, store it and have the rest asked again.

    A journal entry is written if something was missing or different. Raises as `run_audit` does.
    """
    attempt = _LookAttempt(vehicle, look, context.source(vehicle, client, stop_reason), context)
    result = attempt.carry_out()
    entry = attempt.journal_entry(result)
    is_told = not attempt.counts.is_clean
    if is_told:
        entry = write_attempt_entry(
            entry, result, attempt.source.learned, context.database, lambda _cursor, _reason: None
        )
    proved = attempt.verified_to if result.outcome is Outcome.OK and attempt.is_proved else None
    found = AuditResult(attempt.counts, look.age_sec, proved, is_told=is_told)
    return attempt.report(entry, result, found)


@dataclass(frozen=True, slots=True)
class _Compared:
    """A window that was compared, and what was found in it."""

    window: Window
    counts: AuditCounts


class _Attempt(ABC):
    """The steps of one attempt and their results so far."""

    report_only = False

    def __init__(
        self, vehicle: Vehicle, interval: Window, source: VehicleSource, context: SyncContext
    ) -> None:
        self.vehicle = vehicle
        self.interval = interval
        self.source = source
        self.context = context
        self.started_at = self.step_started_at = context.now()
        self.totals = Totals()
        self.counts = AuditCounts()
        self.intake = replace(vehicle.intake)
        self.hint = vehicle.other_hint
        self.notes: list[str] = []
        self.taken: str | None = None
        """Why the audit is no longer this attempt's."""
        self.has_committed = False

    @abstractmethod
    def record(self, cursor: Cursor, compared: _Compared) -> None:
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
            self.hint = identity.ask_machine(
                self.source.client, self.context.database, self.vehicle
            )
            self.prepare()
            if self.interval.start < self.interval.end:
                self._compare_all()
        except AuditTaken as taken:
            self.taken = str(taken)

    def _compare_all(self) -> None:
        self.intake.check_rows(self.context.budget)
        try:
            with closing(self.source.measurements(self.interval)) as pages:
                for window, page in pages:
                    self._commit(window, _within(page, window))
                    if window.end < self.interval.end:
                        self.intake.check_rows(self.context.budget)
        except PullOverrun as overrun:
            if not self.has_committed:
                raise BadAnswer("/data", str(overrun)) from None

    def _commit(self, window: Window, page: DataPage) -> None:
        """Compare one window, and commit what was missing together with the progress."""
        vehicle_id, covered = self.vehicle.id, self.seconds_covered(window)
        counts = AuditCounts()

        def record(cursor: Cursor, added: Added, _stored: Measurements) -> None:
            nonlocal counts
            found = comparison.compare(cursor, vehicle_id, window, page.measurements)
            # A row that cannot be read may be one that is stored.
            bad = len(page) - len(page.measurements)
            missing, gone = found.missing + added.rows, max(0, found.gone - bad)
            counts = replace(found, missing=missing, gone=gone)
            self.record(cursor, _Compared(window, counts))
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
        self.intake.rows += len(page)
        self.intake.seconds += covered
        self.has_committed = True
        self.take_in(_Compared(window, counts))
        self.step_started_at = self.context.now()

    @abstractmethod
    def take_in(self, compared: _Compared) -> None:
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
            audit_remark(self.counts, stored=not self.report_only),
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


class _AuditAttempt(_Attempt):
    """One attempt at an audit that was requested."""

    def __init__(
        self, vehicle: Vehicle, audit: Audit, source: VehicleSource, context: SyncContext
    ) -> None:
        super().__init__(vehicle, audit.rest, source, context)
        self.audit = audit
        self.report_only = audit.report_only
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
            if lost is not None:
                self.notes.append(str(lost))
                self.begins = lost.window.end if lost.window else self.begins
        self.interval = Window(self.begins, end)
        if self.begins > self.audit.reached:
            self._skip()

    def _skip(self) -> None:
        """Record that there is nothing to compare before `begins`."""
        compared = _Compared(Window(self.audit.reached, self.begins), AuditCounts())
        gone_sec = compared.window.length.total_seconds()
        self.context.database.run(lambda cursor: self._advance(cursor, compared, gone_sec))
        self.take_in(compared)

    def seconds_covered(self, window: Window) -> float:
        """Return how much time of `window` raises the number of rows that may come today.

        Nothing for what the daemon wants itself: a vehicle that answers otherwise each time must
        not be able to fill the tables.
        """
        return 0.0 if self.audit.is_repair else window.length.total_seconds()

    def record(self, cursor: Cursor, compared: _Compared) -> None:
        """Record a window's progress in the transaction that stores its rows."""
        self._advance(cursor, compared, 0.0)

    def _advance(self, cursor: Cursor, compared: _Compared, gone_sec: float) -> None:
        update = audits.AuditUpdate(
            reached=compared.window.end,
            counts=compared.counts,
            seconds=(self.context.now() - self.step_started_at).total_seconds(),
            gone_sec=gone_sec,
            hint=self.hint,
        )
        audits.advance_audit(cursor, self.vehicle, self.audit, update)

    def take_in(self, compared: _Compared) -> None:
        """Take in that a window's transaction is committed."""
        self.audit = replace(self.audit, reached=compared.window.end)


class _LookAttempt(_Attempt):
    """A look at a small window."""

    def __init__(
        self, vehicle: Vehicle, look: Look, source: VehicleSource, context: SyncContext
    ) -> None:
        super().__init__(vehicle, look.window, source, context)
        self.look = look
        self.verified_to = look.verified_to
        self.waits_until: str | None = None

    def prepare(self) -> None:
        """Take the whole interval: it was chosen by what can be asked for."""

    @property
    def is_proved(self) -> bool:
        """Whether nothing was missing."""
        return not self.counts.missing

    def title(self) -> str:
        """Say what was to be compared, for the journal."""
        span = utc_span(self.interval.start, self.interval.end)
        return f"{span}, about {age(self.look.age_sec)} old"

    def record(self, cursor: Cursor, compared: _Compared) -> None:
        """Record what is proved; if rows are missing, learn from it and have all asked again."""
        window, counts = compared.window, compared.counts
        is_clean = self.is_proved and not counts.missing
        verified.record_look(
            cursor,
            self.vehicle,
            self.look,
            window.end,
            counts,
            verified_to=window.end if is_clean else self.look.verified_to,
            hint=self.hint,
        )
        if not counts.missing:
            return
        # The pulls that missed them ended before they came, each asked again for its overlap.
        late = max(self.look.overlap or self.context.pull_overlap, LEAST_LATE)
        vehicle_memory.learn_lateness(cursor, self.vehicle.id, late)
        again = Window(self.look.verified_to, window.end)
        waits = audits.request_repair(cursor, self.vehicle.id, again)
        self.waits_until = None if waits is None else utc_text(waits)

    def take_in(self, compared: _Compared) -> None:
        """Take in that a window's transaction is committed."""
        if self.is_proved:
            self.verified_to = compared.window.end
        elif not self.notes:
            self.notes.append(self._what_follows(compared.window))

    def _what_follows(self, window: Window) -> str:
        span = utc_span(self.look.verified_to, window.end)
        if self.waits_until is None:
            return f"{span} is asked for again"
        return f"{span} is asked for again from {self.waits_until} on: it was often in vain"


def _within(page: DataPage, window: Window) -> DataPage:
    """Return the page without rows that were not asked for."""
    return replace(page, measurements=page.measurements.inside(window))
