"""The filter that an operator types, such as `truck st:timeout,error lag>5m`.

A vehicle matches if it matches every part.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fleetsyncd.errors import CommandError
from fleetsyncd.states import State, VehicleOverview
from fleetsyncd.text import sanitise
from tui.formatting import STATE_STYLES

Test = Callable[[VehicleOverview], bool]

PROBLEMS = frozenset({State.TIMEOUT, State.ERROR, State.LATE, State.NEVER})
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_COMPARISON = re.compile(r"(lag|seen|data|fails|rows)([<>])(.+)")
_NUMBERS: dict[str, Callable[[VehicleOverview], float | None]] = {
    "lag": lambda vehicle: vehicle.lag,
    "seen": lambda vehicle: vehicle.seen_age,
    "data": lambda vehicle: vehicle.data_age,
    "fails": lambda vehicle: vehicle.failures,
    "rows": lambda vehicle: vehicle.rows,
}
SYNTAX = "text  st:timeout,error  lag>5m  seen>1h  data>2m  fails>3  rows<1  ver:2.1"


@dataclass(frozen=True, slots=True)
class Filter:
    """The text of a filter, and its tests; a vehicle matches if it passes all of them."""

    text: str
    tests: tuple[Test, ...]


NO_FILTER = Filter("", ())


def parse_filter(text: str) -> Filter:
    """Return the filter that `text` describes; raise CommandError if it is not valid."""
    return Filter(text.strip(), tuple(_test(part) for part in text.split()))


def _test(part: str) -> Test:
    lowered = part.lower()
    if lowered.startswith("st:"):
        return _state_test(lowered.removeprefix("st:"))
    if lowered.startswith("ver:"):
        version = lowered.removeprefix("ver:")
        return lambda vehicle: (vehicle.software_version or "").lower().startswith(version)
    if comparison := _COMPARISON.fullmatch(lowered):
        return _comparison_test(*comparison.groups())
    return lambda vehicle: (
        lowered in vehicle.name.lower()
        or lowered in vehicle.address
        or lowered in (vehicle.last_error or "").lower()
    )


def _state_test(prefixes: str) -> Test:
    states: set[State] = set()
    for prefix in prefixes.split(","):
        matches = {
            state
            for state, style in STATE_STYLES.items()
            if prefix and style.word.startswith(prefix)
        }
        if not matches:
            known = ", ".join(style.word for style in STATE_STYLES.values())
            raise CommandError(f"no state begins with {sanitise(prefix, 20) or '…'}: {known}")
        states |= matches
    return lambda vehicle: vehicle.state in states


def _comparison_test(name: str, operator: str, limit_text: str) -> Test:
    limit = _number(limit_text, with_unit=name in ("lag", "seen", "data"))
    read = _NUMBERS[name]

    def test(vehicle: VehicleOverview) -> bool:
        value = read(vehicle)
        if value is None:
            # A vehicle that never answered is older than any age; without a cycle it has no rows.
            value = 0.0 if name == "rows" else float("inf")
        return value > limit if operator == ">" else value < limit

    return test


def _number(text: str, *, with_unit: bool) -> float:
    match = _AGE.fullmatch(text)
    if match is None or (match[2] and not with_unit):
        example = "an age like 90s, 5m, 2h or 3d" if with_unit else "a number"
        raise CommandError(f"{sanitise(text, 20)} is not {example}")
    return float(match[1]) * _UNITS[match[2]]
