"""Read-only queries over sync_journal: its pages, and a vehicle's history that follows from it.

Every function takes a cursor and returns frozen rows whose text is harmless for a terminal.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.journal_hours import HourCount
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.reports import BACKFILL_PREFIX, JournalEntry, Outcome
from fleetsyncd.text import sanitise

PAGE_ROWS = 200
HOUR_SEC = 3600
HOUR_BUCKETS = 12
_ERROR_LIMIT = 1_000


@dataclass(frozen=True, slots=True)
class LastHour:
    """A vehicle's last hour: the longest lag in each twelfth of it (oldest first), failures."""

    lags: tuple[float, ...]
    failures: int
    day: tuple[HourCount | None, ...] | None = None
    """Its last 24 hours, oldest first, if they are known; of each, None if it is not known."""


@dataclass(frozen=True, slots=True)
class HistoryBucket:
    """One bucket of a history: how its attempts ended; `lag` is the longest in it, in seconds."""

    attempts: int
    ok: int
    rows: int
    lag: float


# The statements below are made of constants only.
_JOURNAL = f"""
SELECT j.id, j.vehicle_id::text, coalesce(v.name, j.vehicle_id::text), {epoch("j.started_at")},
    {epoch("j.finished_at")},
    j.status, j.rows_written, left(j.error_msg, {_ERROR_LIMIT})
FROM public.sync_journal j JOIN public.vehicles v ON v.id = j.vehicle_id
WHERE true {{conditions}}
ORDER BY j.started_at DESC, j.id DESC LIMIT %(limit)s
"""  # noqa: S608
_SINCE = "%(until)s::timestamptz - %(length)s * interval '1 second'"
# The lag of a vehicle when an attempt ended: the time since the last good attempt before it began.
_ATTEMPTS = f"""
SELECT vehicle_id, status, rows_written,
    width_bucket(extract(epoch FROM started_at - ({_SINCE}))::float8, 0, %(length)s::float8,
                 %(buckets)s) - 1 AS bucket,
    extract(epoch FROM finished_at - max(started_at) FILTER (
        WHERE status = '{Outcome.OK}' AND coalesce(error_msg, '') NOT LIKE '{BACKFILL_PREFIX}%%'
        ) OVER (
        PARTITION BY vehicle_id ORDER BY started_at
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))::float8 AS lag
FROM public.sync_journal
WHERE vehicle_id = ANY (%(ids)s::uuid[])
  AND started_at >= {_SINCE} AND started_at < %(until)s AND isfinite(finished_at)
"""  # noqa: S608
_BUCKETS = f"""
SELECT vehicle_id::text, bucket, count(*), count(*) FILTER (WHERE status = '{Outcome.OK}'),
    coalesce(sum(rows_written), 0)::bigint, max(lag)
FROM ({_ATTEMPTS}) attempts GROUP BY 1, 2
"""  # noqa: S608
_NOW_AND_LAGS = """
SELECT now(), coalesce(json_object_agg(id::text, extract(epoch FROM now() - last_sync_at)), '{}')
FROM public.vehicles WHERE id = ANY (%s::uuid[]) AND isfinite(last_sync_at)
"""


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
    conditions = ""
    values: dict[str, Any] = {"limit": limit}
    if vehicles is not None:
        conditions += " AND j.vehicle_id = ANY (%(vehicles)s::uuid[])"
        values["vehicles"] = [str(vehicle_id) for vehicle_id in vehicles]
    if statuses:
        conditions += " AND j.status = ANY (%(statuses)s)"
        values["statuses"] = list(statuses)
        if Outcome.OK not in statuses:
            # The condition that the partial index of failures is defined by.
            conditions += f" AND j.status <> '{Outcome.OK}'"
    if before is not None:
        conditions += " AND (j.started_at, j.id) < (%(started)s, %(id)s)"
        values |= {"started": before.started_at or "-infinity", "id": before.id}
    cursor.execute(_JOURNAL.format(conditions=conditions), values)
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
    spans = _histories(cursor, vehicles, HOUR_SEC, HOUR_BUCKETS)
    return {
        key: LastHour(
            tuple(bucket.lag for bucket in history),
            sum(bucket.attempts - bucket.ok for bucket in history),
        )
        for key, history in spans.items()
    }


def history(cursor: Cursor, vehicle_id: UUID, seconds: float, buckets: int) -> list[HistoryBucket]:
    """Return a vehicle's last `seconds` in so many buckets, oldest first."""
    return _histories(cursor, [vehicle_id], seconds, buckets)[vehicle_id]


def _histories(
    cursor: Cursor, vehicles: Collection[UUID], seconds: float, buckets: int
) -> dict[UUID, list[HistoryBucket]]:
    keys = [str(vehicle_id) for vehicle_id in vehicles]
    cursor.execute(_NOW_AND_LAGS, (keys,))
    now, lags = cursor.fetchall()[0]
    values: dict[str, Any] = {"ids": keys, "until": now, "length": seconds, "buckets": buckets}
    cursor.execute(_BUCKETS, values)
    counts: dict[str, dict[int, tuple[int, int, int, float]]] = defaultdict(dict)
    for key, bucket, attempts, ok, rows, lag in cursor.fetchall():
        counts[key][bucket] = (attempts, ok, rows, lag or 0.0)
    return {UUID(key): _history(counts[key], lags.get(key), seconds, buckets) for key in keys}


def _history(
    counts: Mapping[int, tuple[int, int, int, float]],
    lag_now: float | None,
    seconds: float,
    buckets: int,
) -> list[HistoryBucket]:
    """Return the buckets of one vehicle.

    In a bucket without an attempt the lag was at least that of the bucket before. It grows with
    time, so the present lag also tells how long it was then.
    """
    span: list[HistoryBucket] = []
    lag = 0.0
    for number in range(buckets):
        attempts, ok, rows, lag = counts.get(number, (0, 0, 0, lag))
        age = (buckets - 1 - number) * seconds / buckets
        grown = 0.0 if lag_now is None else max(0.0, lag_now - age)
        span.append(HistoryBucket(attempts, ok, rows, max(lag, grown)))
    return span
