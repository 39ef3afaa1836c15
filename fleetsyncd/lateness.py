"""How late a vehicle commits its rows, and how far back its pulls begin for that.

Frozen types and pure functions that every package may use. Times are the vehicle's own.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

SHORTEST_OVERLAP, LONGEST_OVERLAP = timedelta(seconds=1), timedelta(seconds=120)
"""Limits of an overlap that follows what was met; a longer PULL_OVERLAP_SEC is the upper one."""
LATE_HALF_LIFE = timedelta(hours=1)
"""After so much time without late rows, what was met counts half."""
OVERLAP_HALF_LIFE = timedelta(minutes=8)
"""So the overlap shrinks to twice what was met: one of 5 s to the shortest in 19 minutes."""
LONGEST_PROOF = timedelta(minutes=5)
"""A pull of more time proves no more: it looks at one overlap."""
NOTABLE = 1.5
"""So many times as late as was known is told; less is chance."""
NEAR_EDGE = 0.75
"""Rows that come from beyond this share of an overlap tell that others may have been missed."""
UNUSUAL = 2
"""A time without rows that is so many times as long as those between its rows is unusual."""
SUSPECT = timedelta(hours=1)
"""How long before rows may have been missed at most."""


def overlap_for(late: timedelta, longest: timedelta = LONGEST_OVERLAP) -> timedelta:
    """Return the overlap that holds rows which are committed so late, twice over."""
    return min(max(2 * late, SHORTEST_OVERLAP), longest)


@dataclass(frozen=True, slots=True)
class Added:
    """Rows that were new to the database, and those of them that came late.

    A row is late if its time was asked for before it was there.
    """

    rows: int = 0
    late: int = 0
    oldest_late: datetime | None = None

    def __add__(self, other: "Added") -> "Added":
        times = [at for at in (self.oldest_late, other.oldest_late) if at is not None]
        return Added(self.rows + other.rows, self.late + other.late, min(times) if times else None)


@dataclass(frozen=True, slots=True)
class Lateness:
    """What is known of how late a vehicle commits its rows."""

    late: timedelta | None = None
    """The longest that was met, decaying; None before the first pull that could meet any."""
    overlap: timedelta | None = None
    """How far before what was asked for the next pull begins; None: as a new vehicle's."""
    since: datetime | None = None
    """Since when nothing has shown the overlap to be too short; None: not known."""
    newest: datetime | None = None
    """Time of the newest row that came, stored or not; None: not known."""

    def begun_with(self, overlap: timedelta, since: datetime | None) -> "Lateness":
        """Return the same with the overlap of a new vehicle, if it has none yet."""
        return self if self.overlap is not None else replace(self, overlap=overlap, since=since)

    def after_proof(self, pulled: timedelta) -> "Lateness":
        """Return what is left of it after so much new time, if no late row was met in it."""
        pulled = max(pulled, timedelta(0))
        late = (self.late or timedelta(0)) * 0.5 ** (pulled / LATE_HALF_LIFE)
        overlap = (self.overlap or timedelta(0)) * 0.5 ** (pulled / OVERLAP_HALF_LIFE)
        longest = max(self.overlap or timedelta(0), LONGEST_OVERLAP)
        return replace(self, late=late, overlap=max(overlap, overlap_for(late, longest)))

    def after_meeting(self, late: timedelta, longest: timedelta) -> "Lateness":
        """Return it with rows met that were so late; the overlap grows to at most `longest`."""
        overlap = overlap_for(late, max(longest, LONGEST_OVERLAP))
        return replace(
            self,
            late=max(late, self.late or timedelta(0)),
            overlap=max(overlap, self.overlap or timedelta(0)),
        )


@dataclass(frozen=True, slots=True)
class LatenessUpdate:
    """What a committed window changes in what is known of its vehicle's lateness."""

    known: Lateness = Lateness()
    """As it was read or written last."""
    now: Lateness = Lateness()
    suspect_from: datetime | None = None
    """Rows of this time and later may have come too late to be met; None: nothing says so."""
