"""Text from outside, made harmless where it enters; ages and sizes as text."""

import unicodedata
from collections.abc import Sequence
from typing import TypeGuard

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
NEWLINE = "⏎"
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KILO, _HUNDRED = 1000, 100
CLOCKS_AGREE_SEC = 5.0
"""Clocks that differ by less are taken to agree."""
MOST_NAMES = 3
"""Names in one line of text."""
MOST_CACHED = 20_000
"""Characters; there are a million."""
UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control, format and surrogate characters, separators of lines: Unicode categories."""


def sanitise(value: str, limit: int = 500) -> str:
    """Return `value` without control, format or surrogate characters, at most `limit` long.

    A newline becomes ⏎, every other unsafe character U+FFFD: the result can steer no terminal, and
    PostgreSQL can store it.
    """
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    if value.isprintable():
        return value
    return value.replace("\r\n", "\n").translate(_SAFE)


def is_storable(value: str) -> bool:
    """Tell whether PostgreSQL can hold `value`: neither NUL nor bytes that were no UTF-8."""
    return not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in value)


class _SafeCharacters(dict[int, int]):
    """Maps each character to itself or its replacement; caches those that it meets."""

    def __missing__(self, code: int) -> int:
        unsafe = unicodedata.category(chr(code)) in UNSAFE_CATEGORIES
        safe = ord(REPLACEMENT) if unsafe else code
        if len(self) < MOST_CACHED:
            self[code] = safe
        return safe


_SAFE = _SafeCharacters({ord("\n"): ord(NEWLINE)})


def age(seconds: float | None) -> str:
    """Return an age in its largest fitting unit: 48s, 5m, 3h, 12d; a dash for None."""
    if seconds is None:
        return "-"
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def is_ahead(seconds: float | None) -> TypeGuard[float]:
    """Tell whether a time of this age lies ahead of the clock that it was compared with."""
    return seconds is not None and seconds < -CLOCKS_AGREE_SEC


def known_age(seconds: float | None) -> str:
    """Return the age of a time that the same clock wrote; `ahead` if that clock was set back."""
    return "ahead" if is_ahead(seconds) else age(seconds)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 alarm, 0 alarms, 1,500 rows, 2 journal entries."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return the first names, and how many more there are: `Truck-01, Truck-02 and 7 more`."""
    others = len(names) - most
    return ", ".join(names[:most]) + (f" and {others:,} more" if others > 0 else "")


def size(number: float) -> str:
    """Return a number of bytes in its largest fitting unit: 512 B, 8 kB, 3.1 GB."""
    for unit in ("B", "kB", "MB"):
        if number < _KILO:
            return f"{number:.0f} {unit}"
        number /= _KILO
    return f"{number:.1f} GB" if number < _HUNDRED else f"{number:,.0f} GB"
