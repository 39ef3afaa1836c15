"""Read-only queries over channels' values in equal slices of time, whatever the number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.sql_times import epoch

EXACT_ROWS = 100_000
"""Rows that one reading aggregates; channels with more than their share of them are sampled."""
PROBES = 8
"""Places in each slice at which a channel is sampled."""
PROBE_ROWS = 4
"""Rows read at each of them."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = 1_000_000
_ALIGNED_US = 60 * _MICROSECONDS
"""Slices up to this length begin at multiples of it, longer ones at multiples of a probe's part."""
# NaN is greater than every number.
_NUMBER = "value > '-Infinity' AND value < 'Infinity'"
# Not avg(value): it also sums the squares, and a sum above the largest number is an error. The
# division is Python's, which has no error for a quotient that is less than the smallest number.
_LARGE, _LARGE_UNIT = 1e290, 2.0**40
"""Absolute values above the first are summed in this unit."""
_AGGREGATES = f"""count(*), min(value), max(value),
    sum(value) FILTER (WHERE abs(value) <= {_LARGE!r}),
    sum(value / {_LARGE_UNIT!r}) FILTER (WHERE abs(value) > {_LARGE!r}),
    {epoch("min(time)")}, {epoch("max(time)")}"""
_COUNTS = """
SELECT channel, (SELECT count(*) FROM (
    SELECT FROM public.measurements WHERE vehicle_id = %(id)s::uuid AND channel_id = channel
        AND time >= %(start)s AND time < %(end)s LIMIT %(most)s + 1) counted)
FROM unnest(%(channels)s::int[]) channel
"""
_EXACT = f"""
SELECT channel_id, width_bucket(time, (
    SELECT array_agg(%(start)s + slice * %(step)s ORDER BY slice)
    FROM generate_series(0, %(count)s - 1) slice)) - 1 AS slice, {_AGGREGATES}
FROM public.measurements
WHERE vehicle_id = %(id)s::uuid AND channel_id = ANY (%(channels)s::int[])
  AND time >= %(start)s AND time < %(end)s AND {_NUMBER}
GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  made of this file's own text
# Each probe reads the first rows of its part of the slice: all parts of a slice without any value
# are empty.
_SAMPLED = f"""
SELECT channel, probe / {PROBES} AS slice, {_AGGREGATES}
FROM unnest(%(channels)s::int[]) channel,
    generate_series(0, %(count)s * {PROBES} - 1) probe,
    LATERAL (SELECT time, value FROM public.measurements
        WHERE vehicle_id = %(id)s::uuid AND channel_id = channel
          AND time >= %(start)s + probe * %(part)s AND time < %(start)s + (probe + 1) * %(part)s
          AND {_NUMBER}
        ORDER BY time LIMIT {PROBE_ROWS}) rows
GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608  made of this file's own text
OLDEST = f"""
SELECT channel, (SELECT {epoch("time")} FROM public.measurements
    WHERE vehicle_id = %(id)s::uuid AND channel_id = channel AND time > '-infinity'
    ORDER BY time LIMIT 1)
FROM unnest(%(channels)s::int[]) channel
"""  # noqa: S608  made of this file's own text


@dataclass(frozen=True, slots=True)
class Slices:
    """`count` equal slices of time of `step_us` each; microseconds, the first since 1970.

    They begin at multiples of a length, so that values stay in their slices as time goes on.
    """

    start_us: int
    step_us: int
    count: int

    @classmethod
    def until(cls, end: float, seconds: float, count: int) -> "Slices":
        """Return slices over `seconds`, the last of which contains `end` (seconds since 1970)."""
        part = max(1, round(seconds * _MICROSECONDS / count / PROBES))
        step = part * PROBES
        # Long slices would reach far beyond the end.
        grid = step if step <= _ALIGNED_US else part
        last_end = (round(end * _MICROSECONDS) // grid + 1) * grid
        return cls(last_end - count * step, step, count)

    @property
    def start(self) -> float:
        """The start of the first slice, in seconds since 1970."""
        return self.start_us / _MICROSECONDS

    @property
    def end(self) -> float:
        """The end of the last slice, in seconds since 1970."""
        return (self.start_us + self.count * self.step_us) / _MICROSECONDS

    @property
    def step(self) -> float:
        """The length of a slice in seconds."""
        return self.step_us / _MICROSECONDS

    def index(self, at: float) -> int:
        """Return the index of the slice that contains a time; it may lie outside of them."""
        return (round(at * _MICROSECONDS) - self.start_us) // self.step_us

    def time(self, index: int) -> float:
        """Return the start of a slice, in seconds since 1970."""
        return (self.start_us + index * self.step_us) / _MICROSECONDS


@dataclass(frozen=True, slots=True)
class SliceValues:
    """A channel's values in one slice: how many were read, and when the first and the last was."""

    index: int
    count: int
    low: float
    mean: float
    high: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Series:
    """A channel's values in slices, the oldest first; slices without values are left out."""

    channel_id: int
    values: tuple[SliceValues, ...]
    sampled: bool
    """Whether only some rows of each slice were read."""
    oldest: float | None
    """The time of the channel's oldest row, in seconds since 1970; None without any row."""
    resolution: float = 0.0
    """Rows of so many seconds were counted together: `first` and `last` are the ends of those."""


def read_series(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[int], slices: Slices
) -> list[Series]:
    """Return the channels' values in the slices, in the order of the channels."""
    values = arguments(vehicle_id, channels, slices)
    counts = dict(_rows(cursor, _COUNTS, values))
    sampled = [key for key in channels if counts[key] > values["most"]]
    exact = [key for key in channels if key not in sampled]
    found: dict[int, list[SliceValues]] = {key: [] for key in channels}
    for statement, keys in ((_EXACT, exact), (_SAMPLED, sampled)):
        if keys:
            for key, *row in _rows(cursor, statement, {**values, "channels": keys}):
                found[key].append(_slice_values(*row))
    oldest = dict(_rows(cursor, OLDEST, values))
    return [Series(key, tuple(found[key]), key in sampled, oldest[key]) for key in channels]


def read_exactly(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[int], slices: Slices
) -> dict[int, dict[int, float]]:
    """Return each channel's mean values by slice; for short spans only."""
    means: dict[int, dict[int, float]] = {}
    for key, *row in _rows(cursor, _EXACT, arguments(vehicle_id, channels, slices)):
        values = _slice_values(*row)
        means.setdefault(key, {})[values.index] = values.mean
    return means


def _slice_values(
    index: int,
    count: int,
    low: float,
    high: float,
    total: float | None,
    large: float | None,
    first: float,
    last: float,
) -> SliceValues:
    """Return a slice of a row of _AGGREGATES: the sums of its ordinary and of its large values."""
    mean = (total or 0.0) / count + (large or 0.0) / count * _LARGE_UNIT
    return SliceValues(index, count, low, min(high, max(low, mean)), high, first, last)


def arguments(vehicle_id: UUID, channels: Sequence[int], slices: Slices) -> dict[str, Any]:
    """Return the arguments of statements over slices."""
    start = _EPOCH + timedelta(microseconds=slices.start_us)
    step = timedelta(microseconds=slices.step_us)
    return {
        "id": str(vehicle_id),
        "channels": list(channels),
        "start": start,
        "step": step,
        "part": step / PROBES,
        "count": slices.count,
        "end": start + slices.count * step,
        "most": EXACT_ROWS // max(1, len(channels)),
    }


def _rows(cursor: Cursor, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    cursor.execute(statement, values)
    return cursor.fetchall()
