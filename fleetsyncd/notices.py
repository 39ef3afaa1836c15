"""What operators are told of: a notice, its kind and its severity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

BEFORE_OUTAGE = timedelta(minutes=2)
"""Vehicles that are told to be down so long before an outage are part of it."""
TITLE_LIMIT, DETAIL_LIMIT = 200, 1_000
"""Characters of a notice."""
TITLE_NAME, TITLE_REASON = 60, 70
"""Characters of a name and of a reason within a title, so that all of its words have room."""
_NAME_END = 20


class NoticeKind(StrEnum):
    """What a notice is about; targets may choose by it."""

    DOWN = "down"
    """A vehicle has had no good cycle for long; or has again."""
    OUTAGE = "outage"
    """No vehicle answers: it is this side's network."""
    ALARM = "alarm"
    """A vehicle's own alarms."""
    LOSS = "loss"
    """A vehicle will drop measurements before they are pulled."""
    AUDIT = "audit"
    """Rows were missing, or differ."""
    CLOCK = "clock"
    """A vehicle's clock is far off."""
    STORAGE = "storage"
    """The quarantine fills up, or the disk will be full."""
    DAEMON = "daemon"
    """A daemon has died, or PostgreSQL is lost."""


OF_A_VEHICLE = frozenset({NoticeKind.DOWN, NoticeKind.ALARM, NoticeKind.LOSS, NoticeKind.CLOCK})
"""Kinds of which vehicles are counted, and not notices."""


class Weight(StrEnum):
    """How grave a notice is; targets may choose by it."""

    INFO = "info"
    """Something is over."""
    WARNING = "warning"
    CRITICAL = "critical"


def name_in_title(name: str) -> str:
    """Return a name for a title; of a long one not the middle, as names differ at the end."""
    if len(name) <= TITLE_NAME:
        return name
    return f"{name[: TITLE_NAME - _NAME_END - 1]}…{name[-_NAME_END:]}"


def beginning(reason: str, limit: int = TITLE_REASON) -> str:
    """Return the beginning of a reason, or of another text, for a title."""
    return reason if len(reason) <= limit else reason[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Subject:
    """The vehicle that a notice is about."""

    id: UUID
    name: str
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: one line, and what more there is to say."""

    kind: NoticeKind
    severity: Weight
    title: str
    detail: str = ""
    vehicle: Subject | None = None


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice as it is kept."""

    id: int
    at: datetime
    notice: Notice

    @property
    def routes(self) -> frozenset[str]:
        """By which words a target chooses it: kind, severity, and the vehicle's tags."""
        tags = self.notice.vehicle.tags if self.notice.vehicle else ()
        return frozenset({self.notice.kind.value, self.notice.severity.value, *tags})
