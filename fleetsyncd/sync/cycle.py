"""One cycle of one vehicle, from top to bottom.

No transaction and no connection of the pool waits for the vehicle. Rows and watermark are committed
together, window by window, so a cycle may end at any line: the next one goes on from the last
commit.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fleetsyncd.database import gaps, losses, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import (
    BadAnswer,
    BudgetSpent,
    DatabaseError,
    PullOverrun,
    PullStopped,
    VehicleError,
    VehicleRefused,
)
from fleetsyncd.lateness import Added, LatenessUpdate
from fleetsyncd.models import DataPage, Measurements, Status, Vehicle, Window
from fleetsyncd.reports import (
    CycleReport,
    Progress,
    changed_channels_remark,
    odd_alarms_remark,
    reused_ids_remark,
)
from fleetsyncd.sync.alarm_pull import AlarmPull
from fleetsyncd.sync.commit import Totals, commit_channels, commit_page
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.history import NOT_KNOWN, lost_history
from fleetsyncd.sync.identity import NewName, history_remark, new_name, software_remark
from fleetsyncd.sync.lateness import LatenessMeter
from fleetsyncd.sync.outcome import RERAISED, StepResult, retry_after, run_step
from fleetsyncd.sync.recording import write_report
from fleetsyncd.sync.window import (
    HOURLY_ABOVE,
    LivePull,
    live_pull,
    pull_end,
    pull_interval,
    skipped_before,
    step_back,
)
from fleetsyncd.text import age
from fleetsyncd.time_limits import CLOCK_TOLERANCE, LATEST_CLOCK, MAX_AHEAD
from fleetsyncd.times import utc_day, utc_span, utc_text
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import Answer, VehicleClient
from fleetsyncd.vehicle.refusals import judge_by_status


def sync_vehicle(
    vehicle: Vehicle,
    client: VehicleClient,
    context: SyncContext,
    *,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    stop_reason: Callable[[], str | None] = lambda: None,
) -> CycleReport:
    """Pull everything new from `vehicle`, commit it, write the journal entry, return the report.

    `stop_reason` is called between windows and names the reason to end early. Raises
    DatabaseUnavailable and VehicleRemoved, for which no journal entry can be written.
    """
    cycle = _VehicleCycle(vehicle, client, context, on_progress, stop_reason)
    result = run_step(cycle.run)
    if result.database_refused:
        context.partitions.forget()
    return write_report(cycle.report(result), context.database)


@dataclass(frozen=True, slots=True)
class _Pull:
    """What the answer to `/status` allows to be pulled."""

    live: LivePull
    meter: LatenessMeter
    gap_start: datetime
    """Where all that is missing begins: the start of `live` unless that leaves a gap."""
    stepped_back: bool
    """The vehicle's clock was set back since the last pull."""
    status: Status
    skew: timedelta | None

    @property
    def window(self) -> Window:
        """What this cycle asks for."""
        return self.live.window


class _VehicleCycle:
    """The steps of one cycle and their results so far."""

    def __init__(
        self,
        vehicle: Vehicle,
        client: VehicleClient,
        context: SyncContext,
        on_progress: Callable[[Progress], None],
        stop_reason: Callable[[], str | None],
    ) -> None:
        self.vehicle = vehicle
        self.client = client
        self.context = context
        self.on_progress = on_progress
        self.source = context.source(vehicle, client, stop_reason)
        self.started_at = context.now()
        self.watermark = vehicle.watermark
        self.live_to = vehicle.live_to
        self.asked_to = vehicle.pulled_until
        self.newest = vehicle.newest_measurement_at
        self.status: Status | None = None
        self.name: NewName | None = None
        self.awaits_proof = False
        """Only its history can tell whether this is another vehicle's machine."""
        self.vehicle_answered = False
        self.skew: timedelta | None = None
        self.interval: Window | None = None
        self.goes_on = False
        self.retry_after_sec: float | None = None
        self.intake = replace(vehicle.intake)
        self.totals = Totals()
        self.meter: LatenessMeter | None = None
        """None before there is an interval to pull."""
        self.alarms = AlarmPull(vehicle, self.source, context, self.totals, self.intake)
        self.notes: list[str] = []
        self.passed_over: list[Window] = []
        """Of what is pulled, what nobody can pull any more."""
        self.unstored: str | None = None
        """What PostgreSQL refused of the steps that do not end the cycle."""

    def run(self) -> None:
        """Take the steps in order."""
        pull = self.ask_status()
        if not self.awaits_proof:
            self.refresh_channels()
        rest: VehicleError | PullStopped | None = None
        try:
            rest = self.pull_measurements(pull)
        except BudgetSpent as spent:
            rest = spent
        except VehicleRefused as refused:
            raise judge_by_status(refused, self.status) from None
        if not self.awaits_proof:
            self.pull_alarms(pull)
        if rest is not None:
            self.goes_on = isinstance(rest, PullStopped) and self.retry_after_sec is None
            raise rest.with_traceback(None)

    def report(self, result: StepResult) -> CycleReport:
        """Return the result of the cycle."""
        result = result.with_left_out(self.totals.left_out)
        remarks = (
            self.source.broken_remark,
            self.meter and self.meter.remark,
            odd_alarms_remark(self.totals.odd_alarms),
            reused_ids_remark(self.totals.reused_alarm_ids),
            changed_channels_remark(self.totals.channel_changes),
        )
        self.notes += [remark for remark in remarks if remark]
        return CycleReport(
            vehicle=self.vehicle,
            started_at=self.started_at,
            finished_at=self.context.now(),
            outcome=result.outcome,
            reason=result.reason,
            failure=result.failure,
            unstored=result.reason if result.unstored else self.unstored,
            retry_after_sec=result.retry_after_sec or self.retry_after_sec,
            status=self.status,
            vehicle_answered=self.vehicle_answered or result.vehicle_answered,
            rows_written=self.totals.rows_written,
            bad_rows=self.totals.bad_rows,
            quarantine_full=self.totals.quarantine_full,
            bad_rows_left_out=self.totals.bad_rows_left_out,
            watermark=self.watermark,
            live_to=self.live_to,
            interval=self.interval,
            alarm_watermark=self.alarms.watermark,
            known_alarms=self.alarms.known,
            clock_skew=self.skew,
            notes=tuple(self.notes),
            stopped=result.stopped,
            goes_on=self.goes_on,
            learned=self.source.learned,
            discarded_bytes=self.source.discarded_bytes,
            lateness=self.meter.lateness if self.meter else self.vehicle.lateness,
            late_rows=self.meter.rows if self.meter else 0,
        )

    def ask_status(self) -> _Pull:
        """Find out whether the vehicle is there, and the window that its clock allows."""
        answer = self.client.status()
        self.vehicle_answered = True
        self.status = decode.status(answer.body)
        self.name = new_name(self.context.database, self.vehicle, self.status.id_hint)
        if self.name is not None:
            self.notes.append(self.name.remark)
            self.awaits_proof = self.name.owner is not None
        if remark := software_remark(self.vehicle.software_version, self.status.software_version):
            self.notes.append(remark)
        now, oldest = self.context.now(), self.context.accepted_interval().start
        if answer.clock is not None and not oldest < answer.clock < LATEST_CLOCK:
            raise BadAnswer("/status", f"the vehicle's clock says {utc_text(answer.clock)}: set it")
        # Without a `Date` header the skew of the last good pull is taken to be still true.
        self.skew = answer.clock - now if answer.clock else self.vehicle.clock_skew
        skew = self.skew or timedelta(0)
        end = pull_end(now, now + skew)
        if end <= oldest:  # by a skew that was true once, without a `Date` header to correct it
            raise BadAnswer("/status", f"the vehicle's clock says {utc_text(end)}: set it")
        if skew > MAX_AHEAD:
            self.notes.append(f"the vehicle's clock is {age(skew.total_seconds())} ahead: set it")
        if self.watermark is not None and self.watermark > now + CLOCK_TOLERANCE:
            ahead = f"last_sync_at {utc_text(self.watermark)} is ahead of this host's clock"
            self.notes.append(f"{ahead}: check both")
        whole = pull_interval(
            self.vehicle,
            end,
            skew,
            pull_window=self.context.pull_window,
            pull_overlap=self.context.pull_overlap,
            oldest=oldest,
        )
        # Who another machine may be is shown by the history before what is live.
        live_window = self.context.live_window if self.name is None else None
        live = live_pull(
            self.vehicle,
            whole,
            skew,
            pull_overlap=self.context.pull_overlap,
            live_window=live_window,
        )
        self.interval = live.window
        if live.leaves_gap:
            self.note_gap(live)
        elif skipped := skipped_before(self.vehicle, whole):
            span = utc_span(skipped.start, skipped.end)
            self.notes.append(f"not pulled: {span}, before {utc_day(oldest)} nothing is kept")
            self.passed_over.append(skipped)
        stepped_back = step_back(self.vehicle, skew) < timedelta(0)
        self.meter = LatenessMeter(self.vehicle, live, self.context.pull_overlap)
        if self.name is not None or stepped_back:
            self.meter.stop()
        return _Pull(
            live=live,
            meter=self.meter,
            gap_start=whole.start,
            stepped_back=stepped_back,
            status=self.status,
            skew=self.skew,
        )

    def note_gap(self, live: LivePull) -> None:
        """Note that a gap begins, once."""
        known = self.vehicle.live_to
        if known is not None and live.window.start > known:
            span = utc_span(known, live.window.start)
            self.notes.append(f"gap of {span}: it is caught up beside what is live")

    def refresh_channels(self) -> None:
        """Store the channel configuration unless it is stored; a failure is only noted."""
        try:
            answer = self.client.channels()
            if answer.digest != self.vehicle.channels_digest:
                self._save_channels(answer)
        except RERAISED:
            raise
        except (VehicleError, DatabaseError) as error:
            self._note_failure("channels not refreshed", error)

    def _note_failure(self, remark: str, error: Exception) -> None:
        """Note a failure that does not end the cycle."""
        if isinstance(error, VehicleRefused):
            error = judge_by_status(error, self.status)
        note = f"{remark} ({error})"
        self.notes.append(note)
        if isinstance(error, DatabaseError):
            self.unstored = note
        self.retry_after_sec = retry_after(error) or self.retry_after_sec

    def _save_channels(self, answer: Answer) -> None:
        channels, bad = decode.channels(answer.body)
        refused = commit_channels(
            self.context, self.vehicle, channels, bad, answer.digest, self.totals, self.intake
        )
        if refused:
            most = self.context.budget.vehicle_max_channels
            allowed = f"{most:,} are stored, as many as a vehicle may have (VEHICLE_MAX_CHANNELS)"
            self.notes.append(f"{refused} channel(s) refused: {allowed}")

    def pull_measurements(self, pull: _Pull) -> VehicleError | PullStopped | None:
        """Pull the measurements window by window; commit each with the watermark at its end.

        Returns why the rest is left to the next cycle, None if there is none: it is an error of the
        vehicle unless the pull has come nearer to the present.
        """
        self.intake.check_rows(self.context.budget)
        if pull.window.length > HOURLY_ABOVE:
            self.note_lost_history(pull)
        began, reached = self.context.now(), pull.window.start
        try:
            with closing(self.source.measurements(pull.window)) as pages:
                for window, page in pages:
                    newest = self.vehicle.newest_measurement_at
                    if self.name is not None and window.start == pull.window.start:
                        self.name.require_history(newest, window, page)
                        self.awaits_proof = False
                    if remark := history_remark(newest, pull.window, window, page):
                        self.notes.append(remark)
                        pull.meter.stop()
                    self._commit(pull, page, window)
                    reached = window.end
                    self.on_progress(Progress(pull.window.start, pull.window.end, reached))
                    if reached < pull.window.end:
                        self.intake.check_rows(self.context.budget)
        except PullOverrun as overrun:
            if reached - pull.window.start > self.context.now() - began:
                return PullStopped(str(overrun))
            return BadAnswer("/data", f"{overrun}; it comes no nearer to the present")
        return None

    def note_lost_history(self, pull: _Pull) -> None:
        """Note what the vehicle has dropped; a failed question must not keep it from being pulled.

        It is pulled only once, so that is told if it is not known.
        """
        try:
            if lost := lost_history(self.source, pull.window):
                self.notes.append(str(lost))
                self.passed_over += [lost.window] if lost.window else []
        except VehicleError as error:
            self._note_failure(NOT_KNOWN, error)

    def _commit(self, pull: _Pull, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with what is complete then, or nothing of either."""
        if pull.live.leaves_gap:
            self._commit_island(pull, page, window)
            return
        end = window.end
        # Only time that was not pulled before: a vehicle that sets its clock back gains nothing.
        begun = window.start if self.watermark is None else max(window.start, self.watermark)
        covered = max(end - begun, timedelta(0))
        update = store.WatermarkUpdate(
            vehicle_id=self.vehicle.id,
            known=self.watermark,
            watermark=end,
            newest_measurement_at=None,
            clock_skew=pull.skew,
            software_version=pull.status.software_version,
            known_asked_to=self.asked_to,
            clock_behind=self.watermark is not None and pull.window.end < self.watermark,
            clock_stepped_back=pull.stepped_back,
            cut_from=pull.live.cut_from if window.start == pull.window.start else None,
            pulled_from=pull.window.start,
            gap=pull.window if end < pull.window.end else None,
            gap_took=self.context.now() - self.started_at,
            learned=self.source.learned,
            rows=len(page),
            covered=covered,
            address=self.vehicle.address,
            late_after=self.context.late_after,
        )

        asked_to = self.asked_to

        def advance(
            cursor: Cursor, added: Added, newest: datetime | None, lateness: LatenessUpdate
        ) -> None:
            nonlocal asked_to
            now = replace(
                update,
                gap_rows=self.totals.rows_written + added.rows,
                newest_measurement_at=newest,
                lateness=lateness,
            )
            asked_to = store.advance_watermark(cursor, now)
            losses.record_passed(cursor, now.vehicle_id, now.known, end, self.passed_over)

        self._commit_page(pull, page, window, advance)
        self.asked_to = asked_to
        self._count(page, covered)
        self.watermark = end if self.watermark is None else max(self.watermark, end)
        self.live_to = self.watermark

    def _commit_island(self, pull: _Pull, page: DataPage, window: Window) -> None:
        """Commit one window's rows together with the island that it belongs to."""
        known = self.live_to
        is_first = window.start == pull.window.start
        begun = window.start if known is None else max(window.start, known)
        covered = max(window.end - begun, timedelta(0))
        update = gaps.IslandUpdate(
            vehicle_id=self.vehicle.id,
            window=window,
            gap_start=pull.gap_start,
            known=self.vehicle.watermark,
            cut_from=pull.live.cut_from if is_first else None,
            behind_from=pull.live.behind_from if is_first else None,
            stepped_back=pull.stepped_back,
            newest_measurement_at=None,
            clock_skew=pull.skew,
            software_version=pull.status.software_version,
            learned=self.source.learned,
            rows=len(page),
            covered=covered,
            address=self.vehicle.address,
            lateness=LatenessUpdate(),
        )
        watermark = self.watermark

        def advance(
            cursor: Cursor, _added: Added, newest: datetime | None, lateness: LatenessUpdate
        ) -> None:
            nonlocal watermark
            now = replace(update, newest_measurement_at=newest, lateness=lateness)
            watermark = gaps.advance_island(cursor, now)

        self._commit_page(pull, page, window, advance)
        self._count(page, covered)
        self.watermark = watermark
        self.live_to = window.end if watermark is None else max(watermark, window.end)

    def _commit_page(
        self,
        pull: _Pull,
        page: DataPage,
        window: Window,
        advance: Callable[[Cursor, Added, datetime | None, LatenessUpdate], None],
    ) -> None:
        """Commit one window's rows with what `advance` records, and what they tell of lateness."""
        newest, learned = None, LatenessUpdate()

        def record(cursor: Cursor, added: Added, stored: Measurements) -> None:
            nonlocal newest, learned
            newest = stored.times[-1] if stored else None
            learned = pull.meter.update(window, page, added)
            advance(cursor, added, newest, learned)

        added = commit_page(
            self.context, self.vehicle.id, page, self.newest, record, self.totals, pull.meter.head
        )
        pull.meter.take(learned, added)
        if newest is not None:
            self.newest = newest if self.newest is None else max(newest, self.newest)

    def _count(self, page: DataPage, covered: timedelta) -> None:
        """Take in what a committed window uses of the vehicle's budget."""
        self.intake.rows += len(page)
        self.intake.seconds += covered.total_seconds()

    def pull_alarms(self, pull: _Pull) -> None:
        """Store new and resolved alarms; after a failure the next cycle asks for the same again."""
        begins = min(pull.window.start, pull.live.behind_from or pull.window.start)
        if self.vehicle.alarm_watermark is None or self.vehicle.was_set_back:
            begins = min(begins, pull.gap_start)
        interval = Window(begins, pull.window.end)
        try:
            self.alarms.run(interval, stepped_back=pull.stepped_back)
        except RERAISED:
            raise
        except (VehicleError, DatabaseError, PullOverrun) as error:
            self._note_failure("alarms will be asked for again", error)
