"""Which interval to ask a vehicle for, and how to split it into windows.

Pure functions. Windows are intervals of the vehicle's own clock.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.lateness import LONGEST_OVERLAP
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.time_limits import CLOCK_TOLERANCE
from fleetsyncd.times import floor_ms

HOURLY_ABOVE = timedelta(hours=24)
"""A longer pull is split into hours from the start."""
HOURLY_STEP = timedelta(hours=1)
TRUNCATED_STEP = timedelta(minutes=10)
"""The first size that a truncated window is split into; halves follow."""
MILLISECOND = timedelta(milliseconds=1)
LIVE_INTERVALS = 2
"""Pulled ahead of a gap are so many sync intervals, unless the daemon's least is more."""
SHORT_GAP = 5
"""A cycle pulls a gap of up to so many live windows itself, unless the vehicle has a rate for gaps:
what a cycle pulls fills the link."""
MOST_ISLANDS = 50
"""A vehicle that comes and goes while its gap is pulled has no more; what is beyond is pulled
again."""
GROW_BELOW = 0.45
"""The step doubles again, up to ten minutes (of alarms: to all), after an answer with a smaller
share of the rows that were too many. At a constant rate of rows it then stays as it is."""


def pull_end(now: datetime, clock: datetime | None) -> datetime:
    """Return where a pull ends: the earlier of the daemon's clock and the vehicle's.

    A vehicle whose clock is behind has nothing newer yet; one whose clock is ahead must not push
    the watermark into the future.
    """
    return floor_ms(now if clock is None else min(now, clock))


def pull_interval(
    vehicle: Vehicle,
    end: datetime,
    skew: timedelta,
    *,
    pull_window: timedelta,
    pull_overlap: timedelta,
    oldest: datetime,
) -> Window:
    """Return the interval to pull.

    `end` comes from `pull_end`, `skew` is the vehicle's clock minus the daemon's, `oldest` (before
    `end`) is the earliest time that is accepted.

    It starts early, see `overlap_start`, or `pull_window` before `end` if there is no watermark
    yet. If the vehicle's clock has fallen behind the daemon's since the last pull, it starts
    earlier by that much: what the vehicle stamped since then is before the watermark. A clock that
    was ahead hides nothing when it is set back, since a watermark is never ahead of the daemon's
    clock. An unknown last skew counts as none. If the watermark is ahead of `end`, for example
    because this host's clock was set back, the pull goes on from the present.
    """
    head = _head(vehicle, skew)
    if head is None:
        start = end - max(pull_window, pull_overlap)
    else:
        start = overlap_start(vehicle, head, end, skew, pull_overlap)
    return Window(floor_ms(max(start, oldest)), end)


def overlap_start(
    vehicle: Vehicle, head: datetime, end: datetime, skew: timedelta, pull_overlap: timedelta
) -> datetime:
    """Return where a pull begins of a vehicle of which all before `head` was asked for.

    Rows that are committed late lie before that: the vehicle's own overlap holds them, or
    `pull_overlap` if it has none yet. It also holds a step of the clock that is too small for
    `step_back`. If all that came is older, the vehicle may commit all its rows later than that:
    then it is asked again from its newest row on, which costs nothing, since nothing was there.
    """
    overlap = pull_overlap if vehicle.lateness.overlap is None else vehicle.lateness.overlap
    overlap = max(overlap, _small_step_back(vehicle, skew))
    start = min(head - overlap, end - max(overlap, MILLISECOND))
    since = vehicle.lateness.since
    if since is not None and since <= head and overlap <= LONGEST_OVERLAP:
        # Before the first pull there is nothing to be met; later it is further back than that.
        start = max(start, min(since, end - MILLISECOND))
    stored = vehicle.lateness.newest or vehicle.lateness.since
    if stored is None:
        return start
    return min(start, max(stored, head - max(LONGEST_OVERLAP, pull_overlap)))


def _head(vehicle: Vehicle, skew: timedelta) -> datetime | None:
    """Return up to where all was asked for without a gap, by the vehicle's clock as it is now."""
    return None if vehicle.asked_to is None else vehicle.asked_to + step_back(vehicle, skew)


@dataclass(frozen=True, slots=True)
class LivePull:
    """What a cycle pulls: all since the watermark, or of a longer gap only what is live."""

    window: Window
    head: datetime | None = None
    """Of the time before it all was asked for already; None: of none."""
    leaves_gap: bool = False
    """What is committed of it is an island, since there is a gap before it."""
    cut_from: datetime | None = None
    """Of the islands, what is from here on is not true any more."""
    behind_from: datetime | None = None
    """Where the vehicle's clock was set back to, if there is an island."""


def live_pull(
    vehicle: Vehicle,
    whole: Window,
    skew: timedelta,
    *,
    pull_overlap: timedelta,
    live_window: timedelta | None,
) -> LivePull:
    """Return what a cycle pulls of `whole`, which is what `pull_interval` returns.

    What is missing before the newest `live_window` is left to the catch-up if it is long; None:
    nothing is. Once there is an island, cycles go on at its end. If the vehicle's clock was set
    back, what it stamps from then on is before that end, and what was pulled of that time is asked
    for again. What is to be asked for again before the watermark no island can be ahead of: then
    the cycle pulls all of it.
    """
    step = step_back(vehicle, skew)
    live_to = vehicle.live_to
    head = _head(vehicle, skew)
    is_behind = step or vehicle.pulled_until is not None
    behind_from = live_to + step if step and vehicle.islands and live_to else None
    if live_window is None or (is_behind and not vehicle.islands):
        return LivePull(whole, head, cut_from=behind_from)
    begins = whole.start
    if vehicle.islands and live_to is not None:
        head = live_to + step
        early = overlap_start(vehicle, head, whole.end, skew, pull_overlap)
        # What is before the island is the catch-up's.
        first = whole.start if step else max(whole.start, vehicle.islands[-1].start)
        begins = min(floor_ms(max(early, first)), whole.end - MILLISECOND)
    is_long = whole.end - max(begins, head or begins) > _longest_short_gap(vehicle, live_window)
    if not is_long and not vehicle.islands:
        return LivePull(whole, head)
    cut_from = behind_from
    if is_long:
        begins = whole.end - max(live_window, pull_overlap)
        if len(vehicle.islands) >= MOST_ISLANDS:
            beyond = vehicle.islands[MOST_ISLANDS - 1].start
            cut_from = beyond if cut_from is None else min(cut_from, beyond)
    return LivePull(
        Window(begins, whole.end), head, leaves_gap=True, cut_from=cut_from, behind_from=behind_from
    )


def _longest_short_gap(vehicle: Vehicle, live_window: timedelta) -> timedelta:
    return live_window * (SHORT_GAP if vehicle.terms.gap_kbit is None else 1)


def gap_before(
    vehicle: Vehicle,
    *,
    pull_overlap: timedelta,
    oldest: datetime,
    goes_on_at: datetime | None = None,
) -> Window | None:
    """Return the first gap: what is to be pulled between the watermark and the first island.

    It begins early, as late as rows may be: what the vehicle committed when nobody asked any more
    no cycle has met. Where an attempt has ended it `goes_on_at` once: what is before was old
    already when it was pulled. It does not begin before `oldest`, the earliest time that is
    accepted. None if the watermark has reached the island, or there is none.
    """
    if not vehicle.islands:
        return None
    end = vehicle.islands[0].start
    reached = vehicle.asked_to
    if reached is None or end <= reached:
        return None
    overlap = max(pull_overlap, LONGEST_OVERLAP)
    if goes_on_at == reached:
        overlap = timedelta(0)
    return Window(floor_ms(min(max(reached - overlap, oldest), end - MILLISECOND)), end)


def skipped_before(vehicle: Vehicle, pull: Window) -> Window | None:
    """Return the time between what was pulled before and `pull`: it is older than what is kept."""
    reached = vehicle.asked_to
    return Window(reached, pull.start) if reached is not None and reached < pull.start else None


def step_back(vehicle: Vehicle, skew: timedelta) -> timedelta:
    """Return by how much the clock has fallen behind since the last pull: 0, or less."""
    step = _step(vehicle, skew)
    return step if step <= -CLOCK_TOLERANCE else timedelta(0)


def _small_step_back(vehicle: Vehicle, skew: timedelta) -> timedelta:
    """Return by how much the clock may have fallen behind without being seen: 0, or more."""
    step = _step(vehicle, skew)
    return max(-step, timedelta(0)) if step > -CLOCK_TOLERANCE else timedelta(0)


def _step(vehicle: Vehicle, skew: timedelta) -> timedelta:
    return _behind(skew) - _behind(vehicle.clock_skew or timedelta(0))


def _behind(skew: timedelta) -> timedelta:
    """Return the skew of a clock that is behind, 0 for one that is ahead."""
    return min(skew, timedelta(0))


class Splitter:
    """Splits a pull into windows, which cover it exactly and do not overlap.

    `next_window` returns the window to ask for; after its answer, `complete` moves on to the
    next one, or `shrink` makes it and all later ones smaller.
    """

    def __init__(self, pull: Window) -> None:
        """Split as measurements are asked for: by hours, by ten minutes, by halves."""
        self.pull = pull
        self._next_start = pull.start
        self._step = HOURLY_STEP if pull.length > HOURLY_ABOVE else max(pull.length, MILLISECOND)
        self._largest_step = min(self._step, TRUNCATED_STEP)
        self._first_shrunk: timedelta | None = TRUNCATED_STEP
        self._rows_too_many = 0

    @classmethod
    def of_alarms(cls, pull: Window) -> "Splitter":
        """Return one that asks for all at once, and then for halves: alarms are few."""
        splitter = cls(pull)
        splitter._step = splitter._largest_step = max(pull.length, MILLISECOND)
        splitter._first_shrunk = None
        return splitter

    def next_window(self) -> Window | None:
        """Return the window to ask for now; None when all of the pull is covered."""
        if self._next_start >= self.pull.end:
            return None
        return Window(self._next_start, min(self._next_start + self._step, self.pull.end))

    def complete(self, window: Window, rows: int) -> None:
        """Move on to what follows `window`, whose answer was complete with so many `rows`."""
        self._next_start = window.end
        if rows < self._rows_too_many * GROW_BELOW and window.length >= self._step:
            self._step = min(self._step * 2, self._largest_step)

    def widen(self) -> None:
        """Let the step grow beyond ten minutes, where latency costs more than rows."""
        self._largest_step = max(self._largest_step, HOURLY_STEP)

    def shrink(self, window: Window, rows: int) -> bool:
        """Make the step smaller than `window`, for which `rows` are too many; False at 1 ms."""
        if window.length <= MILLISECOND:
            return False
        self._rows_too_many = rows
        if self._first_shrunk is not None and window.length > self._first_shrunk:
            self._step = self._largest_step = self._first_shrunk
        else:
            self._step = max(window.length / 2 // MILLISECOND * MILLISECOND, MILLISECOND)
        return True
