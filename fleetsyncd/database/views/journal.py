"""Read-only queries over sync_journal: its pages, and the last hour of vehicles.

Every function takes a cursor and returns frozen rows whose text is harmless for a terminal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import name_of
from fleetsyncd.database.views.chosen import CHOSEN, Chosen
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
SELECT j.id, j.vehicle_id::text, {name_of()}, {epoch("j.started_at")},
    {epoch("j.finished_at")},
    j.status, j.rows_written, left(j.error_msg, {_ERROR_LIMIT})
"""
_NAMED = f"SELECT v.id::text FROM public.vehicles v WHERE {CHOSEN}"  # noqa: S608  own text
_FAILURES = set(Outcome) - {Outcome.OK}
_NEWEST_FIRST = "ORDER BY j.started_at DESC, j.id DESC LIMIT"
_JOURNAL = f"""
{_COLUMNS}
FROM public.sync_journal j JOIN public.vehicles v ON v.id = j.vehicle_id
WHERE true {{conditions}}
{_NEWEST_FIRST} %(limit)s
"""
# One condition on many vehicles would read the whole journal of each. So a few rows of each are
# read along the index: the page has no row that is older than the last of the page that these make.
# Their columns are those of the index: with others, the planner may sort the whole journal instead.
_OF_VEHICLES = f"""
WITH few AS MATERIALIZED (
    SELECT w.id AS vehicle_id, j.started_at FROM unnest(%(vehicles)s::uuid[]) w(id)
    CROSS JOIN LATERAL (
        SELECT j.started_at FROM public.sync_journal j
        WHERE j.vehicle_id = w.id {{conditions}} ORDER BY j.started_at DESC LIMIT %(few)s
    ) j
), page AS MATERIALIZED (
    SELECT CASE WHEN count(*) = %(limit)s THEN min(started_at) ELSE '-infinity' END AS since
    FROM (SELECT started_at FROM few ORDER BY started_at DESC LIMIT %(limit)s) newest
)
{_COLUMNS}
FROM (SELECT DISTINCT vehicle_id FROM few WHERE started_at >= (SELECT since FROM page)) w
CROSS JOIN LATERAL (
    SELECT j.* FROM public.sync_journal j
    WHERE j.vehicle_id = w.vehicle_id AND j.started_at >= (SELECT since FROM page) {{conditions}}
    {_NEWEST_FIRST} %(limit)s
) j
JOIN public.vehicles v ON v.id = j.vehicle_id
{_NEWEST_FIRST} %(limit)s
"""  # noqa: S608


def read_journal(
    cursor: Cursor,
    *,
    vehicles: Collection[UUID] | None = None,
    name_part: str = "",
    statuses: Collection[str] = (),
    before: JournalEntry | None = None,
    limit: int = PAGE_ROWS,
) -> list[JournalEntry]:
    """Return a page of the journal, newest first: of some vehicles, with some statuses, or all.

    `name_part` is a part of a vehicle's name, whatever the case. `before` is the last entry of the
    page above.
    """
    if name_part:
        vehicles = _named(cursor, name_part, vehicles)
    conditions, statement = "", _JOURNAL
    values: dict[str, Any] = {"limit": limit}
    if vehicles is not None:
        keys = {str(vehicle_id) for vehicle_id in vehicles}
        values |= {"vehicles": list(keys), "few": -(-limit // max(1, len(keys)))}
        statement = _OF_VEHICLES
    if statuses and Outcome.OK not in statuses:
        # The condition that the partial indexes of failures are defined by.
        conditions += f" AND j.status <> '{Outcome.OK}'"
    # Of all failures, the planner would take it for a second condition, and the rows for rare.
    if statuses and set(statuses) != _FAILURES:
        conditions += " AND j.status = ANY (%(statuses)s)"
        values["statuses"] = list(statuses)
    if before is not None:
        conditions += " AND (j.started_at, j.id) < (%(started)s, %(id)s)"
        values |= {"started": before.started_at or "-infinity", "id": before.id}
    cursor.execute(statement.format(conditions=conditions), values)
    return [_entry(row) for row in cursor.fetchall()]


def _named(cursor: Cursor, part: str, among: Collection[UUID] | None) -> list[UUID]:
    """Return the vehicles whose name contains a text; with `among`, only those of them."""
    cursor.execute(_NAMED, Chosen(part).values)
    named = [UUID(key) for (key,) in cursor.fetchall()]
    return named if among is None else list(set(among).intersection(named))


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
