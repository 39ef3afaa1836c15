"""Read-only queries over a vehicle's sync attempts in equal slices of time.

Where nothing is known, because nobody tried, a lag is None and not 0.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.sql_times import LIVE_TO, epoch
from fleetsyncd.remarks import IS_OF_A_CYCLE
from fleetsyncd.reports import Outcome
from fleetsyncd.states import LATE_AFTER_INTERVALS

EARLIER_ATTEMPTS = 30
"""Attempts before a span among which the last good one is looked for."""
_IS_GOOD = f"status = '{Outcome.OK}' AND {IS_OF_A_CYCLE}"
_TIMES = f"""
SELECT v.id::text, {epoch(LIVE_TO)}, {epoch("v.created_at")}, extract(epoch FROM now())::float8
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
WHERE v.id = ANY (%s::uuid[])
"""  # noqa: S608  made of this file's own text
_EARLIER = f"""
SELECT key::text, max(at) FILTER (WHERE is_good), min(at), max(at), count(*)
FROM unnest(%(ids)s::uuid[]) key, LATERAL (
    SELECT {epoch("started_at")} AS at, {_IS_GOOD} AS is_good
    FROM public.sync_journal WHERE vehicle_id = key AND started_at < to_timestamp(%(start)s)
    ORDER BY started_at DESC LIMIT {EARLIER_ATTEMPTS}) earlier
GROUP BY key
"""  # noqa: S608  made of this file's own text
# The lag of a vehicle when an attempt ended: the time since the last good attempt before it began.
_ATTEMPTS = f"""
SELECT vehicle_id, status, rows_written, {epoch("started_at")} AS started,
    {epoch("finished_at")} AS finished, {_IS_GOOD} AS is_good,
    width_bucket({epoch("started_at")}, %(start)s::float8, %(end)s::float8, %(slices)s) - 1
        AS slice,
    extract(epoch FROM finished_at - max(started_at) FILTER (WHERE {_IS_GOOD}) OVER (
        PARTITION BY vehicle_id ORDER BY started_at
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))::float8 AS lag
FROM public.sync_journal
WHERE vehicle_id = ANY (%(ids)s::uuid[]) AND started_at >= to_timestamp(%(start)s)
  AND started_at < to_timestamp(%(end)s) AND isfinite(finished_at)
"""  # noqa: S608  made of this file's own text
_SLICES = f"""
SELECT vehicle_id::text, slice, count(*), count(*) FILTER (WHERE status = '{Outcome.OK}'),
    coalesce(sum(rows_written), 0)::bigint, max(lag), min(finished) FILTER (WHERE is_good),
    max(started) FILTER (WHERE is_good), min(started), max(started),
    (array_agg(rows_written ORDER BY started))[1]
FROM ({_ATTEMPTS}) attempts GROUP BY 1, 2
"""  # noqa: S608  made of this file's own text
_SLICE = (
    "width_bucket(extract(epoch FROM {})::float8, %(start)s::float8, %(end)s::float8, %(slices)s)"
)
# An attempt takes every slice between its beginning and its end, as in the strip of hours.
_OUTCOMES = f"""
SELECT slice, count(*), count(*) FILTER (WHERE status = '{Outcome.OK}'),
    count(*) FILTER (WHERE slice = first),
    count(*) FILTER (WHERE slice = first AND status = '{Outcome.OK}')
FROM (
    SELECT status, greatest(0, {_SLICE.format("started_at")} - 1) AS first,
        least(%(slices)s, {_SLICE.format("finished_at")}) - 1 AS last
    FROM (
        SELECT status, started_at, finished_at FROM public.sync_journal
        WHERE vehicle_id = %(id)s::uuid AND started_at >= to_timestamp(%(start)s)
          AND started_at < to_timestamp(%(end)s)
        UNION ALL
        SELECT * FROM (
            SELECT status, started_at, finished_at FROM public.sync_journal
            WHERE vehicle_id = %(id)s::uuid AND started_at < to_timestamp(%(start)s)
            ORDER BY started_at DESC LIMIT {EARLIER_ATTEMPTS}) earlier
        WHERE finished_at >= to_timestamp(%(start)s)
    ) attempts
    WHERE isfinite(finished_at) AND isfinite(started_at)
) taken
CROSS JOIN LATERAL generate_series(first, greatest(first, last)) slice
GROUP BY slice
"""  # noqa: S608  made of this file's own text


class _Times(NamedTuple):
    """A vehicle's present watermark and its registration; in seconds since 1970."""

    synced: float | None
    created: float | None
    now: float

    def lag_at(self, at: float) -> float | None:
        """Return how far the watermark was behind at a time, at least; None if that is not known.

        It never moves back, so the present one is not older than any before.
        """
        if self.synced is None or at <= self.synced or at <= (self.created or 0):
            return None
        return at - self.synced


class _Attempts(NamedTuple):
    """The attempts of one slice; times in seconds since 1970."""

    attempts: int
    ok: int
    rows: int
    lag: float | None
    """The longest lag at the end of an attempt."""
    first_good_end: float | None
    last_good_start: float | None
    first_start: float
    last_start: float
    first_rows: int


class _Earlier(NamedTuple):
    """What is known of the time before a span; in seconds since 1970."""

    good: float | None = None
    """When the last good attempt began; None if it is not among the last ones."""
    oldest: float | None = None
    """When the oldest of the last attempts began."""
    newest: float | None = None
    attempts: int = 0

    @property
    def behind_since(self) -> float | None:
        """From when on the vehicle was behind, at the latest, when the span began."""
        return self.oldest if self.good is None else self.good

    def just_before(self, first: float) -> float | None:
        """Return when the last attempt began, if the `first` of the span followed as usual.

        After a pause it does not: what was measured meanwhile may be pulled at any time.
        """
        if self.oldest is None or self.newest is None or self.attempts <= 1:
            return None
        usual = (self.newest - self.oldest) / (self.attempts - 1)
        return self.newest if first - self.newest <= LATE_AFTER_INTERVALS * usual else None


@dataclass(frozen=True, slots=True)
class HistoryBucket:
    """One slice of a history: the attempts that began in it, and its longest lag in seconds.

    Without an attempt the lag grows; it is None as long as nothing is known about it.
    """

    attempts: int
    ok: int
    rows: int
    lag: float | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many attempts there were, and how many of them ended well."""

    attempts: int = 0
    ok: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """A vehicle's attempts from `start` to `end`, seconds since 1970, the oldest slice first."""

    start: float
    end: float
    buckets: tuple[HistoryBucket, ...]
    rows_per_second: float | None
    """Over the time that was observed; None before the second attempt."""
    outcomes: tuple[Outcomes, ...] = ()
    """Of each slice the attempts that took it or a part of it, if they were asked for."""
    all_outcomes: Outcomes = Outcomes()
    """The same of the whole span: an attempt that took several slices counts once."""


def read_history(cursor: Cursor, vehicle_id: UUID, seconds: float, slices: int) -> History:
    """Return the last `seconds` of a vehicle in so many slices, with the outcomes of each."""
    history = read_histories(cursor, [vehicle_id], seconds, slices)[vehicle_id]
    cursor.execute(
        _OUTCOMES,
        {"id": str(vehicle_id), "start": history.start, "end": history.end, "slices": slices},
    )
    rows = cursor.fetchall()
    by_slice = {number: Outcomes(attempts, ok) for number, attempts, ok, *_ in rows}
    return replace(
        history,
        outcomes=tuple(by_slice.get(number, Outcomes()) for number in range(slices)),
        all_outcomes=Outcomes(sum(row[3] for row in rows), sum(row[4] for row in rows)),
    )


def read_histories(
    cursor: Cursor, vehicles: Collection[UUID], seconds: float, slices: int
) -> dict[UUID, History]:
    """Return the last `seconds` of each vehicle in so many slices; removed vehicles are empty."""
    keys = [str(vehicle_id) for vehicle_id in vehicles]
    cursor.execute(_TIMES, (keys,))
    times = {row[0]: _Times(*row[1:]) for row in cursor.fetchall()}
    end = next((each.now for each in times.values()), 0.0)
    values: dict[str, Any] = {"ids": keys, "start": end - seconds, "end": end, "slices": slices}
    cursor.execute(_EARLIER, values)
    earlier = {row[0]: _Earlier(*row[1:]) for row in cursor.fetchall()}
    cursor.execute(_SLICES, values)
    found: dict[str, dict[int, _Attempts]] = defaultdict(dict)
    for key, number, *row in cursor.fetchall():
        found[key][number] = _Attempts(*row)
    return {
        UUID(key): _history(found[key], earlier.get(key, _Earlier()), times.get(key), values)
        for key in keys
    }


def _history(
    found: Mapping[int, _Attempts],
    earlier: _Earlier,
    times: _Times | None,
    values: Mapping[str, Any],
) -> History:
    start, end, slices = values["start"], values["end"], values["slices"]
    ends = [start + (end - start) * (number + 1) / slices for number in range(slices)]
    attempts = [found.get(number) for number in range(slices)]
    lags = _lags(attempts, ends, earlier.behind_since, times)
    buckets = tuple(
        HistoryBucket(0, 0, 0, lag) if each is None else HistoryBucket(*each[:3], lag)
        for each, lag in zip(attempts, lags, strict=True)
    )
    return History(start, end, buckets, _rate(attempts, earlier))


def _lags(
    attempts: Sequence[_Attempts | None],
    ends: Sequence[float],
    behind_since: float | None,
    times: _Times | None,
) -> Iterator[float | None]:
    """Yield the longest lag that is known of each slice."""
    for each, end in zip(attempts, ends, strict=True):
        known = [] if each is None or each.lag is None else [each.lag]
        if behind_since is not None:
            first_good = end if each is None else each.first_good_end or end
            known.append(first_good - behind_since)
        if each is not None and each.last_good_start is not None:
            behind_since = each.last_good_start
            known.append(end - behind_since)
        if times is not None and (lag := times.lag_at(end)) is not None:
            known.append(lag)
        yield max(known, default=None)


def _rate(attempts: Sequence[_Attempts | None], earlier: _Earlier) -> float | None:
    """Return the rows a second between the first attempt that is known and the last one.

    What the first one wrote was measured before it, unless one just before the span is known.
    """
    tried = [each for each in attempts if each is not None]
    if not tried:
        return None
    rows = sum(each.rows for each in tried)
    since = earlier.just_before(tried[0].first_start)
    if since is None:
        since, rows = tried[0].first_start, rows - tried[0].first_rows
    observed = tried[-1].last_start - since
    return rows / observed if observed > 0 else None
