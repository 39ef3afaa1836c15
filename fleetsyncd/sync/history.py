"""Which part of an interval a vehicle has dropped before it was pulled."""

from dataclasses import dataclass

from fleetsyncd.errors import VehicleError
from fleetsyncd.models import Window
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.times import utc_span


@dataclass(frozen=True, slots=True)
class LostHistory:
    """The part of an interval that the vehicle no longer has; `whole` if that is all of it."""

    window: Window
    whole: bool

    def __str__(self) -> str:
        """Say what is lost, for the journal."""
        span = utc_span(self.window.start, self.window.end)
        if self.whole:
            return f"gone for good: {span}, the vehicle has no measurement before its end"
        return f"gone for good: {span}, the vehicle's history begins there"


def lost_history(source: VehicleSource, gap: Window) -> LostHistory | None:
    """Return which part of `gap` the vehicle has dropped already; None if it still has all of it.

    If the start of the vehicle's history is not known, nothing is taken as lost.
    """
    try:
        begins = source.history_begins(Window(source.accepted_interval().start, gap.end))
    except VehicleError:
        return None
    if begins is None or begins <= gap.start:
        return None
    return LostHistory(Window(gap.start, begins), whole=begins == gap.end)
