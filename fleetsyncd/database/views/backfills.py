"""How far the vehicles' backfills are, and why one makes no progress."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.chosen import ALL, Chosen
from fleetsyncd.database.views.jobs import (
    JobKind,
    JobList,
    JobStatus,
    ListedJob,
    common_values,
    job_id,
    read_list,
    status_sql,
)
from fleetsyncd.text import age

_TABLE = "fleetsync.backfill"
_COLUMNS = status_sql(_TABLE, "j.rows_added, j.lacks_alarms")
_STATUS = f"{_COLUMNS} WHERE j.vehicle_id = ANY (%s::uuid[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStatus(JobStatus):
    """How far a backfill is pulled."""

    rows_added: int
    lacks_alarms: bool
    """The vehicle has no call for alarms."""

    @property
    def rows(self) -> int:
        """How many rows were added."""
        return self.rows_added

    @property
    def is_whole(self) -> bool:
        """Whether all of the interval was pulled."""
        return self.finished and not self.gone_sec and not self.lacks_alarms

    @property
    def outcome(self) -> str:
        """How it ended, or how far it is."""
        length = self.window.length.total_seconds()
        if self.gone_sec >= length:
            return f"nothing left to pull: all {age(length)} gone"
        gone = self.gone_text
        if self.finished and self.lacks_alarms:
            return f"complete{gone} and without alarms" if gone else "complete, but without alarms"
        return f"complete{gone}" if self.finished else f"{int(100 * self.fraction)}%{gone}"

    @property
    def obstacle(self) -> str | None:
        """Why it makes no progress, if something is known to stand in its way."""
        if self.finished:
            return None
        if self.paused:
            return "the vehicle is paused, its backfill waits until it is resumed"
        return self.last_error or (None if self.fraction else self.vehicle_error)


def backfill_statuses(cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, BackfillStatus]:
    """Return the status of some vehicles' backfills; vehicles without one are left out."""
    cursor.execute(_STATUS, ([str(vehicle_id) for vehicle_id in ids],))
    return {job_id(row)[0]: _status(row) for row in cursor.fetchall()}


def list_backfills(cursor: Cursor, chosen: Chosen = ALL, *, only_open: bool = False) -> JobList:
    """Return the backfills of the chosen vehicles."""
    rows, *counts = read_list(cursor, _TABLE, _COLUMNS, chosen, only_open=only_open)
    listed = (ListedJob(JobKind.BACKFILL, *job_id(row), _status(row)) for row in rows)
    return JobList(tuple(listed), *counts)


def _status(row: Sequence[Any]) -> BackfillStatus:
    common, (rows_added, lacks_alarms) = common_values(row)
    return BackfillStatus(rows_added=rows_added, lacks_alarms=lacks_alarms, **common)
