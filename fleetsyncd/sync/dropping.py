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
MOST_FAILED = 3
"""So often a vehicle is asked in vain where its history begins; then the pull goes on without."""


@dataclass(slots=True)
class Dropping:
    """Judges the answers of one pull, the oldest first."""

    source: VehicleSource
    interval: Window
    begins: datetime | None = None
    """Where the vehicle's history began when it was asked last."""
    _judged_to: datetime = field(init=False)
    """What was lost before this moment was told already."""
    _unjudged: list[Window] = field(init=False, default_factory=list)
    """What was quiet when the vehicle did not tell where its history begins."""
    _failed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._judged_to = self.interval.start

    def lost_of(self, window: Window, page: DataPage) -> list[LostHistory]:
        """Return what was dropped before this answer came, and was not told yet.

        An empty answer tells of all up to where the history begins now. The vehicle is asked only
        if the answer begins late; the session must be free for that. Raises VehicleError: then the
        next answer is judged together with this one.
        """
        times = page.measurements.times
        first = times[0] if times else page.newest or window.end
        quiet = Window(max(window.start, self._judged_to), first)
        is_known = self.begins is not None and self.begins > quiet.start
        is_late = quiet.start < quiet.end and (is_known or quiet.length >= LEAST_QUIET)
        parts = list(self._unjudged)
        if is_late:
            parts.append(quiet if len(page) else Window(quiet.start, self.interval.end))
        if not parts:
            return []
        if self._unjudged or not is_known:
            self._unjudged += [quiet] if is_late else []
            self.begins = oldest_row(self.source, self.interval)
            self._unjudged.clear()
        found = [lost_before(self.begins, part) for part in parts]
        return [lost for lost in found if lost is not None]

    def take_in(self, lost: LostHistory) -> None:
        """Take in what was told of a loss, by whatever look, so that it is told once."""
        told_to = lost.window.end if lost.window else self.interval.end
        self._judged_to = max(self._judged_to, told_to)

    def note_failed(self) -> None:
        """Take in that the vehicle did not tell where its history begins."""
        self._failed += 1
        if self._failed >= MOST_FAILED:
            self._judged_to = self.interval.end
            self._unjudged.clear()
