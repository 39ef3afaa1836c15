"""What backfills and audits have in common: how far each is, and how they are listed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import IS_PAUSED, name_of
from fleetsyncd.database.views.chosen import CHOSEN, Chosen
from fleetsyncd.models import Window
from fleetsyncd.states import GapProgress
from fleetsyncd.text import age, sanitise

ERROR_LIMIT = 300
NAME_LIMIT = 200
MOST_LISTED = 200


class JobKind(StrEnum):
    """What is done, and who wants it."""

    BACKFILL = "backfill"
    AUDIT = "audit"
    REPAIR = "repair"
    """An audit that the daemon wants, since rows were missing; the others are operators'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus(ABC):
    """How far a backfill or an audit is; `asked_at` is its version."""

    window: Window
    reached: datetime
    asked_at: datetime
    gone_sec: float
    """Seconds of the interval that the vehicle had no longer, or that are older than is kept."""
    busy_sec: float
    """How long the vehicle was asked for what is done."""
    finished_at: datetime | None
    """None while it is open."""
    last_error: str | None
    """Why the last attempt failed."""
    paused: bool
    vehicle_error: str | None
    """Why the vehicle's last cycle failed."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows were added, or of an audit compared."""

    @property
    @abstractmethod
    def is_whole(self) -> bool:
        """Whether it is finished, and all is well."""

    @property
    @abstractmethod
    def outcome(self) -> str:
        """How it ended, or how far it is."""

    @property
    @abstractmethod
    def obstacle(self) -> str | None:
        """Why it makes no progress, if something is known to stand in its way."""

    @property
    def finished(self) -> bool:
        """Whether it is over."""
        return self.finished_at is not None

    @property
    def fraction(self) -> float:
        """Share of the interval that is done, 0 to 1."""
        return (self.reached - self.window.start) / self.window.length

    @property
    def progress(self) -> GapProgress | None:
        """Its rate and the time left; None if it is finished or nothing is done yet."""
        fraction = self.fraction
        if self.finished or not self.busy_sec or not fraction:
            return None
        left = self.busy_sec * (1 - fraction) / fraction
        return GapProgress(fraction, self.rows / self.busy_sec, left)

    @property
    def gone_text(self) -> str:
        """How much of the interval is gone, to follow a word; empty if nothing is."""
        length = age(self.window.length.total_seconds())
        return f", but {age(self.gone_sec)} of {length} gone" if self.gone_sec else ""


Status_co = TypeVar("Status_co", bound=JobStatus, covariant=True)


@dataclass(frozen=True, slots=True)
class ListedJob(Generic[Status_co]):
    """One vehicle's last job of a kind."""

    kind: JobKind
    vehicle_id: UUID
    vehicle: str
    status: Status_co


@dataclass(frozen=True, slots=True)
class JobList:
    """At most MOST_LISTED jobs, and how many there are: open ones, and in all.

    The open ones come first, the oldest request before the others; then those that ended, the
    newest first.
    """

    listed: tuple[ListedJob[JobStatus], ...] = ()
    open: int = 0
    total: int = 0

    def __add__(self, other: "JobList") -> "JobList":
        """Return the first jobs of both."""
        listed = sorted((*self.listed, *other.listed), key=_order)[:MOST_LISTED]
        return JobList(tuple(listed), self.open + other.open, self.total + other.total)


def _order(job: ListedJob[JobStatus]) -> tuple[bool, float, datetime, UUID]:
    ended = job.status.finished_at
    newest_first = 0.0 if ended is None else -ended.timestamp()
    return ended is not None, newest_first, job.status.asked_at, job.vehicle_id


def status_sql(table: str, columns: str) -> str:
    """Return SQL for the vehicles' jobs `j`: their names, what all jobs have, and `columns`."""
    return f"""
SELECT j.vehicle_id::text, {name_of()},
    j.from_at, j.to_at, j.reached_at, j.asked_at, j.gone_sec, j.busy_sec, j.finished_at,
    left(j.last_error, {ERROR_LIMIT}), {IS_PAUSED},
    CASE WHEN v.sync_status IN ('timeout', 'error')
         THEN left(coalesce(s.last_error, v.sync_status), {ERROR_LIMIT}) END, {columns}
FROM {table} j JOIN public.vehicles v ON v.id = j.vehicle_id
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = j.vehicle_id
"""  # noqa: S608  made of this project's own text


def job_id(row: Sequence[Any]) -> tuple[UUID, str]:
    """Return the vehicle's id and name of a row of `status_sql`."""
    return UUID(row[0]), sanitise(row[1], NAME_LIMIT)


def common_values(row: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any]]:
    """Return the values of JobStatus of a row of `status_sql`, and those of its own columns."""
    start, end, reached, asked_at, gone_sec, busy_sec, finished_at, error, paused, failure = row[
        2:12
    ]
    values = {
        "window": Window(start, end),
        "reached": reached,
        "asked_at": asked_at,
        "gone_sec": gone_sec,
        "busy_sec": busy_sec,
        "finished_at": finished_at,
        "last_error": None if error is None else sanitise(error, ERROR_LIMIT),
        "paused": paused,
        "vehicle_error": None if failure is None else sanitise(failure, ERROR_LIMIT),
    }
    return values, row[12:]


def read_list(
    cursor: Cursor, table: str, statuses: str, chosen: Chosen, *, only_open: bool
) -> tuple[list[tuple[Any, ...]], int, int]:
    """Return the first rows of `statuses`, and how many jobs there are: open ones, and in all."""
    values: Mapping[str, object] = {
        **chosen.values,
        "only_open": only_open,
        "limit": MOST_LISTED,
    }
    cursor.execute(
        f"""
SELECT count(*) FILTER (WHERE j.finished_at IS NULL), count(*)
FROM {table} j JOIN public.vehicles v ON v.id = j.vehicle_id WHERE {CHOSEN}""",  # noqa: S608  made of this project's own text
        values,
    )
    unfinished, total = cursor.fetchall()[0]
    cursor.execute(
        f"""{statuses}
WHERE {CHOSEN} AND (j.finished_at IS NULL OR NOT %(only_open)s)
ORDER BY j.finished_at IS NOT NULL, j.finished_at DESC, j.asked_at, j.vehicle_id LIMIT %(limit)s""",
        values,
    )
    return cursor.fetchall(), unfinished, total
