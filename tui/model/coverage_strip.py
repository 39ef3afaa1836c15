"""What of a vehicle's last week is stored, as a strip of characters."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from rich.text import Text

from fleetsyncd.database.views.coverage import Coverage, CoveredInterval

SPAN = timedelta(days=7)
CELLS = 56
RECENT = timedelta(minutes=5)
"""What follows is to come with the next cycles, by the clock that `now` is of."""
_LEGEND = "█ complete ▓ live ░ gap × gone ? missing"
_UNKNOWN = (" ", "")
_MARKS: Mapping[Coverage, tuple[str, str]] = {
    Coverage.GONE: ("×", "red"),
    Coverage.MISSING: ("?", "magenta"),
    Coverage.GAP: ("░", "cyan"),
    Coverage.LIVE: ("▓", "green"),
    Coverage.COMPLETE: ("█", "green"),
}
"""The character of each kind, which tells the same as its colour; the gravest first."""
_UNDATED = ("▒", "green")
"""Complete from a time on that is not known: some of it may be before the vehicle's first pull."""
_ORDER = (*list(_MARKS.values())[:-1], _UNDATED, _MARKS[Coverage.COMPLETE])


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
        marks = {_mark(part) for part in coverage if _touches(part, start, end)}
        text.append(*next((mark for mark in _ORDER if mark in marks), _UNKNOWN))
    return text


def legend(strip: Text) -> str:
    """Return what the characters of a strip mean; the rarest only where it is there."""
    undated = f" {_UNDATED[0]} complete, begin not known" if _UNDATED[0] in strip.plain else ""
    return _LEGEND + undated


def _mark(part: CoveredInterval) -> tuple[str, str]:
    is_undated = part.kind is Coverage.COMPLETE and part.from_at is None
    return _UNDATED if is_undated else _MARKS[part.kind]


def _touches(part: CoveredInterval, start: datetime, end: datetime) -> bool:
    begins_before = part.from_at is None or part.from_at < end
    return begins_before and (part.to_at is None or part.to_at > start)
