"""What the rows of one pull tell of how late the vehicle commits."""

from bisect import bisect_right
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from fleetsyncd.lateness import (
    LONGEST_OVERLAP,
    LONGEST_PROOF,
    NEAR_EDGE,
    NOTABLE,
    SHORTEST_OVERLAP,
    SUSPECT,
    UNUSUAL,
    Added,
    LatenessUpdate,
)
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.sync.window import LivePull
from fleetsyncd.telemetry import DataPage


class LatenessMeter:
    """Measures one pull. Rows are late if they are before the pull's head and were not stored."""

    def __init__(self, vehicle: Vehicle, live: LivePull, pull_overlap: timedelta) -> None:
        self._before = vehicle.lateness
        self._pull = live.window
        self._pull_overlap = pull_overlap
        self._head = self._asked_to = live.head
        self.lateness = vehicle.lateness
        """As it was read or written last."""
        self.rows = 0
        """Late rows that were stored."""
        self._met = timedelta(0)
        is_known = vehicle.lateness.overlap is not None and self._seen_to is not None
        if not is_known or live.head is None or live.head > live.window.end:
            self.stop()

    @property
    def head(self) -> datetime | None:
        """The time before which added rows are late; None if this pull cannot tell."""
        return self._head

    @property
    def _seen_to(self) -> datetime | None:
        """Up to where the vehicle's rows had come before this pull, or could not have come."""
        return self._before.newest or self._before.since

    def stop(self) -> None:
        """Measure nothing: what was pulled before was not this vehicle's, or is not known."""
        self._head = None

    def update(self, window: Window, page: DataPage, added: Added) -> LatenessUpdate:
        """Return what is known once this window is committed, and these rows are added."""
        is_first = self._before.newest is None and self._before.overlap is None
        since = self._pull.start if is_first else None
        now = self.lateness.begun_with(self._pull_overlap, since)
        # A bad row's time is not known; taken for the newest, it is not asked for on and on.
        newest = window.end if page.bad else page.newest
        # What was skipped is asked for again as if nothing had come since.
        if newest is not None and not self._skips(page):
            now = replace(now, newest=max(newest, now.newest or newest))
        head = self._head
        if head is not None and newest is not None:
            proved_to = min(window.end, head + LONGEST_PROOF)
            now = now.after_proof(proved_to - max(window.start, head))
        if head is None or added.oldest_late is None:
            return LatenessUpdate(self.lateness, now)
        late = self._late(head, added)
        now = now.after_meeting(late, self._pull_overlap)
        if not self._may_miss(head, added.oldest_late, late):
            return LatenessUpdate(self.lateness, now)
        earliest = head - SUSPECT
        suspect_from = earliest if now.since is None else max(now.since, earliest)
        # Of what is younger than the longest overlap, more may come than the repair will find.
        since = max(suspect_from, self._pull.start - LONGEST_OVERLAP)
        return LatenessUpdate(self.lateness, replace(now, since=since), suspect_from)

    def _skips(self, page: DataPage) -> bool:
        """Tell whether rows came again after a time of which the vehicle had none when asked.

        What it has measured then may be committed later than the newer rows, and later than its
        overlap holds, but not later than the longest one. Short times without rows tell nothing,
        nor such as are usual of it.
        """
        seen, asked, times = self._seen_to, self._asked_to, page.measurements.times
        if seen is None or asked is None:
            return False
        next_one = bisect_right(times, seen)
        if next_one == len(times):
            return False
        ends = min(times[next_one], asked)
        hole = ends - seen
        if hole <= self._pull_overlap or ends <= self._pull.end - LONGEST_OVERLAP:
            return False
        usual = max(
            (late - early for early, late in pairwise(times) if early > seen or late <= seen),
            default=hole,
        )
        return hole > UNUSUAL * usual

    def take(self, update: LatenessUpdate, added: Added) -> None:
        """Take in that a window is committed."""
        self.lateness = update.now
        if self._head is not None and added.late:
            self.rows += added.late
            self._met = max(self._met, self._late(self._head, added))

    def _late(self, head: datetime, added: Added) -> timedelta:
        oldest = max(added.oldest_late or head, self._pull.start)
        return head - oldest

    def _may_miss(self, head: datetime, oldest: datetime, late: timedelta) -> bool:
        """Tell whether other rows may have come too late for this pull.

        So it is if some came from near the edge of what it asked for again, unless the vehicle
        commits in order: then nothing is missing before the newest row of the pull before.
        """
        if late < NEAR_EDGE * (head - self._pull.start):
            return False
        seen_to = self._seen_to
        return seen_to is None or oldest < seen_to or self._pull.start > seen_to

    @property
    def remark(self) -> str | None:
        """Say that rows came later than was known; None if they did not."""
        known = self._before.late or timedelta(0)
        if self._met <= max(known * NOTABLE, SHORTEST_OVERLAP / 2):
            return None
        met = f"{self.rows} row(s) came up to {_seconds(self._met)} late"
        overlap, before = self.lateness.overlap, self._before.overlap
        if overlap is None or before is None or overlap <= before:
            return met
        return f"{met}: the overlap is {_seconds(overlap)} now"


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.3g} s"
