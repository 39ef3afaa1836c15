"""What a vehicle drops while an interval of it is pulled: its answers then begin late.

It drops its oldest rows, also an hour or a day of them at once. So of each answer only the
beginning can lack rows, and what is quiet there is gone only if the vehicle has no older row.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleetsyncd.models import Window
from fleetsyncd.sync.history import LostHistory, lost_before, oldest_row
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.telemetry import DataPage

LEAST_QUIET = timedelta(seconds=10)
"""An answer that begins so late may lack rows."""


@dataclass(slots=True)
class Dropping:
    """Judges the answers of one pull, the oldest first."""

    source: VehicleSource
    interval: Window
    begins: datetime | None = None
    """Where the vehicle's history began when it was asked last."""
    _judged_to: datetime = field(init=False)
    """What was lost before this moment was told already."""

    def __post_init__(self) -> None:
        self._judged_to = self.interval.start

    def lost_of(self, window: Window, page: DataPage) -> LostHistory | None:
        """Return what was dropped before this answer came; None if nothing was, or it is known.

        An empty answer tells of all up to where the history begins now. The vehicle is asked only
        if the answer begins late; the session must be free for that. Raises VehicleError.
        """
        times = page.measurements.times
        first = times[0] if times else page.newest or window.end
        quiet = Window(max(window.start, self._judged_to), first)
        if quiet.start >= quiet.end:
            return None
        if self.begins is None or self.begins <= quiet.start:
            if quiet.length < LEAST_QUIET:
                return None
            self.begins = oldest_row(self.source, self.interval)
        whole = quiet if len(page) else Window(quiet.start, self.interval.end)
        return lost_before(self.begins, whole)

    def take_in(self, lost: LostHistory) -> None:
        """Take in what was told of a loss, by whatever look, so that it is told once."""
        self._judged_to = lost.window.end if lost.window else self.interval.end

    def give_up(self) -> None:
        """Ask no more: the vehicle does not tell where its history begins."""
        self._judged_to = self.interval.end
