"""What is kept for how long, and how much of it has expired: plain types."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fleetsyncd.settings import Settings
from fleetsyncd.text import size
from fleetsyncd.times import utc_days

COUNTED = 10_000
"""Rows are counted up to here; above it the planner's estimate is used."""


class Kind(StrEnum):
    """What is kept for a time of its own, as `fleetsync.retention` names it."""

    MEASUREMENTS = "measurements"
    MINUTES = "minutes"
    JOURNAL = "journal"
    QUARANTINE = "quarantine"
    ALARMS = "alarms"

    @property
    def setting(self) -> str:
        """The variable that sets how long it is kept."""
        unit = "MONTHS" if self in MONTHLY else "DAYS"
        return f"{self.upper()}_KEEP_{unit}"

    @property
    def rows_name(self) -> str:
        """What its rows are called."""
        return _ROW_NAMES[self]


MONTHLY = (Kind.MEASUREMENTS, Kind.MINUTES)
"""What is dropped by the month."""
WAITING_WHILE_NEW = (Kind.MEASUREMENTS, Kind.MINUTES, Kind.ALARMS)
"""What is gone for good: a new setting of these deletes nothing for a day. Meanwhile vehicles are
asked for what it would delete."""
_ROW_NAMES: Mapping[Kind, str] = {
    Kind.MEASUREMENTS: "measurements",
    Kind.MINUTES: "minutes",
    Kind.JOURNAL: "journal entries",
    Kind.QUARANTINE: "quarantined rows",
    Kind.ALARMS: "alarms",
}


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long rows are kept; None: for ever.

    Months are whole ones, kept beside the present one. `minutes_keep_months` is 0 for ever, and
    None if no minutes are kept: then none are deleted either.
    """

    journal_keep: timedelta | None
    quarantine_keep: timedelta | None
    measurements_keep_months: int | None
    alarms_keep: timedelta | None = None
    minutes_keep_months: int | None = None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is kept at all."""
        are_kept = self.minutes_keep_months is not None
        return tuple(kind for kind in Kind if are_kept or kind is not Kind.MINUTES)

    def keep(self, kind: Kind) -> int | None:
        """Return the kind's setting: months of measurements and minutes, days of the others."""
        if kind is Kind.MEASUREMENTS:
            return self.measurements_keep_months
        if kind is Kind.MINUTES:
            return self.minutes_keep_months or None
        age = {
            Kind.JOURNAL: self.journal_keep,
            Kind.QUARANTINE: self.quarantine_keep,
            Kind.ALARMS: self.alarms_keep,
        }[kind]
        return None if age is None else age.days


def retention_policy(settings: Settings) -> RetentionPolicy:
    """Return how long rows are kept."""
    return RetentionPolicy(
        journal_keep=_days(settings.journal_keep_days),
        quarantine_keep=_days(settings.quarantine_keep_days),
        alarms_keep=_days(settings.alarms_keep_days),
        measurements_keep_months=settings.measurements_keep_months,
        minutes_keep_months=settings.minutes_keep_months,
    )


def _days(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much has expired; `months` of what is monthly, else 0; `size` in bytes.

    The rows of months, and many other rows, are an estimate.
    """

    kind: Kind
    months: int
    rows: int
    size: int
    oldest: datetime | None
    """Where what has expired begins; None if nothing has, or if no one can tell."""
    before: datetime | None
    """Where it ends."""

    def __bool__(self) -> bool:
        """Tell whether anything has expired."""
        return self.months > 0 or self.rows > 0

    def __str__(self) -> str:
        parts = [self.amount, self.size_text]
        if self.oldest is not None and self.before is not None:
            parts.append(f"of {utc_days(self.oldest, self.before)}")
        return ", ".join(parts)

    @property
    def is_estimate(self) -> bool:
        """Whether `rows` is an estimate."""
        return self.kind in MONTHLY or self.rows >= COUNTED

    @property
    def amount(self) -> str:
        """How much has expired, in words."""
        is_monthly = self.kind in MONTHLY
        return f"{self.short_amount} ({self._rows_text} rows)" if is_monthly else self.short_amount

    @property
    def short_amount(self) -> str:
        """The same without the rows of months."""
        if self.kind not in MONTHLY:
            return f"{self._rows_text} {self.kind.rows_name}"
        months = "1 month" if self.months == 1 else f"{self.months} months"
        return f"{months} of {self.kind.rows_name}"

    @property
    def _rows_text(self) -> str:
        return f"about {float(f'{self.rows:.3g}'):,.0f}" if self.is_estimate else f"{self.rows:,}"

    @property
    def size_text(self) -> str:
        """How large it is; always an estimate for rows."""
        return size(self.size)
