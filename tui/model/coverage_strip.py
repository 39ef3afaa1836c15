"""What of a vehicle's last week is stored, as a strip of characters."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rich.text import Text

from fleetsyncd.database.views.coverage import Coverage, CoveredInterval

SPAN = timedelta(days=7)
CELLS = 56
RECENT = timedelta(minutes=5)
"""What follows is to come with the next cycles, by the clock of this host."""
LEGEND = "█ complete ▓ live ░ gap × gone ? missing"
_UNKNOWN = (" ", "")
_MARKS: Mapping[Coverage, tuple[str, str]] = {
    Coverage.GONE: ("×", "red"),
    Coverage.MISSING: ("?", "magenta"),
    Coverage.GAP: ("░", "cyan"),
    Coverage.LIVE: ("▓", "green"),
    Coverage.COMPLETE: ("█", "green"),
}
"""The character of each kind, which tells the same as its colour; the gravest first."""
_ORDER = tuple(_MARKS)


def has_holes(coverage: Sequence[CoveredInterval], now: datetime) -> bool:
    """Tell whether the strip shows anything but what is complete."""
    return any(
        part.kind is not Coverage.COMPLETE and _touches(part, now - SPAN, now - RECENT)
        for part in coverage
    )


def coverage_strip(coverage: Sequence[CoveredInterval], now: datetime) -> Text:
    """Return the last week up to `now`, CELLS characters: each has the gravest of its time."""
    text = Text(no_wrap=True)
    step = SPAN / CELLS
    for cell in range(CELLS):
        start = now - SPAN + cell * step
        end = min(start + step, now - RECENT)
        kinds = {part.kind for part in coverage if _touches(part, start, end)}
        text.append(*next((_MARKS[kind] for kind in _ORDER if kind in kinds), _UNKNOWN))
    return text


def _touches(part: CoveredInterval, start: datetime, end: datetime) -> bool:
    begins_before = part.from_at is None or part.from_at < end
    return begins_before and (part.to_at is None or part.to_at > start)
