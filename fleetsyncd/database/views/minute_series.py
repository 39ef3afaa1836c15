"""Read-only queries over channels' values in long slices of time, from their minute aggregates."""

from collections.abc import Sequence
from datetime import timedelta
from math import inf
from typing import Any
from uuid import UUID

from fleetsyncd.database.cluster import value_of
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.series import (
    EXACT_ROWS,
    OLDEST,
    Series,
    Slices,
    SliceValues,
    arguments,
    read_series,
)
from fleetsyncd.database.views.sql_times import epoch

LEAST_SPAN_SEC, LEAST_STEP_SEC = 4 * 3600.0, 60.0
"""Shorter spans, and shorter slices, are read from the rows themselves."""
MOST_MINUTES, MOST_WITHOUT_ROWS = 600_000, 6_000_000
"""Minutes that one reading aggregates: a year of one channel; of ten, where the rows are gone."""
_MINUTE = timedelta(minutes=1)
_MAY_READ = """
SELECT bool_and(coalesce(has_table_privilege(to_regclass(name), 'SELECT'), false))
FROM unnest(ARRAY['public.measurements_minute', 'fleetsync.minute_state',
                  'fleetsync.minute_due']) name
"""
_IS_KEPT = """
SELECT coalesce(bool_or(part.is_kept), false)
FROM fleetsync.minute_parts(%(id)s::uuid, %(start)s, %(end)s) part
"""
# What the minutes leave to be read from the rows: usually some minutes at the end.
_PARTS_LEFT = """
SELECT coalesce(array_agg(tstzrange(part.begins, part.ends)), '{}')::text
FROM fleetsync.minute_parts(%(id)s::uuid, %(start)s, %(end)s) part WHERE NOT part.is_kept
"""
_ROWS_LEFT = """
SELECT coalesce(sum((SELECT count(*) FROM (
    SELECT FROM public.measurements WHERE vehicle_id = %(id)s::uuid AND channel_id = channel
        AND time >= lower(part) AND time < upper(part) LIMIT %(most)s + 1) counted)), 0)::bigint
FROM unnest({parts}::tstzrange[]) part,
    unnest(%(channels)s::int[]) channel
"""
# A minute lies in the slice in which it begins. It ends where the next one begins, so that there is
# no gap between them.
_SLICES = f"""
SELECT channel_id, width_bucket(minute, (
    SELECT array_agg(%(start)s + slice * %(step)s ORDER BY slice)
    FROM generate_series(0, %(count)s - 1) slice)) - 1 AS slice,
    sum(count)::bigint, min(min), max(max), CASE WHEN bool_and(sum IS NOT NULL) THEN sum(sum) END,
    {epoch("min(minute)")}, {epoch("max(minute)")}
FROM fleetsync.minute_values(%(id)s::uuid, %(channels)s::int[], %(start)s, %(end)s)
GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  made of this file's own text
_OLDEST = f"""
SELECT channel, (SELECT {epoch("minute")} FROM public.measurements_minute
    WHERE vehicle_id = %(id)s::uuid AND channel_id = channel ORDER BY minute LIMIT 1)
FROM unnest(%(channels)s::int[]) channel
"""  # noqa: S608  made of this file's own text


def read_channels(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[int], slices: Slices
) -> list[Series]:
    """Return the channels' values in the slices, in the order of the channels.

    From minutes if the span is long, or if its rows were dropped and minutes are left.
    """
    asked = cursor, vehicle_id, channels, slices
    if (series := read_minutes(*asked)) is not None:
        return series
    series = read_series(*asked)
    if _reach_further_back(cursor, vehicle_id, slices, series):
        return read_minutes(*asked, has_rows=False) or series
    return series


def _reach_further_back(
    cursor: Cursor, vehicle_id: UUID, slices: Slices, read: Sequence[Series]
) -> bool:
    """Tell whether minutes of a channel are left from before its oldest row, which is too young."""
    cut = {
        each.channel_id: each.oldest or inf for each in read if (each.oldest or inf) > slices.start
    }
    values = arguments(vehicle_id, list(cut), slices)
    if not cut or not _one(cursor, _MAY_READ, values):
        return False
    return any(
        minute is not None and minute + _MINUTE.total_seconds() < min(cut[key], slices.end)
        for key, minute in _rows(cursor, _OLDEST, values)
    )


def read_minutes(
    cursor: Cursor,
    vehicle_id: UUID,
    channels: Sequence[int],
    slices: Slices,
    *,
    has_rows: bool = True,
) -> list[Series] | None:
    """Return the channels' values in the slices, in the order of the channels.

    None if the rows themselves are to be read: for short spans unless their rows are gone, while
    many minutes are to be computed, if none are kept, or if the role may not read them.
    """
    span = slices.end - slices.start
    if has_rows and (span < LEAST_SPAN_SEC or slices.step < LEAST_STEP_SEC):
        return None
    most = MOST_MINUTES if has_rows else MOST_WITHOUT_ROWS
    if span / _MINUTE.total_seconds() * len(channels) > most:
        return None
    values = {**arguments(vehicle_id, channels, slices), "most": EXACT_ROWS}
    if not _one(cursor, _MAY_READ, values) or not _one(cursor, _IS_KEPT, values):
        return None
    parts = value_of(cursor, _PARTS_LEFT, values)
    if _one(cursor, _ROWS_LEFT.format(parts=parts), values) > EXACT_ROWS:
        return None
    found: dict[int, list[SliceValues]] = {key: [] for key in channels}
    for key, *row in _rows(cursor, _SLICES, values):
        found[key].append(_slice_values(*row))
    oldest = _oldest(cursor, values)
    return [
        Series(key, tuple(found[key]), False, oldest[key], _MINUTE.total_seconds())
        for key in channels
    ]


def _slice_values(
    index: int, count: int, low: float, high: float, total: float | None, first: float, last: float
) -> SliceValues:
    """Return a slice; without a sum, which huge values have not, the mean is the middle."""
    mean = low / 2 + high / 2 if total is None else min(high, max(low, total / count))
    return SliceValues(index, count, low, mean, high, first, last + _MINUTE.total_seconds())


def _oldest(cursor: Cursor, values: dict[str, Any]) -> dict[int, float | None]:
    """Return the time of each channel's oldest row or minute: either may be dropped earlier."""
    oldest: dict[int, float | None] = dict(_rows(cursor, OLDEST, values))
    for key, minute in _rows(cursor, _OLDEST, values):
        known = [at for at in (oldest[key], minute) if at is not None]
        oldest[key] = min(known, default=None)
    return oldest


def _one(cursor: Cursor, statement: str, values: dict[str, Any]) -> Any:
    return _rows(cursor, statement, values)[0][0]


def _rows(cursor: Cursor, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    cursor.execute(statement, values)
    return cursor.fetchall()
