"""One attempt at a vehicle's gap: what lies between its watermark and what is live, beside cycles.

Rows and watermark are committed together, window by window, the oldest first: that is what the
vehicle drops first. So an attempt may end at any line; the next one goes on from the last commit.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta

from fleetsyncd.budgets import MOST_OF_BUDGET
from fleetsyncd.database import gaps, measurements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import BadAnswer, PullOverrun, VehicleError
from fleetsyncd.lateness import Added
from fleetsyncd.loss_forecast import next_look
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import GAP_PREFIX
from fleetsyncd.reports import AttemptReport, JournalEntry, Outcome
from fleetsyncd.sync import history, identity
from fleetsyncd.sync.commit import Totals, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.dropping import Dropping
from fleetsyncd.sync.history import NOT_KNOWN, LostHistory
from fleetsyncd.sync.outcome import StepResult, run_step
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.sync.recording import attempt_entry, write_attempt_entry
from fleetsyncd.sync.window import gap_before, skipped_before
from fleetsyncd.telemetry import DataPage, Measurements
from fleetsyncd.times import utc_day, utc_span, utc_text
from fleetsyncd.vehicle.client import VehicleClient


def catch_up(
    vehicle: Vehicle,
    client: VehicleClient,
    context: SyncContext,
    stop_reason: Callable[[], str | None] = lambda: None,
    may_go_on: Callable[[], bool] = lambda: True,
    goes_on_at: datetime | None = None,
) -> AttemptReport | None:
    """Pull the vehicle's first gap, commit it, write a journal entry; None if there is no gap.

    `stop_reason` is called between windows and names the reason to end early, `may_go_on` whether
    the attempt may go on, or leaves the rest to the next one. `goes_on_at` is where this daemon's
    last attempt at the gap has ended, None if there was none. Raises DatabaseUnavailable and
    VehicleRemoved, for which no journal entry can be written, and DatabaseError if nothing of the
    attempt's end can be.
    """
    oldest = context.accepted_interval().start
    gap = gap_before(
        vehicle, pull_overlap=context.pull_overlap, oldest=oldest, goes_on_at=goes_on_at
    )
    if gap is None:
        context.database.run(lambda cursor: gaps.reach_island(cursor, vehicle.id))
        return None
    source = context.source(vehicle, client, stop_reason)
    attempt = _GapAttempt(vehicle, gap, source, context, may_go_on)
    result = run_step(attempt.run).with_left_out(attempt.totals.left_out)
    if result.database_refused:
        context.partitions.forget()
    entry = attempt.journal_entry(result)
    if attempt.has_committed or not result.stopped:
        entry = write_attempt_entry(
            entry,
            result,
            source.learned,
            context.database,
            lambda cursor, reason: gaps.fail_gap(cursor, vehicle.id, reason),
        )
    return AttemptReport(
        entry,
        attempt.totals.bad_rows,
        source.discarded_bytes,
        result.retry_after_sec or attempt.retry_after_sec,
        needs_attention=attempt.is_news or (entry.status != Outcome.OK and not result.stopped),
        goes_on=attempt.has_committed and entry.status == Outcome.OK,
        reached=attempt.goes_on_at,
    )


class _GapAttempt:
    """The steps of one attempt and their results so far."""

    def __init__(
        self,
        vehicle: Vehicle,
        gap: Window,
        source: VehicleSource,
        context: SyncContext,
        may_go_on: Callable[[], bool],
    ) -> None:
        self.vehicle = vehicle
        """With the watermark that was read or written last."""
        self.gap = gap
        self.source = source
        self.context = context
        self.may_go_on = may_go_on
        self.started_at = self.step_started_at = context.now()
        self.totals = Totals()
        self.intake = replace(vehicle.intake)
        self.hint = vehicle.other_hint
        self.newest = vehicle.watermark
        """No row of the gap after it is stored, unless somebody else has pulled it."""
        self.reached = gap.start
        self.retry_after_sec: float | None = None
        self.notes: list[str] = []
        self.passed_over: list[Window] = []
        """Of the gap, what nobody can pull any more."""
        self.overdue: list[Window] = []
        """Of what is committed, what was found since to be gone."""
        self.is_news = False
        """A part of the gap is gone for good, or may be, or another machine may answer."""
        self.has_committed = False
        self.unpulled = Window(max(gap.start, vehicle.asked_to or gap.start), gap.end)
        """Of the gap, without what is asked for again."""
        self.unknown: str | None = None
        """Why it is not known what is gone for good."""
        self.dropping = Dropping(source, self.unpulled)

    @property
    def goes_on_at(self) -> datetime | None:
        """Where the next attempt goes on; None if it begins, or another gap does."""
        reached = self.vehicle.asked_to
        if not self.has_committed or reached is None:
            return None
        return reached if reached < self.gap.end else None

    def run(self) -> None:
        """Pull the gap window by window, until it is pulled or this attempt may not go on."""
        self.hint = identity.ask_machine(self.source.client, self.context.database, self.vehicle)
        self.intake.check_rows(self.context.budget, MOST_OF_BUDGET)
        self._note_lost_history()
        known = self._newest_known()
        try:
            with closing(self.source.measurements(self.gap, self._note_dropped)) as pages:
                for window, page in pages:
                    if remark := identity.history_remark(known, self.gap, window, page):
                        self.notes.append(remark)
                        self.is_news = True
                    self._commit(page, window)
                    if window.end < self.gap.end:
                        self.intake.check_rows(self.context.budget, MOST_OF_BUDGET)
                        if not self._may_go_on():
                            break
        except PullOverrun as overrun:
            if not self.has_committed:
                raise BadAnswer("/data", str(overrun)) from None

    def _note_lost_history(self) -> None:
        """Note what nobody can pull any more; a failed question must not keep the rest from it."""
        if skipped := skipped_before(self.vehicle, self.gap):
            span = utc_span(skipped.start, skipped.end)
            oldest = utc_day(self.context.accepted_interval().start)
            self.notes.append(f"not pulled: {span}, before {oldest} nothing is kept")
            self.passed_over.append(skipped)
            self.is_news = True
        self._note_lost(lambda: [self._look_at_history()])

    def _note_dropped(self, window: Window, page: DataPage) -> None:
        """Note what the vehicle has dropped since it was asked where its history begins."""
        self._note_lost(lambda: self._dropped(window, page))

    def _note_lost(self, look: Callable[[], Sequence[LostHistory | None]]) -> None:
        """Note what a look at the history tells; younger gaps are not worth one."""
        if self.context.now() - self.gap.start <= history.LOOK_ABOVE:
            return
        asked = self.dropping.begins
        try:
            found = look()
        except VehicleError as error:
            self.dropping.note_failed()
            self.unknown = f"{NOT_KNOWN} ({error})"
            self.is_news = True
            return
        if self.dropping.begins != asked:
            self.unknown = None
        for lost in found:
            if lost is not None:
                self.dropping.take_in(lost)
                self.notes.append(str(lost))
                self.is_news = True
                if lost.window is not None:
                    self.passed_over.append(lost.window)
                    committed = lost.window.before(self.vehicle.asked_to)
                    self.overdue += [committed] if committed else []

    def _newest_known(self) -> datetime | None:
        """Return the time of the newest row that was stored before the vehicle was away."""
        watermark = self.vehicle.watermark
        if watermark is None or watermark <= self.gap.start:
            return None
        before = Window(self.gap.start, watermark)
        return self.context.database.run(
            lambda cursor: measurements.newest_within(cursor, self.vehicle.id, before)
        )

    def _look_at_history(self) -> LostHistory | None:
        """Return which part of the gap the vehicle has dropped; ask it unless that is known."""
        now, known = self.context.now(), self.vehicle.history
        watermark = self.vehicle.watermark or self.gap.start
        if known is not None and history.is_true_still(known, watermark, now):
            begins: datetime | None = known.begins
        else:
            begins = history.oldest_row(self.source, self.gap)
            self._save_look(begins)
        return history.lost_before(begins, self.unpulled)

    def _dropped(self, window: Window, page: DataPage) -> list[LostHistory]:
        """Return what an answer lacks that the vehicle has dropped; keep what a look has told."""
        known = self.dropping.begins
        lost = self.dropping.lost_of(window, page)
        if lost and self.dropping.begins != known:
            self._save_look(self.dropping.begins)
        return lost

    def _save_look(self, begins: datetime | None) -> None:
        """Keep where the vehicle's history begins, for the forecast and the next attempts."""
        # Without a row before its end, what is left of the next gap is not known.
        if begins is None or begins >= self.gap.end:
            return
        watermark = self.vehicle.watermark or self.gap.start
        look = next_look(self.vehicle.history, begins, watermark, self.context.now())
        self.context.database.run(lambda cursor: gaps.save_look(cursor, self.vehicle.id, look))
        self.vehicle = replace(self.vehicle, history=look)

    def _may_go_on(self) -> bool:
        """Tell whether this attempt may go on: no longer than what it knows of the history."""
        known = self.vehicle.history
        if known is not None and self.vehicle.watermark is not None:
            now = self.context.now()
            if not history.is_true_still(known, self.vehicle.watermark, now):
                return False
        return self.may_go_on()

    def _commit(self, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with the watermark at its end, or nothing of either."""
        known = self.vehicle.watermark or window.start
        covered = max(window.end - max(window.start, known), timedelta(0))
        update = gaps.GapUpdate(
            vehicle=self.vehicle,
            watermark=window.end,
            hint=self.hint,
            rows=len(page),
            added=0,
            seconds=0.0,
            covered=covered,
            learned=self.source.learned,
            lost=tuple(self.passed_over),
            overdue=tuple(self.overdue),
        )
        watermark, asked_to = self.vehicle.watermark, self.vehicle.pulled_until
        ended = self.step_started_at

        def advance(cursor: Cursor, added: Added, _stored: Measurements) -> None:
            # Only here: while a window is stored the next one is pulled, so storing takes the time.
            nonlocal watermark, asked_to, ended
            ended = self.context.now()
            seconds = (ended - self.step_started_at).total_seconds()
            now = replace(update, added=added.rows, seconds=seconds)
            watermark, asked_to = gaps.advance_gap(cursor, now)

        commit_page(self.context, self.vehicle.id, page, self.newest, advance, self.totals)
        self.vehicle = replace(self.vehicle, watermark=watermark, pulled_until=asked_to)
        self.overdue.clear()
        self.intake.rows += len(page)
        self.intake.seconds += covered.total_seconds()
        self.newest = window.end
        self.reached = window.end
        self.has_committed = True
        self.step_started_at = ended

    def journal_entry(self, result: StepResult) -> JournalEntry:
        """Return the journal entry of this attempt."""
        return attempt_entry(
            self.vehicle,
            (self.started_at, self.context.now()),
            result,
            self.totals.rows_written,
            f"{GAP_PREFIX}{utc_span(self.gap.start, self.gap.end)}",
            result.reason or self._how_far(),
            *self.notes,
            self.unknown,
            self.source.broken_remark,
            self.totals.bad_remark,
        )

    def _how_far(self) -> str:
        if self.reached >= self.gap.end:
            return "complete"
        return f"stored up to {utc_text(self.reached)}"
