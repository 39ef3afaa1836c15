"""Sparks: curves of one line of block characters; a place without data is a dot, never a bar."""

import math
from collections.abc import Sequence

from fleetsyncd.states import LATE_AFTER_INTERVALS
from fleetsyncd.text import age
from tui.model.scale import Range, Scale, scale_of

MISSING = "·"
_BLOCKS = "▁▂▃▄▅▆▇█"
_LAG_CEILING_SEC = 90.0
"""A scale of lags reaches at least up to here: a lag of a few seconds is a low block."""
_UNITS_SEC = (86_400, 3600, 60)

Values = Sequence[float | None]
"""The values of equal slices of time, oldest first; None where nothing is known."""


def spark(values: Values, scale: Scale) -> str:
    """Return a character for each value, by its height on the scale."""
    return "".join(_block(value, scale) for value in values)


def count_spark(values: Values, scale: Scale) -> str:
    """Return a character for each count; only zero has the lowest one."""
    return "".join(
        _BLOCKS[1] if value and block == _BLOCKS[0] else block
        for value, block in ((value, _block(value, scale)) for value in values)
    )


def _block(value: float | None, scale: Scale) -> str:
    if value is None:
        return MISSING
    return _BLOCKS[round(scale.fraction(value) * (len(_BLOCKS) - 1))]


def channel_scale(values: Values, expected: Range | None) -> Scale:
    """Return the scale of a channel's values."""
    return scale_of((value for value in values if value is not None), expected)


def count_scale(counts: Values) -> Scale:
    """Return the scale of counts: from zero up."""
    highest = max((count for count in counts if count), default=1.0)
    return scale_of((), (0.0, highest))


def lag_scale(lags: Values, own_interval_sec: float | None = None) -> Scale:
    """Return the scale of lags in seconds: from zero to whole units of an age.

    Of a vehicle with a long interval of its own, a usual lag is a low block, too.
    """
    longest = max((lag for lag in lags if lag is not None), default=0.0)
    usual = LATE_AFTER_INTERVALS * (own_interval_sec or 0.0)
    return Scale(0.0, max(_LAG_CEILING_SEC, _whole_units(max(longest, usual))))


def lag_scale_text(scale: Scale) -> str:
    """Return the bounds of a scale of lags."""
    return f"0…{age(scale.high)}"


def _whole_units(seconds: float) -> float:
    """Return seconds rounded up to the unit in which they are shown as an age."""
    for size in _UNITS_SEC:
        if seconds >= 2 * size:
            return float(math.ceil(seconds / size) * size)
    return float(math.ceil(seconds))


def thinned(lags: Values, count: int) -> Values:
    """Return the longest lag of each of `count` equal groups; `count` divides their number."""
    size = len(lags) // count
    groups = (lags[start : start + size] for start in range(0, size * count, size))
    return [max((lag for lag in group if lag is not None), default=None) for group in groups]
