"""How cycles and backfills ended, and their entries in the journal.

Frozen types that every package may use.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from fleetsyncd.audit_results import AuditResult
from fleetsyncd.lateness import Lateness
from fleetsyncd.models import AlarmState, LearnedWindows, Vehicle, Window
from fleetsyncd.remarks import bad_rows_remark, join_remarks
from fleetsyncd.telemetry import Status


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
    OVER_BUDGET = "over_budget"
    OTHER_MACHINE = "other_machine"
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
class AttemptReport:
    """The result of one attempt at a vehicle's backfill, gap or audit."""

    entry: JournalEntry
    bad_rows: int
    discarded_bytes: int = 0
    retry_after_sec: float | None = None
    """For how long the vehicle asked to be left alone."""
    needs_attention: bool = False
    """It failed, or a part of what it was to pull is gone."""
    goes_on: bool = False
    """It went well so far, and the rest is left to the next attempt."""
    reached: datetime | None = None
    """Of a gap: where the next attempt goes on; None if it begins anew."""
    audit: AuditResult | None = None
    """None unless it was an audit."""


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
    bad_rows_left_out: int = 0
    """Bad rows of answers with too many of them for all to be kept."""
    watermark: datetime | None = None
    """After the cycle; None if nothing was ever pulled."""
    live_to: datetime | None = None
    """How far what is live is committed; the same unless there is a gap."""
    interval: Window | None = None
    """What the cycle was to pull; None if it did not get that far."""
    alarm_watermark: datetime | None = None
    """None if it is to stay where it is."""
    known_alarms: AlarmState = field(default_factory=AlarmState)
    """What the cycle has read or written last."""
    clock_skew: timedelta | None = None
    notes: tuple[str, ...] = ()
    """Failures that did not end the cycle."""
    stopped: bool = False
    """The cycle was ended on purpose between two windows: the vehicle is not to blame."""
    goes_on: bool = False
    """It was stopped after the longest time of one cycle, and the rest is to be pulled at once."""
    learned: LearnedWindows = field(default_factory=LearnedWindows)
    discarded_bytes: int = 0
    """Of answers that had to be asked for again in smaller parts, compressed."""
    failure: Failure | None = None
    unstored: str | None = None
    """Why PostgreSQL refused something of the cycle; None if all that it wrote is stored."""
    retry_after_sec: float | None = None
    """For how long the vehicle asked to be left alone."""
    lateness: Lateness = field(default_factory=Lateness)
    """As the cycle left it."""
    late_rows: int = 0
    """Of the rows that it wrote, those whose time had been asked for before."""

    @property
    def leaves_gap(self) -> bool:
        """Whether something before what is live is still to be pulled."""
        return self.live_to is not None and self.live_to != self.watermark

    @property
    def is_news_of_vehicle(self) -> bool:
        """Whether the vehicle's own row, as the cycle has read it, does not say all of it."""
        return self.status is not None or self.vehicle.status != self.outcome

    @property
    def failures(self) -> int:
        """Cycles in a row, this one included, that the vehicle failed."""
        if self.stopped:
            return self.vehicle.failures
        return 0 if self.outcome is Outcome.OK else self.vehicle.failures + 1

    @property
    def error_msg(self) -> str | None:
        """The journal's remark; None if there is nothing to say."""
        bad = bad_rows_remark(self.bad_rows, self.bad_rows_left_out, full=self.quarantine_full)
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


@dataclass(frozen=True, slots=True)
class Unstored:
    """How many vehicles' last cycles the database could not store, and why the last of these."""

    vehicles: int = 0
    reason: str | None = None
    """With the vehicle's name in brackets."""

    def __str__(self) -> str:
        """Say it to operators."""
        return f"{self.vehicles} vehicle(s) could not be stored in the last cycle: {self.reason}"
