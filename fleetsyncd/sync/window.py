"""Which interval to ask a vehicle for, and how to cut it.

Pure; all times are in the vehicle's own clock.
"""

from datetime import datetime, timedelta

from fleetsyncd.models import Vehicle, Window
from fleetsyncd.times import floor_ms

HOURLY_ABOVE = timedelta(hours=24)
"""A longer pull is cut into hours from the start."""
HOURLY_STEP = timedelta(hours=1)
TRUNCATED_STEP = timedelta(minutes=10)
"""What a truncated window is cut to first; halves after that."""
MILLISECOND = timedelta(milliseconds=1)
GROW_BELOW = 4
"""The step grows again, to ten minutes at most, once an answer holds under a quarter of a full one.

An even flow never gets there by halving, so it keeps the step that fits it.
"""
CLOCK_RESOLUTION = timedelta(seconds=2)
"""A `Date` header is a second coarse: smaller steps back are no steps."""


def pull_end(now: datetime, clock: datetime | None) -> datetime:
    """Return where a question may end: the earlier of our clock and the vehicle's.

    A vehicle behind us has nothing newer yet; one ahead of us must not push the watermark into
    the future.
    """
    return floor_ms(now if clock is None else min(now, clock))


def pull_window(
    vehicle: Vehicle,
    end: datetime,
    skew: timedelta,
    *,
    first: timedelta,
    overlap: timedelta,
    oldest: datetime,
) -> Window:
    """Return the window to ask for.

    `end` comes from `vehicle_now`, `skew` is the vehicle's clock minus ours, `oldest` (earlier
    than `end`) is where measurements begin to be storable.

    It begins `overlap` before the watermark, for rows committed late, or `first` before `end`
    when there is no watermark yet. If the vehicle's clock was set back since the last pull, it
    begins as much earlier: what the vehicle stamped after that lies behind the watermark. Nor is
    there anything to wait for when the watermark is ahead of `end`, our own clock having been set
    back perhaps: the pull then goes on from the present.
    """
    if vehicle.watermark is None:
        start = end - first
    else:
        step = skew - vehicle.clock_skew
        reached = min(vehicle.watermark, vehicle.asked_to or vehicle.watermark)
        start = reached + (step if step <= -CLOCK_RESOLUTION else timedelta(0)) - overlap
    start = floor_ms(max(min(start, end - max(overlap, MILLISECOND)), oldest))
    return Window(start, end)


class Splitter:
    """Cuts a pull window into the questions to ask, one after the other.

    `next()` gives the question at the front; `done()` moves behind it, `too_dense()` makes it and
    all later ones smaller. The questions answered cover the pull window exactly, without overlap.
    """

    def __init__(self, pull: Window) -> None:
        self.pull = pull
        self._at = pull.start
        self._step = HOURLY_STEP if pull.length > HOURLY_ABOVE else max(pull.length, MILLISECOND)
        self._widest = min(self._step, TRUNCATED_STEP)
        self._capacity = 0

    def next_window(self) -> Window | None:
        """Return the next question, or None when all is covered."""
        if self._at >= self.pull.end:
            return None
        return Window(self._at, min(self._at + self._step, self.pull.end))

    def complete(self, question: Window, rows: int) -> None:
        """Go on behind `question`, which was answered completely with so many `rows`."""
        self._at = question.end
        if rows * GROW_BELOW < self._capacity:
            self._step = min(self._step * 2, self._widest)

    def shrink(self, question: Window, rows: int) -> bool:
        """Make the step smaller than `question`, of which only `rows` came; False at 1 ms."""
        if question.length <= MILLISECOND:
            return False
        self._capacity = rows
        if question.length > TRUNCATED_STEP:
            self._step = self._widest = TRUNCATED_STEP
        else:
            self._step = max(question.length / 2 // MILLISECOND * MILLISECOND, MILLISECOND)
        return True
