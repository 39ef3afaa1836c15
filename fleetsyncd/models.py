"""Frozen types that every package may use.

Times are aware datetimes in UTC. Intervals are half-open: `start` belongs to them, `end` does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from fleetsyncd.text import sanitise
from fleetsyncd.times import iso_ms

ERROR_LIMIT = 1_000
BACKFILL_PREFIX = "backfill of "
"""How the journal entries of backfills begin; they say nothing about a vehicle's lag."""


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
    alarms_digest: int | None = None
    """Of the last `/alarms` answer that is stored."""
    channels_digest: int | None = None
    """Of the last `/channels` answer that is stored; None if the stored channels are not its own
    any more, or were not confirmed for long."""
    learned: LearnedWindows = LearnedWindows()


@dataclass(frozen=True, slots=True)
class AlarmState:
    """How far a vehicle's alarms are stored, and the digest of the last answer that is stored."""

    watermark: datetime | None = None
    digest: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A vehicle's answer to `/status`."""

    software_version: str
    db_ok: bool


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel's configuration; the range is in physical units."""

    channel_id: int
    name: str
    unit: str | None
    min_value: float
    max_value: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm; `resolved_at` is None while it lasts."""

    alarm_id: int
    channel_id: int
    severity: str | None
    message: str
    triggered_at: datetime
    resolved_at: datetime | None


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

    def __len__(self) -> int:
        return len(self.measurements) + sum(row.count for row in self.bad)

    @classmethod
    def merged(cls, pages: "list[DataPage]") -> "DataPage":
        """Return complete pages of different channels as one."""
        rows = [row for page in pages for row in page.measurements.rows()]
        bad = tuple(entry for page in pages for entry in page.bad)
        return cls(Measurements.from_rows(rows), truncated=False, bad=bad)


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


class Outcome(StrEnum):
    """How a cycle of one vehicle ended, as `sync_journal.status` stores it."""

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"


class Failure(StrEnum):
    """What kind of error ended a cycle, as the metrics count it."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    BAD_ANSWER = "bad_answer"
    DATABASE = "database"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a gap is pulled: all of it before `at` is committed."""

    start: datetime
    end: datetime
    at: datetime

    @property
    def fraction(self) -> float:
        """Share of the gap that is committed, 0 to 1."""
        return (self.at - self.start) / (self.end - self.start)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A row of `sync_journal`, as it is written and as operators read it.

    A time that another service wrote and Python cannot hold is None.
    """

    vehicle_id: UUID
    started_at: datetime | None
    finished_at: datetime | None
    status: str
    rows_written: int
    error_msg: str | None
    id: int | None = None
    """None before it is written."""
    vehicle_name: str = ""

    @property
    def seconds(self) -> float | None:
        """How long the attempt took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class BackfillReport:
    """The result of one attempt at a vehicle's backfill."""

    entry: JournalEntry
    bad_rows: int
    discarded_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CycleReport:
    """The result of one cycle of one vehicle; its journal entry is made from it."""

    vehicle: Vehicle
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    reason: str | None = None
    status: Status | None = None
    """None if there was no valid answer to `/status`."""
    vehicle_answered: bool = False
    """The vehicle answered anything, even a refusal: the network is not to blame."""
    rows_written: int = 0
    bad_rows: int = 0
    quarantine_full: bool = False
    """Not every bad row could be kept."""
    watermark: datetime | None = None
    """After the cycle; None if nothing was ever pulled."""
    interval: Window | None = None
    """What the cycle was to pull; None if it did not get that far."""
    alarm_watermark: datetime | None = None
    """None if it is to stay where it is."""
    known_alarms: AlarmState = AlarmState()
    """What the cycle has read or written last."""
    clock_skew: timedelta | None = None
    notes: tuple[str, ...] = ()
    """Failures that did not end the cycle."""
    stopped: bool = False
    """The cycle was ended on purpose between two windows: the vehicle is not to blame."""
    goes_on: bool = False
    """It was stopped after the longest time of one cycle, and the rest is to be pulled at once."""
    learned: LearnedWindows = LearnedWindows()
    discarded_bytes: int = 0
    """Of answers that had to be asked for again in smaller parts, compressed."""
    failure: Failure | None = None

    @property
    def failures(self) -> int:
        """Cycles in a row, this one included, that the vehicle failed."""
        if self.stopped:
            return self.vehicle.failures
        return 0 if self.outcome is Outcome.OK else self.vehicle.failures + 1

    @property
    def error_msg(self) -> str | None:
        """The journal's remark; None if there is nothing to say."""
        bad = bad_rows_remark(self.bad_rows, full=self.quarantine_full)
        return join_remarks(self.reason, *self.notes, bad)

    @property
    def journal_entry(self) -> JournalEntry:
        """The row of the journal that describes this cycle."""
        return JournalEntry(
            vehicle_id=self.vehicle.id,
            started_at=self.started_at,
            finished_at=self.finished_at,
            status=self.outcome,
            rows_written=self.rows_written,
            error_msg=self.error_msg,
        )


def join_remarks(*remarks: str | None) -> str | None:
    """Return the remarks that there are as one `error_msg`; None without any."""
    given = [remark for remark in remarks if remark]
    return sanitise("; ".join(given), ERROR_LIMIT) if given else None


def bad_rows_remark(count: int, *, full: bool) -> str | None:
    """Say what became of so many bad rows; `full` if the quarantine could not keep all of them."""
    if not count:
        return None
    return f"{count} bad row(s) {'refused, the quarantine is full' if full else 'in quarantine'}"
