"""One cycle of one vehicle, from top to bottom.

No transaction and no connection of the pool waits for the vehicle. Rows and watermark are committed
together, window by window, so a cycle may end at any line: the next one goes on from the last
commit.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from fleetsyncd.errors import (
    BadAnswer,
    BudgetSpent,
    DatabaseError,
    PullOverrun,
    PullStopped,
    VehicleError,
    VehicleRefused,
)
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import changed_channels_remark, odd_alarms_remark, reused_ids_remark
from fleetsyncd.reports import CycleReport, Progress
from fleetsyncd.sync.alarm_pull import AlarmPull
from fleetsyncd.sync.commit import Totals, commit_channels
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle_commit import CommittedWindows
from fleetsyncd.sync.cycle_plan import CyclePlan, compare_clocks, plan_pull
from fleetsyncd.sync.dropping import Dropping
from fleetsyncd.sync.history import LOOK_ABOVE, NOT_KNOWN, LostHistory, lost_history
from fleetsyncd.sync.identity import NewName, history_remark, new_name, software_remark
from fleetsyncd.sync.outcome import RERAISED, StepResult, retry_after, run_step
from fleetsyncd.sync.pull import Answered, ignore
from fleetsyncd.sync.recording import write_report
from fleetsyncd.telemetry import Status
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.answer import Answer
from fleetsyncd.vehicle.client import VehicleClient
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
        self.status: Status | None = None
        self.name: NewName | None = None
        self.awaits_proof = False
        """Only its history can tell whether this is another vehicle's machine."""
        self.vehicle_answered = False
        self.skew: timedelta | None = None
        self.plan: CyclePlan | None = None
        """None before it is known what is to be pulled."""
        self.goes_on = False
        self.retry_after_sec: float | None = None
        self.intake = replace(vehicle.intake)
        self.totals = Totals()
        self.committed = CommittedWindows(
            vehicle, self.source, context, self.totals, self.intake, self.started_at
        )
        self.alarms = AlarmPull(vehicle, self.source, context, self.totals, self.intake)
        self.notes: list[str] = []
        self.unstored: str | None = None
        """What PostgreSQL refused of the steps that do not end the cycle."""

    def run(self) -> None:
        """Take the steps in order."""
        plan = self.ask_status()
        if not self.awaits_proof:
            self.refresh_channels()
        rest: VehicleError | PullStopped | None = None
        try:
            rest = self.pull_measurements(plan)
        except BudgetSpent as spent:
            rest = spent
        except VehicleRefused as refused:
            raise judge_by_status(refused, self.status) from None
        if not self.awaits_proof:
            self.pull_alarms(plan)
        if rest is not None:
            self.goes_on = isinstance(rest, PullStopped) and self.retry_after_sec is None
            raise rest.with_traceback(None)

    def ask_status(self) -> CyclePlan:
        """Find out whether the vehicle is there, and what its clock allows to be pulled."""
        answer = self.client.status()
        self.vehicle_answered = True
        self.status = decode.status(answer.body)
        self.name = new_name(self.context.database, self.vehicle, self.status.id_hint)
        if self.name is not None:
            self.notes.append(self.name.remark)
            self.awaits_proof = self.name.owner is not None
        if remark := software_remark(self.vehicle.software_version, self.status.software_version):
            self.notes.append(remark)
        clocks = compare_clocks(self.vehicle, answer.clock, self.context)
        self.skew = clocks.skew
        plan = plan_pull(
            self.vehicle, self.status, clocks, self.context, awaits_proof=self.awaits_proof
        )
        self.notes += plan.notes
        if plan.skipped is not None:
            self.committed.passed_over.append(plan.skipped)
        self.plan = plan
        return plan

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

    def _save_channels(self, answer: Answer) -> None:
        channels, bad = decode.channels(answer.body)
        refused = commit_channels(
            self.context, self.vehicle, channels, bad, answer.digest, self.totals, self.intake
        )
        if refused:
            most = self.context.budget.vehicle_max_channels
            allowed = f"{most:,} are stored, as many as a vehicle may have (VEHICLE_MAX_CHANNELS)"
            self.notes.append(f"{refused} channel(s) refused: {allowed}")

    def pull_measurements(self, plan: CyclePlan) -> VehicleError | PullStopped | None:
        """Pull the measurements window by window; commit each with the watermark at its end.

        Returns why the rest is left to the next cycle, None if there is none: it is an error of the
        vehicle unless the pull has come nearer to the present.
        """
        self.intake.check_rows(self.context.budget)
        usual = self.context.own_live_window(self.vehicle) or timedelta(0)
        is_long = plan.window.length > max(LOOK_ABOVE, usual)
        answered = self.watch_history(plan) if is_long else ignore
        began, reached = self.context.now(), plan.window.start
        try:
            with closing(self.source.measurements(plan.window, answered)) as pages:
                for window, page in pages:
                    newest = self.vehicle.newest_measurement_at
                    if self.name is not None and window.start == plan.window.start:
                        self.name.require_history(newest, window, page)
                        self.awaits_proof = False
                    if remark := history_remark(newest, plan.window, window, page):
                        self.notes.append(remark)
                        plan.meter.stop()
                    self.committed.add(plan, page, window)
                    reached = window.end
                    self.on_progress(Progress(plan.window.start, plan.window.end, reached))
                    if reached < plan.window.end:
                        self.intake.check_rows(self.context.budget)
        except PullOverrun as overrun:
            if reached - plan.window.start > self.context.now() - began:
                return PullStopped(str(overrun))
            return BadAnswer("/data", f"{overrun}; it comes no nearer to the present")
        return None

    def watch_history(self, plan: CyclePlan) -> Answered:
        """Note what the vehicle has dropped; return what notes what it drops meanwhile."""
        unpulled = self.committed.unpulled(plan.window)
        dropping = Dropping(self.source, unpulled)
        self.note_lost_history(dropping, lambda: [lost_history(self.source, unpulled)])
        return lambda window, page: self.note_lost_history(
            dropping, lambda: dropping.lost_of(window, page)
        )

    def note_lost_history(
        self, dropping: Dropping, look: Callable[[], Sequence[LostHistory | None]]
    ) -> None:
        """Note what a look tells; one that fails must not keep the rest from being pulled.

        It is pulled only once, so that is told if it is not known.
        """
        try:
            for lost in look():
                if lost is not None:
                    dropping.take_in(lost)
                    self.notes.append(str(lost))
                    if lost.window is not None:
                        self.committed.pass_over(lost.window)
        except VehicleError as error:
            dropping.note_failed()
            self._note_failure(NOT_KNOWN, error)

    def pull_alarms(self, plan: CyclePlan) -> None:
        """Store new and resolved alarms; after a failure the next cycle asks for the same again."""
        begins = min(plan.window.start, plan.live.behind_from or plan.window.start)
        if self.vehicle.alarm_watermark is None or self.vehicle.was_set_back:
            begins = min(begins, plan.gap_start)
        interval = Window(begins, plan.window.end)
        try:
            self.alarms.run(interval, stepped_back=plan.stepped_back)
        except RERAISED:
            raise
        except (VehicleError, DatabaseError, PullOverrun) as error:
            self._note_failure("alarms will be asked for again", error)

    def _note_failure(self, remark: str, error: Exception) -> None:
        """Note a failure that does not end the cycle."""
        if isinstance(error, VehicleRefused):
            error = judge_by_status(error, self.status)
        note = f"{remark} ({error})"
        self.notes.append(note)
        if isinstance(error, DatabaseError):
            self.unstored = note
        self.retry_after_sec = retry_after(error) or self.retry_after_sec

    def report(self, result: StepResult) -> CycleReport:
        """Return the result of the cycle."""
        result = result.with_left_out(self.totals.left_out)
        meter = self.plan.meter if self.plan else None
        remarks = (
            self.source.broken_remark,
            meter.remark if meter else None,
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
            watermark=self.committed.watermark,
            live_to=self.committed.live_to,
            interval=self.plan.window if self.plan else None,
            alarm_watermark=self.alarms.watermark,
            known_alarms=self.alarms.known,
            clock_skew=self.skew,
            notes=tuple(self.notes),
            stopped=result.stopped,
            goes_on=self.goes_on,
            learned=self.source.learned,
            discarded_bytes=self.source.discarded_bytes,
            lateness=meter.lateness if meter else self.vehicle.lateness,
            late_rows=meter.rows if meter else 0,
        )
