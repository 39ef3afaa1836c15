"""Which part of an interval a vehicle has dropped before it was pulled."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.loss_forecast import USUAL_PACE
from fleetsyncd.models import HistoryLook, Window
from fleetsyncd.sync.pull import VehicleSource
from fleetsyncd.time_limits import MAX_AHEAD, accepted_interval
from fleetsyncd.times import utc_span

NOT_KNOWN = "how much is gone for good is not known"
LOOK_ABOVE = timedelta(hours=1)
"""Before what is older is pulled, the vehicle is asked where its history begins."""
LOOK_AGAIN, LOOK_AGAIN_NEAR = timedelta(minutes=10), timedelta(minutes=1)
"""It is asked again after so long: sooner if it will soon drop what is pulled next."""
NEAR = timedelta(hours=1)


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
    return lost_before(oldest_row(source, gap), gap)


def oldest_row(source: VehicleSource, gap: Window) -> datetime | None:
    """Return the time of the vehicle's oldest row, the end of `gap` if that has none before it.

    None if it cannot be read. Raises VehicleError.
    """
    # Also from what retention would delete: it shows that the vehicle has what follows.
    oldest = accepted_interval(source.accepted_interval().end - MAX_AHEAD).start
    return source.history_begins(Window(oldest, gap.end))


def is_true_still(look: HistoryLook, watermark: datetime, now: datetime) -> bool:
    """Tell whether the vehicle need not be asked again where its history begins.

    It must be once its history may have overtaken the watermark: what is pulled from there on may
    be gone already, and would be taken for quiet.
    """
    since = now - look.at
    moved = since * max(USUAL_PACE, look.history_pace or 0.0)
    if look.begins < watermark <= look.begins + moved:
        return False
    near = watermark - look.begins < NEAR
    return since < (LOOK_AGAIN_NEAR if near else LOOK_AGAIN)


def lost_before(begins: datetime | None, gap: Window) -> LostHistory | None:
    """Return which part of `gap` is before the vehicle's oldest row; None if nothing is."""
    if begins is None:
        return LostHistory(None)
    begins = min(begins, gap.end)
    if begins <= gap.start:
        return None
    return LostHistory(Window(gap.start, begins), whole=begins == gap.end)
