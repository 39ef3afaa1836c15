"""Which part of an interval a vehicle has dropped before it was pulled."""

from dataclasses import dataclass

from fleetsyncd.models import Window
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.time_limits import MAX_AHEAD, accepted_interval
from fleetsyncd.times import utc_span

NOT_KNOWN = "how much is gone for good is not known"


@dataclass(frozen=True, slots=True)
class LostHistory:
    """The part of an interval that the vehicle no longer has; `whole` if that is all of it."""

    window: Window | None
    """None if it is not known what is lost."""
    whole: bool = False

    def __str__(self) -> str:
        """Say what is lost, for the journal."""
        if self.window is None:
            return NOT_KNOWN
        span = utc_span(self.window.start, self.window.end)
        if self.whole:
            return f"gone for good: {span}, the vehicle has no measurement before its end"
        return f"gone for good: {span}, the vehicle's history begins there"


def lost_history(source: VehicleSource, gap: Window) -> LostHistory | None:
    """Return which part of `gap` the vehicle has dropped already; None if it still has all of it.

    Raises VehicleError.
    """
    # Also from what retention would delete: it shows that the vehicle has what follows.
    oldest = accepted_interval(source.accepted_interval().end - MAX_AHEAD).start
    begins = source.history_begins(Window(oldest, gap.end))
    if begins is None:
        return LostHistory(None)
    if begins <= gap.start:
        return None
    return LostHistory(Window(gap.start, begins), whole=begins == gap.end)
