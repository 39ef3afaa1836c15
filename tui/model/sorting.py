"""In which order vehicles are shown."""

import re
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any

from fleetsyncd.states import State, VehicleOverview
from tui.model.filters import PROBLEMS, has_troubled_gap
from tui.open_alarms import alarms_of

_WORST_FIRST = (
    State.ERROR, State.TIMEOUT, State.LATE, State.NEVER, State.CATCHING_UP, State.PAUSED,
    State.ONLINE,
)  # fmt: skip
_NEVER = float("inf")
_LAST = chr(sys.maxunicode)
_DIGITS = 10
"""Of a number in a text, for the order of texts."""


class Sort(StrEnum):
    """What the vehicles are ordered by."""

    NAME = "name"
    STATE = "state"
    LAG = "lag"
    SEEN = "seen"
    CHANGE = "change"
    ALARMS = "alarms"
    ADDRESS = "address"
    EVERY = "every"
    DATA = "data"
    ROWS = "rows"
    FAILS = "fails"
    VERSION = "version"
    TAGS = "tags"
    REASON = "reason"


def _lag(vehicle: VehicleOverview) -> float:
    return _NEVER if vehicle.lag is None else vehicle.lag


def _by_state(vehicles: Iterable[VehicleOverview]) -> list[VehicleOverview]:
    """Return the vehicles ordered by state, those in trouble by their lag, bad gaps first.

    The lag of the others falls with each cycle: ordered by it, they would jump about.
    """
    ordered = []
    for state in _WORST_FIRST:
        # By identity: an enumeration's hash costs ten times as much, for each of 10,000 vehicles.
        alike = [vehicle for vehicle in vehicles if vehicle.state is state]
        if state in PROBLEMS:
            alike.sort(key=_lag, reverse=True)  # ties stay by name
        else:
            alike.sort(key=has_troubled_gap, reverse=True)
        ordered += alike
    return ordered


def _age(seconds: float | None) -> float:
    return _NEVER if seconds is None else seconds


def _alarms(vehicle: VehicleOverview) -> tuple[int, int, int]:
    alarms = alarms_of(vehicle)
    return (0, 0, 0) if alarms is None else (alarms.worst, alarms.of_worst, alarms.count)


def _by_parts(address: str) -> list[str]:
    """Return the parts of an address, in whose order 10.8.0.10 follows 10.8.0.9."""
    return [part.zfill(_DIGITS) for part in address.replace(":", ".").split(".")]


@lru_cache(maxsize=512)
def _by_numbers(text: str | None) -> str:
    """Return a text in whose order 2.10 follows 2.9; of a fleet's versions only few differ."""
    return re.sub(r"[0-9]+", lambda number: number[0].zfill(_DIGITS), text or "")


_KEYS: dict[Sort, Callable[[VehicleOverview], Any]] = {
    Sort.LAG: _lag,
    Sort.SEEN: lambda vehicle: _age(vehicle.seen_age),
    Sort.CHANGE: lambda vehicle: _age(vehicle.state_age),
    Sort.ALARMS: _alarms,
    Sort.ADDRESS: lambda vehicle: _by_parts(vehicle.address),
    Sort.EVERY: lambda vehicle: _age(vehicle.interval_sec),
    Sort.DATA: lambda vehicle: _age(vehicle.data_age),
    Sort.ROWS: lambda vehicle: vehicle.rows or 0,
    Sort.FAILS: lambda vehicle: vehicle.failures,
    Sort.VERSION: lambda vehicle: _by_numbers(vehicle.software_version),
    Sort.TAGS: lambda vehicle: (not vehicle.tags, vehicle.tags),
    Sort.REASON: lambda vehicle: vehicle.late_because or vehicle.last_error or _LAST,
}
SORT_TITLES = {
    **{sort: sort.value for sort in Sort},
    Sort.NAME: "vehicle",
    Sort.STATE: "status",
    Sort.CHANGE: "since",
    Sort.ALARMS: "alarm",
    Sort.REASON: "last error",
}
"""What the fleet table calls each order."""
DESCENDING_FIRST = {
    Sort.LAG, Sort.SEEN, Sort.ALARMS, Sort.EVERY, Sort.DATA, Sort.ROWS, Sort.FAILS,
}  # fmt: skip
"""The orders that begin with the greatest value, when they are chosen."""


def ordered(
    vehicles: list[VehicleOverview], sort: Sort, *, descending: bool
) -> list[VehicleOverview]:
    """Return the vehicles, which are ordered by name, in the order that was asked for."""
    if sort is Sort.NAME:
        return vehicles[::-1] if descending else vehicles
    if sort is Sort.STATE:
        return _by_state(vehicles)
    return sorted(vehicles, key=_KEYS[sort], reverse=descending)  # ties stay by name
