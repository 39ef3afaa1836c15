"""Vehicles as the database describes them, and windows of their time, as frozen types.

Times are aware datetimes in UTC. Intervals are half-open: `start` belongs to them, `end` does not.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
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

    def before(self, moment: datetime | None) -> "Window | None":
        """Return the part of the window before a moment; None if there is none, or no moment."""
        if moment is None or moment <= self.start:
            return None
        return Window(self.start, min(self.end, moment))

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
    def asked_to(self) -> datetime | None:
        """Up to where all was asked for: before the watermark if the clock was behind that then."""
        if self.watermark is None or self.pulled_until is None:
            return self.watermark
        return min(self.watermark, self.pulled_until)

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
