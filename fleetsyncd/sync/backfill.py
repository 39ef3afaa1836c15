"""One attempt at a vehicle's backfill: a past interval pulled again, beside the vehicle's cycles.

Rows and progress are committed together, window by window, so the next attempt goes on where this
one ended. The vehicle's watermark and state are left alone: they describe the present.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

from fleetsyncd.budgets import Intake
from fleetsyncd.database import backfills, losses, store, vehicle_memory
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import (
    BackfillTaken,
    BudgetSpent,
    DatabaseError,
    VehicleError,
    VehicleRefused,
)
from fleetsyncd.jobs import Backfill
from fleetsyncd.lateness import Added
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import BACKFILL_PREFIX, odd_alarms_remark, reused_ids_remark
from fleetsyncd.reports import AttemptReport, JournalEntry, Outcome
from fleetsyncd.sync import identity
from fleetsyncd.sync.commit import Totals, commit_alarms, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.dropping import Dropping
from fleetsyncd.sync.history import LostHistory, lost_history
from fleetsyncd.sync.outcome import RERAISED, StepResult, retry_after, run_step
from fleetsyncd.sync.pull import AlarmsAnswer, VehicleSource
from fleetsyncd.sync.recording import attempt_entry, write_attempt_entry
from fleetsyncd.telemetry import DataPage, Measurements
from fleetsyncd.times import utc_day, utc_span, utc_text
from fleetsyncd.vehicle.client import VehicleClient

UNKNOWN_CALL = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED)
"""What an old vehicle without `/alarms` answers, which asking again does not change."""


def run_backfill(
    vehicle: Vehicle,
    backfill: Backfill,
    client: VehicleClient,
    context: SyncContext,
    stop_reason: Callable[[], str | None] = lambda: None,
) -> AttemptReport:
    """Pull the rest of the backfill, commit it, write a journal entry.

    An attempt whose backfill was cancelled before it could commit anything has no entry: nothing
    failed, and nothing was done. `stop_reason` is called between windows and names the reason to
    end early. Raises DatabaseUnavailable and VehicleRemoved, for which no journal entry can be
    written, and DatabaseError if nothing of the attempt's end can be.
    """
    source = context.source(vehicle, client, stop_reason)
    attempt = _BackfillAttempt(vehicle, backfill, source, context)
    result = run_step(attempt.run).with_left_out(attempt.totals.left_out)
    if result.database_refused:
        context.partitions.forget()
    entry = attempt.journal_entry(result)
    if attempt.taken is None or attempt.has_committed:
        entry = write_attempt_entry(
            entry,
            result,
            source.learned,
            context.database,
            lambda cursor, reason: backfills.fail_backfill(cursor, vehicle.id, backfill, reason),
        )
    failed = entry.status != Outcome.OK and not result.stopped
    return AttemptReport(
        entry,
        attempt.totals.bad_rows,
        source.discarded_bytes,
        result.retry_after_sec or attempt.retry_after_sec,
        needs_attention=failed or attempt.gone_sec > 0 or attempt.lacks_alarms,
    )


class _BackfillAttempt:
    """The steps of one attempt and their results so far."""

    def __init__(
        self, vehicle: Vehicle, backfill: Backfill, source: VehicleSource, context: SyncContext
    ) -> None:
        self.vehicle = vehicle
        self.backfill = backfill
        self.source = source
        self.context = context
        self.started_at = self.step_started_at = context.now()
        self.totals = Totals()
        self.intake = replace(vehicle.intake)
        self.notes: list[str] = []
        self.retry_after_sec: float | None = None
        self.hint = vehicle.other_hint
        """What the machine calls itself otherwise than the vehicle, as this attempt knows it."""
        self.alarms_error: VehicleError | DatabaseError | None = None
        """Why not all alarms could be stored; the backfill is not done without them."""
        self.lacks_alarms = False
        self.begins = backfill.reached
        """Of what is before it nothing can be pulled."""
        self.has_all_after = True
        """Whether the vehicle has all that it measured from then on."""
        self.gone_sec = 0.0
        """Of what this attempt has committed, the length of that part."""
        self.has_committed = False
        self.taken: str | None = None
        """Why the backfill is no longer this attempt's."""

    def run(self) -> None:
        """Pull the rest, unless the backfill is cancelled or goes on elsewhere."""
        try:
            self._pull()
        except BackfillTaken as taken:
            self.taken = str(taken)

    def _pull(self) -> None:
        """Pull the rest: first its alarms, then its measurements."""
        oldest = self.context.accepted_interval().start
        rest = Window(max(self.backfill.rest.start, oldest), self.backfill.window.end)
        self.begins = rest.start
        if self.backfill.window.start < oldest:
            self.notes.append(f"before {utc_day(oldest)} nothing is kept")
        begun = max(self.backfill.alarms_reached or self.backfill.window.start, oldest)
        alarms = Window(max(begun, self.context.oldest_alarm()), self.backfill.window.end)
        if alarms.start < alarms.end or rest.start < rest.end:
            self.hint = identity.ask_machine(
                self.source.client, self.context.database, self.vehicle
            )
        if alarms.start < alarms.end:
            self._pull_alarms(alarms)
        if rest.start < rest.end:
            self._pull_measurements(rest)
        else:
            self._commit(DataPage.merged([]), self.backfill.window.end, 0.0)
        if self.alarms_error is not None:
            raise self.alarms_error.with_traceback(None)

    def _pull_measurements(self, rest: Window) -> None:
        """Pull the rest window by window, and find out what of it is gone."""
        self.intake.check_rows(self.context.budget)
        if lost := lost_history(self.source, rest):
            self._note_lost(lost)
        dropping = Dropping(self.source, rest)
        if lost:
            dropping.take_in(lost)

        def answered(window: Window, page: DataPage) -> None:
            for dropped in dropping.lost_of(window, page):
                dropping.take_in(dropped)
                self._note_lost(dropped)

        with closing(self.source.measurements(rest, answered)) as pages:
            for window, page in pages:
                self._commit(page, window.end, window.length.total_seconds())
                if window.end < rest.end:
                    self.intake.check_rows(self.context.budget)

    def _note_lost(self, lost: LostHistory) -> None:
        """Note what of the rest is gone."""
        self.notes.append(str(lost))
        # If it is not known what is lost, nothing is known to be stored after all.
        if lost.window is None:
            self.has_all_after = False
        else:
            self.begins = lost.window.end

    def _pull_alarms(self, interval: Window) -> None:
        """Store the interval's alarms; the measurements are worth having without them.

        After an error the backfill stays open, so that a later attempt asks for the rest of them,
        unless the vehicle does not know the call.
        """
        try:
            self.intake.check_alarms(self.context.budget)
            for window, answer in self.source.alarms(interval):
                if answer is not None:
                    self._save_alarms(answer, window.end)
                if window.end < interval.end:
                    self.intake.check_alarms(self.context.budget)
        except (BudgetSpent, *RERAISED):
            raise  # a later attempt goes on with the alarms
        except (VehicleError, DatabaseError) as error:
            if isinstance(error, VehicleRefused) and error.status in UNKNOWN_CALL:
                self.lacks_alarms = True
                self.notes.append(f"without alarms, the vehicle has none to give ({error})")
                return
            self.alarms_error = error
            self.notes.append("alarms will be asked for again")
            self.retry_after_sec = retry_after(error)

    def _save_alarms(self, answer: AlarmsAnswer, reached: datetime) -> None:
        """Commit one window's alarms together with how far they reach."""

        def advance(cursor: Cursor) -> None:
            known = self.vehicle.id, self.backfill
            if not backfills.advance_alarms(cursor, *known, reached, self.hint):
                raise backfills.moved_error(cursor, *known, self.hint)

        commit_alarms(self.context, self.vehicle, answer, advance, self.totals, self.intake)
        self.backfill = replace(self.backfill, alarms_reached=reached)
        self.has_committed = True

    def _commit(self, page: DataPage, reached: datetime, covered_sec: float) -> None:
        """Commit one window's rows together with how far they reach, or nothing of either."""
        ended = self.step_started_at
        gone = (min(reached, self.begins) - self.backfill.reached).total_seconds()
        gone_sec = max(0.0, gone)
        stored = Window(max(self.backfill.reached, self.begins), reached)

        def advance(cursor: Cursor, added: Added, _stored: Measurements) -> None:
            # Only here: while a window is stored the next one is pulled, so storing takes the time.
            nonlocal ended
            ended = self.context.now()
            if not backfills.advance_backfill(
                cursor,
                self.vehicle.id,
                self.backfill,
                reached=reached,
                rows=added.rows,
                seconds=(ended - self.step_started_at).total_seconds(),
                gone_sec=gone_sec,
                address=self.vehicle.address,
                hint=self.hint,
                may_finish=self.alarms_error is None,
                lacks_alarms=self.lacks_alarms,
            ):
                store.lock_vehicle(cursor, self.vehicle.id, self.vehicle.address)
                raise backfills.moved_error(cursor, self.vehicle.id, self.backfill, self.hint)
            if self.has_all_after and stored.start < stored.end:
                losses.recover(cursor, self.vehicle.id, stored)
            intake = Intake(rows=len(page), seconds=covered_sec)
            vehicle_memory.count_intake(cursor, self.vehicle.id, intake)

        vehicle_id = self.vehicle.id
        commit_page(self.context, vehicle_id, page, None, advance, self.totals)
        self.intake.rows += len(page)
        self.intake.seconds += covered_sec
        self.backfill = replace(self.backfill, reached=reached)
        self.gone_sec += gone_sec
        self.has_committed = True
        self.step_started_at = ended

    def journal_entry(self, result: StepResult) -> JournalEntry:
        """Return the journal entry of this attempt."""
        window = self.backfill.window
        return attempt_entry(
            self.vehicle,
            (self.started_at, self.context.now()),
            result,
            self.totals.rows_written,
            f"{BACKFILL_PREFIX}{utc_span(window.start, window.end)}",
            self._end(result),
            *self.notes,
            self.source.broken_remark,
            odd_alarms_remark(self.totals.odd_alarms),
            reused_ids_remark(self.totals.reused_alarm_ids),
            self.totals.bad_remark,
        )

    def _end(self, result: StepResult) -> str:
        """Say how the attempt ended, and how far it came if it is not complete."""
        if self.taken is None:
            return result.reason or "complete"
        reached = self.backfill.reached
        return f"{self.taken}; stored up to {utc_text(reached)}"
