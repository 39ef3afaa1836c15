"""One cycle of one vehicle, top to bottom: the only place where HTTP and storage meet.

No transaction waits for the vehicle, nor does a connection of the pool. Rows and watermark are
committed together, window by window, so a cycle may end at any line: the next one goes on from the
last commit.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.database import measurements, store
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import BadAnswer, DatabaseError, VehicleError
from fleetsyncd.models import (
    Alarm,
    BadRow,
    CycleReport,
    DataPage,
    Outcome,
    Progress,
    Status,
    Vehicle,
    Window,
)
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.outcome import RERAISED, StepResult, run_step
from fleetsyncd.sync.pull import lost_history
from fleetsyncd.sync.sessions import VehicleCache
from fleetsyncd.sync.window import CLOCK_RESOLUTION, HOURLY_ABOVE, pull_end, pull_window
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import Answer, VehicleClient


def sync_vehicle(
    vehicle: Vehicle,
    client: VehicleClient,
    tools: SyncContext,
    memory: VehicleCache,
    *,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    stopped: Callable[[], str | None] = lambda: None,
) -> CycleReport:
    """Pull everything new from `vehicle`, commit it, write the journal row, return the report.

    `stopped` is asked between windows and names the reason to end early. Raises DatabaseLost,
    DatabaseBusy, SchemaOutdated and VehicleGone, for which no journal row can be written.
    """
    cycle = _VehicleCycle(vehicle, client, tools, memory, on_progress, stopped)
    ending = run_step(cycle.run)
    if ending.database:
        tools.partitions.forget()
    report = cycle.report(ending)
    record(report, tools.database)
    return report


def record(report: CycleReport, database: Database) -> None:
    """Write the journal row, and then what a failure means for the vehicle's own row.

    Apart, because somebody else may hold the vehicle's row: no reason to lose the journal's.
    """
    database.run(lambda cursor: store.journal(cursor, report))
    if report.outcome is not Outcome.OK and not report.stopped:
        database.run(lambda cursor: store.mark_failed(cursor, report))


@dataclass(frozen=True, slots=True)
class _Pull:
    """What the answer to `/status` allows to be pulled."""

    window: Window
    status: Status
    skew: timedelta


class _VehicleCycle:
    """The steps of one cycle and what they have come to so far."""

    def __init__(
        self,
        vehicle: Vehicle,
        client: VehicleClient,
        tools: SyncContext,
        memory: VehicleCache,
        on_progress: Callable[[Progress], None],
        stopped: Callable[[], str | None],
    ) -> None:
        self.vehicle = vehicle
        self.client = client
        self.tools = tools
        self.memory = memory
        self.on_progress = on_progress
        self.source = tools.source(client, memory, stopped)
        self.started_at = tools.now()
        self.watermark = vehicle.watermark
        self.newest = vehicle.newest
        self.status: Status | None = None
        self.reached = False
        self.skew: timedelta | None = None
        self.pulled: Window | None = None
        self.alarm_watermark: datetime | None = None
        self.rows_written = 0
        self.bad_rows = 0
        self.quarantine_full = False
        self.notes: list[str] = []

    def run(self) -> None:
        """Take the steps in order."""
        pull = self.ask_status()
        self.refresh_channels()
        self.pull_measurements(pull)
        self.pull_alarms(pull)

    def report(self, ending: StepResult) -> CycleReport:
        """Return what the cycle came to."""
        return CycleReport(
            vehicle=self.vehicle,
            started_at=self.started_at,
            finished_at=self.tools.now(),
            outcome=ending.outcome,
            reason=ending.reason,
            failure=ending.failure,
            status=self.status,
            reached=self.reached or ending.answered,
            rows_written=self.rows_written,
            bad_rows=self.bad_rows,
            quarantine_full=self.quarantine_full,
            watermark=self.watermark,
            pulled=self.pulled,
            alarm_watermark=self.alarm_watermark,
            clock_skew=self.skew,
            notes=tuple(self.notes),
            stopped=ending.stopped,
        )

    def ask_status(self) -> _Pull:
        """Learn whether the vehicle is there, and the window that its clock allows."""
        answer = self.client.status()
        self.reached = True
        self.status = decode.status(answer.body)
        now = self.tools.now()
        self.skew = answer.clock - now if answer.clock else self.vehicle.clock_skew
        # Without a `Date` the vehicle is taken to be as far off as it was at its last good pull.
        end, oldest = pull_end(now, now + self.skew), self.tools.storable().start
        if end <= oldest:
            raise BadAnswer("/status", f"the vehicle's clock says {end:%Y-%m-%d %H:%M}: set it")
        if self.watermark is not None and self.watermark > now + CLOCK_RESOLUTION:
            ahead = f"last_sync_at {self.watermark:%Y-%m-%d %H:%M:%S} is ahead of this host's clock"
            self.notes.append(f"{ahead}: check both")
        self.pulled = pull_window(
            self.vehicle,
            end,
            self.skew,
            first=self.tools.first,
            overlap=self.tools.overlap,
            oldest=oldest,
        )
        return _Pull(self.pulled, self.status, self.skew)

    def refresh_channels(self) -> None:
        """Store the channel configuration if it changed; a failure is only noted."""
        try:
            answer = self.client.channels()
            seen = hash(answer.body)
            if seen != self.memory.channels_seen:
                self._save_channels(answer)
                self.memory.channels_seen = seen
        except RERAISED:
            raise
        except (VehicleError, DatabaseError) as fault:
            self.notes.append(f"channels not refreshed ({fault})")

    def _save_channels(self, answer: Answer) -> None:
        channels, bad = decode.channels(answer.body)
        self.memory.channel_ids = tuple(channel.channel_id for channel in channels)
        self._save(bad, lambda cursor: store.save_channels(cursor, self.vehicle.id, channels))

    def pull_measurements(self, pull: _Pull) -> None:
        """Ask for the pull window in pieces and commit each with the watermark behind it."""
        if pull.window.length > HOURLY_ABOVE:
            self._tell_what_is_gone(pull.window)
        with closing(self.source.measurements(pull.window)) as pieces:
            for piece, page in pieces:
                self._commit(pull, page, piece.end)
                self.on_progress(Progress(pull.window.start, pull.window.end, piece.end))

    def _tell_what_is_gone(self, gap: Window) -> None:
        """Note which part of a gap the vehicle's own retention has dropped already."""
        if lost := lost_history(self.source, gap):
            self.notes.append(lost)

    def _commit(self, pull: _Pull, page: DataPage, end: datetime) -> None:
        """Commit one window's rows together with the watermark, or nothing of either."""
        rows = page.measurements
        if rows:
            self.tools.partitions.ensure(rows.times[0], rows.times[-1])
        step = store.WatermarkUpdate(
            vehicle_id=self.vehicle.id,
            known=self.watermark,
            watermark=end,
            newest=rows.times[-1] if rows else None,
            clock_skew=pull.skew,
            software_version=pull.status.software_version,
            pulled_from=pull.window.start,
            gap=pull.window if end < pull.window.end else None,
            gap_took=self.tools.now() - self.started_at,
        )
        added: list[int] = []
        self.tools.database.run(partial(self._save_window, page, step, added))
        # A repeated transaction adds nothing if its first commit had arrived after all.
        self.rows_written += max(added)
        self.bad_rows += len(page.bad)
        self.watermark = end if self.watermark is None else max(self.watermark, end)
        if rows:
            self.newest = max(rows.times[-1], self.newest or rows.times[-1])

    def _save_window(
        self, page: DataPage, step: store.WatermarkUpdate, added: list[int], cursor: Cursor
    ) -> None:
        self._set_aside(cursor, page.bad)
        rows = page.measurements
        added.append(measurements.add_measurements(cursor, self.vehicle.id, rows, self.newest))
        store.advance_watermark(cursor, replace(step, gap_rows=self.rows_written + max(added)))

    def pull_alarms(self, pull: _Pull) -> None:
        """Store new and resolved alarms; after a failure the next cycle asks for the same again."""
        vehicle = self.vehicle
        starts = [pull.window.start]
        if vehicle.alarm_watermark is not None:
            starts.append(vehicle.alarm_watermark - self.tools.overlap)
        if vehicle.oldest_open_alarm is not None:
            # Older vehicles filter by the time of triggering and would never tell the resolution.
            starts.append(vehicle.oldest_open_alarm)
        owed = min(vehicle.alarm_watermark or pull.window.start, pull.window.start)
        try:
            for piece, found in self.source.alarms(Window(min(starts), pull.window.end)):
                if found is not None:
                    self._save_alarms(*found)
                owed = max(owed, piece.end)
        except RERAISED:
            raise
        except (VehicleError, DatabaseError) as fault:
            self.notes.append(f"alarms will be asked for again ({fault})")
        self.alarm_watermark = owed

    def _save_alarms(self, alarms: Sequence[Alarm], bad: Sequence[BadRow]) -> None:
        self._save(bad, lambda cursor: store.save_alarms(cursor, self.vehicle.id, alarms))

    def _save(self, bad: Sequence[BadRow], store_good: Callable[[Cursor], object]) -> None:
        """Store what is good of an answer and set the bad rows aside, in one transaction."""
        self.bad_rows += len(bad)

        def save(cursor: Cursor) -> None:
            store.lock_vehicle(cursor, self.vehicle.id)
            store_good(cursor)
            self._set_aside(cursor, bad)

        self.tools.database.run(save)

    def _set_aside(self, cursor: Cursor, bad: Sequence[BadRow]) -> None:
        if bad and not store.quarantine_rows(cursor, self.vehicle.id, bad):
            self.quarantine_full = True
