"""The filter that an operator types: `truck st:timeout,error lag>5m`, every part must fit."""

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
    """What was typed, and the tests that follow from it."""

    text: str
    tests: tuple[Test, ...]
    """A vehicle that fits passes all of them."""


NO_FILTER = Filter("", ())


def parse_filter(text: str) -> Filter:
    """Return the filter that `text` describes; raise CommandError saying what is wrong with it."""
    return Filter(text.strip(), tuple(_test(part) for part in text.split()))


def _test(part: str) -> Test:
    lowered = part.lower()
    if lowered.startswith("st:"):
        return _of_states(lowered.removeprefix("st:"))
    if lowered.startswith("ver:"):
        version = lowered.removeprefix("ver:")
        return lambda vehicle: (vehicle.software_version or "").lower().startswith(version)
    if comparison := _COMPARISON.fullmatch(lowered):
        return _compared(*comparison.groups())
    return lambda vehicle: (
        lowered in vehicle.name.lower()
        or lowered in vehicle.address
        or lowered in (vehicle.last_error or "").lower()
    )


def _of_states(words: str) -> Test:
    wanted: set[State] = set()
    for word in words.split(","):
        found = [state for state, look in STATE_STYLES.items() if word and look[1].startswith(word)]
        if not found:
            known = ", ".join(look[1] for look in STATE_STYLES.values())
            raise CommandError(f"no state begins with {sanitise(word, 20) or '…'}: {known}")
        wanted.update(found)
    return lambda vehicle: vehicle.state in wanted


def _compared(name: str, sign: str, limit_text: str) -> Test:
    limit = _number(limit_text, with_unit=name in ("lag", "seen", "data"))
    read = _NUMBERS[name]

    def test(vehicle: VehicleOverview) -> bool:
        value = read(vehicle)
        # What never was is older than anything.
        known = float("inf") if value is None and name != "rows" else value or 0.0
        return known > limit if sign == ">" else known < limit

    return test


def _number(text: str, *, with_unit: bool) -> float:
    found = _AGE.fullmatch(text)
    if found is None or (found[2] and not with_unit):
        example = "an age like 90s, 5m, 2h or 3d" if with_unit else "a number"
        raise CommandError(f"{sanitise(text, 20)} is not {example}")
    return float(found[1]) * _UNITS[found[2]]
