"""A span of time up to now, as curves and plots show it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A span of `seconds`; `name` is its length in short, such as 24h."""

    name: str
    seconds: int


TEN_MINUTES = Span("10m", 600)
HOUR = Span("1h", 3600)
SIX_HOURS = Span("6h", 21_600)
DAY = Span("24h", 86_400)
WEEK = Span("7d", 604_800)
MONTH = Span("30d", 2_592_000)
QUARTER = Span("90d", 7_776_000)
YEAR = Span("1y", 31_536_000)
THREE_YEARS = Span("3y", 94_608_000)
TEN_YEARS = Span("10y", 315_360_000)
