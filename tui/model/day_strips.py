"""The last day of vehicles, hour by hour: what is known of it, and what must be read again.

An hour that is over is read once. Attempts are written when they end, so the hour before the
present one is read again as well, and with a long attempt all hours that it took.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from rich.text import Text

from fleetsyncd.database.views.journal_hours import DAY_HOURS, HourCount, JournalHours

HOURS = DAY_HOURS
READ_AGAIN_SEC = 60.0
MOST_VEHICLES = 2_000
"""Of which a day is kept: more than are on the screen while an operator pages through a fleet."""
Day = tuple[HourCount | None, ...]
"""The last hours, oldest first, with the present one; None: not known."""
LEGEND = "█ ok ▆ some ▃ most ▁ all failed · not tried"
_UNKNOWN = (" ", "")


@dataclass(slots=True)
class _KnownDay:
    now: int
    read_at: float
    oldest: int | None = None
    counts: dict[int, HourCount] = field(default_factory=dict)
    pulled_until: int | None = None
    """The hour up to which a pull came that is not in the journal yet."""


class DayStrips:
    """Keeps the days of the vehicles that were on the screen; times are monotonic seconds."""

    def __init__(self) -> None:
        self._days: dict[UUID, _KnownDay] = {}

    def due(self, ids: Iterable[UUID], now: float) -> list[UUID]:
        """Return those of the vehicles whose day was not read within the last minute."""
        return [
            key
            for key in ids
            if (known := self._days.get(key)) is None or now - known.read_at >= READ_AGAIN_SEC
        ]

    def since(self, ids: Iterable[UUID], present_hour: int) -> dict[UUID, int]:
        """Return from which hour on each vehicle's attempts must be read."""
        first = present_hour - HOURS + 1
        return {
            key: first if (known := self._days.get(key)) is None else max(first, known.now - 1)
            for key in ids
        }

    def keep(self, read: JournalHours, now: float) -> None:
        """Add what was read; the vehicles that were read longest ago are forgotten first."""
        for key, counts in read.counts.items():
            known = self._days.pop(key, None) or _KnownDay(read.now, now)
            kept = {hour: each for hour, each in known.counts.items() if hour > read.now - HOURS}
            self._days[key] = _KnownDay(
                read.now, now, read.oldest.get(key), {**kept, **counts}, read.pulled_until.get(key)
            )
        while len(self._days) > MOST_VEHICLES:
            del self._days[next(iter(self._days))]

    def day(self, vehicle_id: UUID) -> Day | None:
        """Return a vehicle's last hours; None if they were not read yet."""
        known = self._days.get(vehicle_id)
        if known is None:
            return None
        return tuple(_hour(known, hour) for hour in range(known.now - HOURS + 1, known.now + 1))


def _hour(known: _KnownDay, hour: int) -> HourCount | None:
    """Return an hour; one before the vehicle's oldest entry may have had entries that are gone."""
    counted = known.counts.get(hour)
    if counted is not None or known.oldest is None or hour < known.oldest or hour == known.now:
        return counted
    return None if _is_pulled(known, hour) else HourCount()


def _is_pulled(known: _KnownDay, hour: int) -> bool:
    """Tell whether a pull that has not ended may have taken place in an hour."""
    until = known.pulled_until
    return until is not None and max(known.counts, default=hour) <= hour <= until


def strip_text(day: Day | None) -> str:
    """Return a day as one character an hour; blanks are not known."""
    return "".join(_mark(hour)[0] for hour in day or ())


def strip(day: Day | None) -> Text:
    """Return a day as `strip_text` does, in colours."""
    text = Text(no_wrap=True)
    for hour in day or ():
        text.append(*_mark(hour))
    return text


def _mark(hour: HourCount | None) -> tuple[str, str]:
    """Return the character of an hour, which tells the same as its colour."""
    if hour is None:
        return _UNKNOWN
    if not hour.attempts:
        return "·", "bright_black"
    if hour.ok == hour.attempts:
        return "█", "green"
    if not hour.ok:
        return "▁", "red"
    return ("▆", "yellow") if 2 * hour.ok > hour.attempts else ("▃", "red")
