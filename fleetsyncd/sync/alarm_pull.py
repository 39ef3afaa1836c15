"""A cycle's last step: the vehicle's new and resolved alarms, and how far they are stored."""

from dataclasses import replace
from datetime import datetime, timedelta

from fleetsyncd.budgets import Intake
from fleetsyncd.database import vehicle_memory
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import AlarmState, Vehicle, Window
from fleetsyncd.sync.commit import Totals, commit_alarms
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.pull import AlarmsAnswer, VehicleSource
from fleetsyncd.sync.window import MILLISECOND


class AlarmPull:
    """Pulls one vehicle's alarms; `watermark` and `known` are true also after an error."""

    def __init__(
        self,
        vehicle: Vehicle,
        source: VehicleSource,
        context: SyncContext,
        totals: Totals,
        intake: Intake,
    ) -> None:
        self.vehicle = vehicle
        self.source = source
        self.context = context
        self.totals = totals
        self.intake = intake
        self.watermark: datetime | None = None
        """Alarms before it are stored; None before `run`."""
        self.known = AlarmState(vehicle.alarm_watermark, vehicle.alarms_digest)
        """What is stored in the vehicle's state, as it was read or written last."""

    def run(self, pull: Window, *, stepped_back: bool) -> None:
        """Store the alarms up to the end of the measurements' `pull`.

        `stepped_back`: the vehicle's clock was set back since the last pull. Raises VehicleError,
        PullStopped, PullOverrun and DatabaseError.
        """
        known, end = self.vehicle.alarm_watermark, pull.end
        begins = pull.start
        if known is not None:
            begins = min(begins, known - self._overlap)
        kept_since = min(self.context.oldest_alarm(), end - MILLISECOND)
        begins = max(begins, kept_since)
        # Older vehicles filter by the time of triggering and would never send the resolution.
        oldest_open = max(self.vehicle.oldest_open_alarm or begins, kept_since)
        # The first window's commit has begun the alarms' watermark where the pull begins, or has
        # set it back to there.
        begun = known or pull.start
        if stepped_back:
            begun = min(begun, pull.start)
        self.known = replace(self.known, watermark=begun)
        self.watermark = min(begun, pull.start)
        if self.source.carries_alarms(Window(min(oldest_open, begins), end)):
            self._pull(Window(min(oldest_open, begins), end))
        else:
            self._pull(Window(begins, end))
            if oldest_open < begins:
                self._pull(Window(oldest_open, begins))

    @property
    def _overlap(self) -> timedelta:
        """Alarms are committed late as rows are, but too few to learn from."""
        learned = self.vehicle.lateness.overlap
        return max(self.context.pull_overlap, learned or self.context.pull_overlap)

    def _pull(self, interval: Window) -> None:
        """Pull alarms window by window; note how far all of them are stored."""
        self.intake.check_alarms(self.context.budget)
        for window, answer in self.source.alarms(interval, self.known.digest):
            assert self.watermark is not None  # noqa: S101  set by `run`
            reached = max(self.watermark, window.end)
            if answer is not None:
                self._save(answer, AlarmState(reached, answer.digest))
            self.watermark = reached
            if window.end < interval.end:
                self.intake.check_alarms(self.context.budget)

    def _save(self, answer: AlarmsAnswer, reached: AlarmState) -> None:
        """Commit alarms together with how far they reach."""

        def move(cursor: Cursor) -> None:
            vehicle_memory.move_alarm_watermark(cursor, self.vehicle.id, self.known, reached)

        commit_alarms(self.context, self.vehicle, answer, move, self.totals, self.intake)
        self.known = reached
