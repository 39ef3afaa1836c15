"""What vehicles answer: their status, channels, alarms and measurements, as frozen types."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleetsyncd.models import Window


@dataclass(frozen=True, slots=True)
class Status:
    """A vehicle's answer to `/status`."""

    software_version: str | None
    """None if it does not tell one."""
    db_ok: bool
    id_hint: str | None = None
    """What it calls itself; None if it does not tell."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel's configuration; the range is in physical units, None where it has none."""

    channel_id: int
    name: str
    unit: str | None
    min_value: float | None
    max_value: float | None

    def lacks_range(self) -> bool:
        """Tell whether an end of its range is not known."""
        return self.min_value is None or self.max_value is None


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; `resolved_at` is None while it lasts."""

    alarm_id: int
    channel_id: int | None
    """None if it is an alarm of the whole vehicle."""
    severity: str | None
    message: str
    triggered_at: datetime
    resolved_at: datetime | None

    @property
    def key(self) -> tuple[int, datetime, int | None]:
        """What tells it from the vehicle's other alarms, also after it counts them anew."""
        return self.alarm_id, self.triggered_at, self.channel_id

    @property
    def ends_before_it_begins(self) -> bool:
        """Whether it was resolved before it was triggered, as the vehicle says."""
        return self.resolved_at is not None and self.resolved_at < self.triggered_at


@dataclass(frozen=True, slots=True)
class Measurements:
    """Rows of one answer as parallel columns, ordered by time and channel, without nulls."""

    times: tuple[datetime, ...]
    channels: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[datetime, int, float]]) -> "Measurements":
        """Return rows of (time, channel, value) as ordered columns."""
        columns: Any = list(zip(*sorted(rows), strict=True))
        return cls(*columns) if columns else cls((), (), ())

    def rows(self) -> Iterator[tuple[datetime, int, float]]:
        """Yield (time, channel, value)."""
        return zip(self.times, self.channels, self.values, strict=True)

    def inside(self, window: "Window") -> "Measurements":
        """Return the rows whose times are in the window."""
        begin, end = (bisect_left(self.times, at) for at in (window.start, window.end))
        if begin == 0 and end == len(self.times):
            return self
        part = slice(begin, end)
        return Measurements(self.times[part], self.channels[part], self.values[part])

    def outside(self, windows: "Iterable[Window]") -> "Measurements":
        """Return the rows whose times are in none of the windows."""
        left = self
        for window in windows:
            begin, end = (bisect_left(left.times, at) for at in (window.start, window.end))
            left = Measurements(
                left.times[:begin] + left.times[end:],
                left.channels[:begin] + left.channels[end:],
                left.values[:begin] + left.values[end:],
            )
        return left

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be stored: its JSON (capped) and the reason."""

    call: str
    raw: str
    reason: str
    count: int = 1
    """More than 1 for rows of which nothing is kept."""


@dataclass(frozen=True, slots=True)
class DataPage:
    """One answer to `/data`, decoded."""

    measurements: Measurements
    truncated: bool
    bad: tuple[BadRow, ...] = ()
    newest: datetime | None = field(default=None, compare=False)
    """Time of the newest row, whatever its value is; None if none has a time that is accepted."""

    def __len__(self) -> int:
        return len(self.measurements) + sum(row.count for row in self.bad)

    @classmethod
    def merged(cls, pages: "list[DataPage]") -> "DataPage":
        """Return complete pages of different channels as one."""
        rows = [row for page in pages for row in page.measurements.rows()]
        bad = tuple(entry for page in pages for entry in page.bad)
        newest = max((page.newest for page in pages if page.newest), default=None)
        return cls(Measurements.from_rows(rows), truncated=False, bad=bad, newest=newest)
