"""Frozen types that every package may use.

Times are aware datetimes in UTC. Intervals are half-open: `start` belongs to them, `end` does not.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.budgets import Intake
from fleetsyncd.lateness import Lateness
from fleetsyncd.terms import NO_TERMS, Terms
from fleetsyncd.times import iso_ms


@dataclass(frozen=True, slots=True)
class Window:
    """An interval of a vehicle's own time: [start, end)."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How much time the window covers."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"[{iso_ms(self.start)}, {iso_ms(self.end)})"


@dataclass(frozen=True, slots=True)
class LearnedWindows:
    """How much of a vehicle's time one question covers, as its link was learned to carry."""

    data: timedelta | None = None
    alarms: timedelta | None = None


@dataclass(frozen=True, slots=True)
class HistoryLook:
    """Where a vehicle's own history was found to begin, while its gap is pulled."""

    begins: datetime
    at: datetime
    """When it was asked."""
    watermark: datetime
    """The vehicle's at that moment."""
    history_pace: float | None = None
    """Seconds by which `begins` moves in a second; None before the second look."""
    gap_pace: float | None = None
    """Seconds by which the watermark moves in a second, pauses included."""


Address = tuple[str, int]
"""Host and port: what decides which machine answers."""
Registration = tuple[str, int, str | None]
"""Host, port and API key: what decides who answers, and how."""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle as its tables describe it at the start of a cycle."""

    id: UUID
    name: str
    host: str
    port: int
    api_key: str | None = field(repr=False)
    watermark: datetime | None
    """`last_sync_at`: everything that the vehicle stamped before it is committed."""
    status: str
    software_version: str | None
    paused: bool = False
    alarm_watermark: datetime | None = None
    oldest_open_alarm: datetime | None = None
    pulled_until: datetime | None = None
    """End of the last window, if the vehicle's clock was behind the watermark then."""
    clock_skew: timedelta | None = None
    """Vehicle's clock minus the daemon's at its last good pull; None if it is not known."""
    failures: int = 0
    """Cycles in a row that did not end `ok`."""
    newest_measurement_at: datetime | None = None
    """Time of the newest stored measurement, as far as it is known."""
    islands: tuple[Window, ...] = ()
    """What was pulled ahead of a gap, in order: all after the watermark that is committed."""
    was_set_back: bool = False
    """Somebody has set the watermark back, or deleted it, since it was written last."""
    history: HistoryLook | None = None
    """The last look at its history during the present gap."""
    alarms_digest: int | None = None
    """Of the last `/alarms` answer that is stored."""
    channels_digest: int | None = None
    """Of the last `/channels` answer that is stored; None if the stored channels are not its own
    any more, or were not confirmed for long."""
    learned: LearnedWindows = LearnedWindows()
    id_hint: str | None = None
    """What it has called itself in `/status` from the first time on; None if it never has."""
    other_hint: str | None = None
    """What it called itself in the last cycle, if that was something else."""
    intake: Intake = field(default_factory=Intake)
    lateness: Lateness = field(default_factory=Lateness)
    terms: Terms = NO_TERMS
    """What operators set for it in place of the settings."""

    @property
    def live_to(self) -> datetime | None:
        """How far what is live is committed; the watermark unless there is a gap before it."""
        return self.islands[-1].end if self.islands else self.watermark

    @property
    def pulled_at(self) -> datetime | None:
        """When it was pulled last, by the daemon's clock: one that is behind makes that earlier."""
        if self.live_to is None:
            return None
        behind = max(timedelta(0), -(self.clock_skew or timedelta(0)))
        try:
            return self.live_to + behind
        except OverflowError:
            return None

    @property
    def gap(self) -> Window | None:
        """From the watermark to the end of the last gap, with the islands between; None: no gap."""
        if not self.islands or self.watermark is None:
            return None
        end = self.islands[-1].start
        return Window(self.watermark, end) if end > self.watermark else None

    @property
    def missing(self) -> timedelta:
        """The length of all gaps together."""
        if (gap := self.gap) is None:
            return timedelta(0)
        stored = (island.end - max(island.start, gap.start) for island in self.islands[:-1])
        return gap.length - sum(stored, timedelta(0))

    @property
    def address(self) -> Address:
        """Where it is asked."""
        return self.host, self.port

    @property
    def registration(self) -> Registration:
        """Where and with which key it is asked."""
        return self.host, self.port, self.api_key


@dataclass(frozen=True, slots=True)
class AlarmState:
    """How far a vehicle's alarms are stored, and the digest of the last answer that is stored."""

    watermark: datetime | None = None
    digest: int | None = None


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


@dataclass(frozen=True, slots=True)
class Backfill:
    """A past interval that an operator wants pulled again; everything before `reached` is stored.

    `asked_at` is its version: a later request for the same vehicle carries another one.
    """

    window: Window
    reached: datetime
    asked_at: datetime
    alarms_reached: datetime | None = None
    """Alarms before it are stored; None before the first."""

    @property
    def rest(self) -> Window:
        """The part that is still to be pulled."""
        return Window(self.reached, self.window.end)


@dataclass(frozen=True, slots=True)
class Audit:
    """An interval of which it is to be found out whether all of it is stored.

    `asked_at` is its version, as that of a backfill; everything before `reached` is compared.
    """

    window: Window
    reached: datetime
    asked_at: datetime
    is_repair: bool = False
    """The daemon wants it, since rows were missing, not an operator."""
    report_only: bool = False
    """What is missing is counted, and not stored."""

    @property
    def rest(self) -> Window:
        """The part that is still to be compared."""
        return Window(self.reached, self.window.end)


@dataclass(frozen=True, slots=True)
class Look:
    """A small audit of what is about so old."""

    window: Window
    age_sec: int
    ended_sec: float
    """How old the end of the pull before it is: with an interval of its own, more than the age."""
    verified_to: datetime
    """What earlier looks of this age have proved: up to here nothing was missing."""
    overlap: timedelta | None = None
    """How far each pull goes back, as it was learned; None: not learned yet."""
    also: tuple[int, ...] = ()
    """Other ages at which the same pull had ended: what is proved is proved of them too."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Looks at one vehicle that are due together."""

    looks: tuple[Look, ...]
