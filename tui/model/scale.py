"""The scale of a picture: a range of values that contains everything drawn in it."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

MIN_SHARE = 0.1
"""Without an expected range a scale is at least this share of its largest value high.

A nearly constant value is then a nearly flat line.
"""
_DIGITS = 3
"""Significant digits of a scale's height; its bounds are rounded outwards to them."""
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """The values between `low` and `high`, both included; `low` is less than `high`."""

    low: float
    high: float

    def fraction(self, value: float) -> float:
        """Return how high a value is on the scale: 0 at `low`, 1 at `high`."""
        # Halves, because the difference of two numbers can exceed the largest number.
        height = self.high / 2 - self.low / 2
        return min(1.0, max(0.0, (value / 2 - self.low / 2) / height)) if height else 0.0

    @property
    def low_text(self) -> str:
        """The lower bound; as a number it is not greater than any value on the scale."""
        return bound_text(self.low)

    @property
    def high_text(self) -> str:
        """The upper bound; as a number it is not less than any value on the scale."""
        return bound_text(self.high)

    @property
    def text(self) -> str:
        """Both bounds."""
        return f"{self.low_text} … {self.high_text}"


def expected_range(low: float | None, high: float | None) -> Range | None:
    """Return the range that a channel's values are expected in; None if there is no such range."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    return (low, high) if low < high else None


def scale_of(values: Iterable[float], expected: Range | None = None) -> Scale:
    """Return a scale that contains all values, and the expected range if there is one."""
    known = [*values, *(expected or ())]
    if not known:
        return Scale(0.0, 1.0)
    low, high = min(known), max(known)
    return _rounded(low, high) if expected else _rounded(*_heightened(low, high))


def _heightened(low: float, high: float) -> Range:
    """Return a range around low and high that is at least MIN_SHARE of them high."""
    if low == high == 0:
        return 0.0, 1.0
    least = max(sys.float_info.min, MIN_SHARE * max(abs(low), abs(high)))
    if high - low >= least:
        return low, high
    middle, most = low / 2 + high / 2, sys.float_info.max
    return max(-most, middle - least / 2), min(most, middle + least / 2)


def _rounded(low: float, high: float) -> Scale:
    """Return the scale from low to high, rounded outwards."""
    below, above = Decimal(low), Decimal(high)
    step = Decimal(1).scaleb((above - below).adjusted() - _DIGITS + 1)
    most = sys.float_info.max
    # Plus zero, because a rounded number can be minus zero.
    bottom = max(-most, float(below.quantize(step, ROUND_FLOOR))) + 0.0
    top = min(most, float(above.quantize(step, ROUND_CEILING))) + 0.0
    return Scale(bottom, top)


def bound_text(value: float) -> str:
    """Return a number with all its digits."""
    return repr(value).removesuffix(".0")
