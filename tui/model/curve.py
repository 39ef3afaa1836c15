"""Between which of a channel's values a line may be drawn: nowhere across missing data."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from fleetsyncd.database.views.series import PROBES, Series, SliceValues

GAP_FACTOR = 3
"""A pause of more than so many sampling intervals is a gap."""
_LEAST_PAUSES = 3
"""So many pauses tell the sampling interval of a channel with at most one row in each slice."""
Pair = tuple[SliceValues, SliceValues]


def joined(series: Series, step: float) -> Iterator[Pair]:
    """Yield the neighbours between which data are not missing; `step` is a slice's length."""
    longest = 2 * step / PROBES if series.sampled else GAP_FACTOR * _interval(series)
    for before, after in pairwise(series.values):
        if _pause(before, after) <= longest:
            yield before, after


def _interval(series: Series) -> float:
    """Return the usual seconds between two rows; 0 if there are too few rows to tell."""
    values, resolution = series.values, series.resolution
    # The whole minutes of n rows are as long as n intervals, their times apart as n - 1.
    ends = 0 if resolution else 1
    within = [(each.last - each.first) / (each.count - ends) for each in values if each.count > 1]
    # Minutes that follow each other have no pause, but begin one after the other.
    between = [_pause(before, after) + resolution for before, after in pairwise(values)]
    known = [median(within)] if within and median(within) > 0 else []
    known += [median(between)] if len(between) >= _LEAST_PAUSES else []
    return min(known, default=0.0)


def _pause(before: SliceValues, after: SliceValues) -> float:
    return after.first - before.last
