"""Read-only queries over sync_journal: its pages, and the last hour of vehicles.

Every function takes a cursor and returns frozen rows whose text is harmless for a terminal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.history import read_histories
from fleetsyncd.database.views.journal_hours import HourCount
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.reports import JournalEntry, Outcome
from fleetsyncd.text import sanitise

PAGE_ROWS = 200
HOUR_SEC = 3600
HOUR_BUCKETS = 12
_ERROR_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class LastHour:
    """A vehicle's last hour: the longest lag in each twelfth of it (oldest first), failures.

    A lag is None where nothing is known about it.
    """

    lags: tuple[float | None, ...]
    failures: int
    day: tuple[HourCount | None, ...] | None = None
    """Its last 24 hours, oldest first, if they are known; of each, None if it is not known."""


_COLUMNS = f"""
SELECT j.id, j.vehicle_id::text, coalesce(v.name, j.vehicle_id::text), {epoch("j.started_at")},
    {epoch("j.finished_at")},
    j.status, j.rows_written, left(j.error_msg, {_ERROR_LIMIT})
"""
_NEWEST_FIRST = "ORDER BY j.started_at DESC, j.id DESC LIMIT"
_JOURNAL = f"""
{_COLUMNS}
FROM public.sync_journal j JOIN public.vehicles v ON v.id = j.vehicle_id
WHERE true {{conditions}}
{_NEWEST_FIRST} %(limit)s
"""
# The newest n rows are of the n vehicles whose newest rows are the newest: n rows of each of these
# are enough. One condition on many vehicles would read the whole journal of each.
_OF_VEHICLES = f"""
WITH newest AS (
    SELECT w.id FROM unnest(%(vehicles)s::uuid[]) w(id)
    CROSS JOIN LATERAL (
        SELECT j.started_at, j.id FROM public.sync_journal j
        WHERE j.vehicle_id = w.id {{conditions}} {_NEWEST_FIRST} 1
    ) j
    {_NEWEST_FIRST} %(limit)s
)
{_COLUMNS}
FROM newest
CROSS JOIN LATERAL (
    SELECT j.* FROM public.sync_journal j
    WHERE j.vehicle_id = newest.id {{conditions}} {_NEWEST_FIRST} %(limit)s
) j
JOIN public.vehicles v ON v.id = j.vehicle_id
{_NEWEST_FIRST} %(limit)s
"""  # noqa: S608


def read_journal(
    cursor: Cursor,
    *,
    vehicles: Collection[UUID] | None = None,
    statuses: Collection[str] = (),
    before: JournalEntry | None = None,
    limit: int = PAGE_ROWS,
) -> list[JournalEntry]:
    """Return a page of the journal, newest first: of some vehicles, with some statuses, or all.

    `before` is the last entry of the page above.
    """
    conditions, statement = "", _JOURNAL
    values: dict[str, Any] = {"limit": limit}
    if vehicles is not None:
        values["vehicles"] = [str(vehicle_id) for vehicle_id in set(vehicles)]
    if vehicles is not None and not statuses:
        statement = _OF_VEHICLES
    elif vehicles is not None:
        # By vehicle, a status that is rare would be searched for in each one's whole journal.
        conditions += " AND j.vehicle_id = ANY (%(vehicles)s::uuid[])"
    if statuses:
        conditions += " AND j.status = ANY (%(statuses)s)"
        values["statuses"] = list(statuses)
        if Outcome.OK not in statuses:
            # The condition that the partial index of failures is defined by.
            conditions += f" AND j.status <> '{Outcome.OK}'"
    if before is not None:
        conditions += " AND (j.started_at, j.id) < (%(started)s, %(id)s)"
        values |= {"started": before.started_at or "-infinity", "id": before.id}
    cursor.execute(statement.format(conditions=conditions), values)
    return [_entry(row) for row in cursor.fetchall()]


def _entry(row: Sequence[Any]) -> JournalEntry:
    number, key, name, started, finished, status, rows, error = row
    return JournalEntry(
        vehicle_id=UUID(key),
        started_at=from_epoch(started),
        finished_at=from_epoch(finished),
        status=sanitise(status, 20),
        rows_written=rows or 0,
        error_msg=None if error is None else sanitise(error, _ERROR_LIMIT),
        id=number,
        vehicle_name=sanitise(name, 200),
    )


def last_hour(cursor: Cursor, vehicles: Collection[UUID]) -> dict[UUID, LastHour]:
    """Return the last hour of each of a few vehicles, such as those on a screen."""
    return {
        key: LastHour(
            tuple(bucket.lag for bucket in history.buckets),
            sum(bucket.attempts - bucket.ok for bucket in history.buckets),
        )
        for key, history in read_histories(cursor, vehicles, HOUR_SEC, HOUR_BUCKETS).items()
    }
