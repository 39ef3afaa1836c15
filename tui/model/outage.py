"""Tells an outage of this host's network from failures of single vehicles."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from fleetsyncd.states import LATE_AFTER_INTERVALS, OUTAGE_FROM, State, VehicleOverview
from fleetsyncd.text import is_ahead

TOGETHER_INTERVALS = 2
"""Vehicles whose last answers are at most so many sync intervals apart fell silent together."""
SHARE_OF_FLEET = 0.1
"""An outage silences at least this part of the fleet, whatever the others do."""
RECENT_INTERVALS = 60
"""The time before and after it, in sync intervals, that tells whether such silences are usual."""
SHARE_OF_RECENT = 1 / 3
"""An outage is more than this part of them; vehicles that are parked in the evening are less."""
_FAILING = (State.TIMEOUT, State.ERROR)
_NOT_EXPECTED = (State.PAUSED, State.NEVER)
"""States of vehicles from which no answer is expected."""


@dataclass(frozen=True, slots=True)
class Outage:
    """`silent` of the `asked` vehicles that answered before do not answer."""

    silent: int
    asked: int
    age: float | None
    """For how many seconds, if they fell silent together; None if none of the fleet answers."""


def find_outage(vehicles: Sequence[VehicleOverview], interval: float) -> Outage | None:
    """Return the outage that the vehicles' last answers show; `interval` between cycles in seconds.

    It takes OUTAGE_FROM vehicles at least. Any answer counts, a refusal too.
    """
    active = [vehicle for vehicle in vehicles if vehicle.state not in _NOT_EXPECTED]
    silent = [vehicle for vehicle in active if _is_silent(vehicle, interval)]
    if len(silent) < OUTAGE_FROM:
        return None
    # Those of one cycle answer one after the other.
    last = min(_ages(silent), default=math.inf) - interval
    expected = [vehicle for vehicle in active if _was_asked(vehicle, last)]
    if len(silent) == len(expected):
        return Outage(len(silent), len(expected), None)
    return _common_silence(_ages(silent), _ages(expected), len(expected), interval)


def _is_silent(vehicle: VehicleOverview, interval: float) -> bool:
    seen, own = vehicle.seen_age, vehicle.interval(interval)
    lasts = seen is None or is_ahead(seen) or seen > LATE_AFTER_INTERVALS * own
    return vehicle.state in _FAILING and lasts


def _was_asked(vehicle: VehicleOverview, last: float) -> bool:
    """Tell whether a vehicle was asked since the last cycle that the silent ones answered in.

    With an interval of its own that need not be so, and then nothing can be said of it.
    """
    seen = vehicle.seen_age
    is_open = vehicle.own_interval_sec is not None and vehicle.state not in _FAILING
    return not is_open or seen is None or seen < last


def _ages(vehicles: Sequence[VehicleOverview]) -> list[float]:
    """Return the ages of the last answers, as far as they are known, the newest first."""
    seen = (vehicle.seen_age for vehicle in vehicles if not is_ahead(vehicle.seen_age))
    return sorted(age for age in seen if age is not None)


def _common_silence(
    silent: Sequence[float], expected: Sequence[float], fleet: int, interval: float
) -> Outage | None:
    """Return the last group of those that fell silent together, if there is a large one."""
    least, recent = max(OUTAGE_FROM, SHARE_OF_FLEET * fleet), RECENT_INTERVALS * interval
    for first, age in enumerate(silent):
        until = age + TOGETHER_INTERVALS * interval
        group = bisect_right(silent, until) - first
        if group < least:
            continue
        beside = bisect_right(silent, until + recent) - bisect_left(silent, age - recent)
        if group > SHARE_OF_RECENT * beside:
            return Outage(group, bisect_right(expected, until), age)
    return None
