"""A figure with what it is to reach, and how figures are shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from fleetsyncd.commands.tables import table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `most` or `least` is the bound it is to keep, if there is one."""

    group: str
    name: str
    value: float
    unit: str = ""
    most: float | None = None
    least: float | None = None

    @property
    def good(self) -> bool | None:
        """Whether the bound is kept; None without one."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.most is not None:
            return f"≤ {_short(self.most)}"
        return "" if self.least is None else f"≥ {_short(self.least)}"


def show(figures: Iterable[Figure]) -> str:
    """Return the figures as a table, in their order."""
    verdicts = {True: "yes", False: "NO", None: ""}
    rows = [[f.group, f.name, _short(f.value), f.unit, f.bound, verdicts[f.good]] for f in figures]
    return table(["GROUP", "FIGURE", "MEASURED", "UNIT", "TO REACH", "REACHED"], rows)


def as_object(figures: Iterable[Figure]) -> dict[str, dict[str, object]]:
    """Return the figures as JSON's types, keyed by group and name."""
    return {
        f"{f.group}: {f.name}": {
            "value": round(f.value, 4),
            "unit": f.unit,
            "most": f.most,
            "least": f.least,
            "reached": f.good,
        }
        for f in figures
    }


def paired(numerators: Iterable[float], denominators: Iterable[float]) -> float:
    """Return the median of ratios, each of two values measured one right after the other."""
    return median(above / below for above, below in zip(numerators, denominators, strict=True))


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _short(value: float) -> str:
    """Return three significant digits, or a whole number with its thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
