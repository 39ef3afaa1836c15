"""Estimates before an action: the rows of vehicles to be removed, the work of a backfill."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fleetsyncd.database.cluster import is_distributed
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.planned_rows import (
    planned,
    planned_on_workers,
    unknown_on_workers,
)
from fleetsyncd.remarks import IS_OF_A_CYCLE, LEAVES_GAP
from fleetsyncd.reports import Outcome

EXACT_UP_TO = 1_000_000
"""Measurements are counted up to here; above it the planner's estimate is used."""
DOUBTFUL_SHARE = 0.1
"""An estimate is none if so much of it may be in partitions without statistics."""
TABLE_ROWS = """
coalesce(CASE WHEN c.reltuples >= 0 AND c.relpages > 0
    THEN c.reltuples * (s.row_bytes / current_setting('block_size')::integer) / c.relpages
    ELSE s.row_bytes / 68 END, 0)::bigint
""".strip()
"""SQL for the rows of a table `c` of pg_class with the bytes `s`, see TABLE_BYTES.

Of one that was never analysed, or is on the workers of a cluster, 68 bytes a row.
"""
TABLE_BYTES = "CROSS JOIN LATERAL fleetsync.part_bytes(c.oid) s"
"""SQL that finds the bytes `s` of a table `c` of pg_class, wherever its rows are."""
_COUNTED = """
SELECT (SELECT count(*) FROM public.sync_journal WHERE vehicle_id = ANY (%(ids)s::uuid[])),
    (SELECT count(*) FROM public.alarms_log WHERE vehicle_id = ANY (%(ids)s::uuid[]))
        + (SELECT count(*) FROM fleetsync.replaced_alarm WHERE vehicle_id = ANY (%(ids)s::uuid[])),
    (SELECT count(*) FROM public.channel_config WHERE vehicle_id = ANY (%(ids)s::uuid[]))
"""
_MEASUREMENTS = """
SELECT FROM public.measurements WHERE vehicle_id = ANY (%(ids)s::uuid[]) AND time >= %(since)s
"""
_COUNT_SOME = f"SELECT count(*) FROM ({_MEASUREMENTS} LIMIT %(exact)s) counted"  # noqa: S608  constants
# To compile a plan over thousands of chunks takes a minute, and to run it a second.
_UNCOMPILED = "SELECT set_config('jit', 'off', true); "
_ALL_MEASUREMENTS = "SELECT FROM public.measurements"
# A partition that has grown since it was analysed counts with its size of now; one that never was,
# with 68 bytes a row.
_TOTAL = """
SELECT coalesce(sum(reltuples * blocks / relpages) FILTER (WHERE is_analysed), 0)::float8,
    coalesce(sum(bytes / 68) FILTER (WHERE NOT is_analysed), 0)::float8
FROM (
    SELECT reltuples, relpages, reltuples > 0 AND relpages > 0 AS is_analysed,
        coalesce(pg_relation_size(oid), 0) AS bytes,
        coalesce(pg_relation_size(oid), 0) / current_setting('block_size')::integer AS blocks
    FROM pg_class
    WHERE oid = 'public.measurements'::regclass AND relkind = 'r'
       OR oid IN (SELECT relid FROM pg_partition_tree('public.measurements') WHERE isleaf)
       OR relkind = 'r' AND oid IN (
           SELECT inhrelid FROM pg_inherits WHERE inhparent = 'public.measurements'::regclass)
    UNION ALL SELECT row_count, 1, true, 0, 1 FROM fleetsync.hidden_parts()
) tables
"""
# From one good cycle to the next, all that was measured was also written, by failed cycles too;
# unless the next one has left a gap, which is pulled beside the cycles.
_RATE = f"""
SELECT avg(rate)::float8 FROM (
    SELECT sum(rows) / extract(epoch FROM sum(ended - begun)) AS rate
    FROM (
        SELECT vehicle_id, rows, leaves_gap, ended,
            lag(ended) OVER (PARTITION BY vehicle_id ORDER BY number) AS begun
        FROM (
            SELECT vehicle_id, number, sum(rows_written) AS rows, bool_or(leaves_gap) AS leaves_gap,
                max(started_at) FILTER (WHERE is_good) AS ended
            FROM (
                SELECT vehicle_id, rows_written, started_at, status = '{Outcome.OK}' AS is_good,
                    coalesce(error_msg, '') LIKE '%%{LEAVES_GAP}%%' AS leaves_gap,
                    count(*) FILTER (WHERE status = '{Outcome.OK}') OVER (
                        PARTITION BY vehicle_id ORDER BY started_at
                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS number
                FROM public.sync_journal
                WHERE vehicle_id = ANY (%(ids)s::uuid[])
                  AND started_at > now() - %(hours)s * interval '1 hour' AND started_at <= now()
                  AND {IS_OF_A_CYCLE}
            ) cycles GROUP BY vehicle_id, number
        ) ends
    ) pairs
    WHERE begun < ended AND NOT leaves_gap
    GROUP BY vehicle_id
) rates
"""  # noqa: S608  made of this file's own text
_RATE_HOURS = (1, 24)
"""The rate is that of the last hour; of vehicles that were not pulled in it, that of the day."""
_RATE_VEHICLES = 200
"""The average rate of more vehicles is that of so many of them."""
_SPEED = """
SELECT avg(speed)::float8 FROM (
    SELECT extract(epoch FROM reached_at - from_at) / busy_sec AS speed
    FROM fleetsync.backfill WHERE busy_sec > 0 AND reached_at > from_at
    UNION ALL
    SELECT extract(epoch FROM v.last_sync_at - s.catching_up_from) / s.catching_up_sec
    FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
    WHERE s.catching_up_sec > 0 AND v.last_sync_at > s.catching_up_from
      AND isfinite(v.last_sync_at)
) known
"""


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows; if it is not exact, an estimate, or the least that there are."""

    rows: int
    exact: bool = True
    at_least: bool = False

    @property
    def text(self) -> str:
        """The number as text."""
        if self.exact:
            return f"{self.rows:,}"
        return f"at least {self.rows:,}" if self.at_least else f"about {self.rows:,}"


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows belong to some vehicles."""

    journal: int
    alarms: int
    channels: int
    measurements: Count

    @property
    def measurements_text(self) -> str:
        """The number of measurements as text."""
        return self.measurements.text


@dataclass(frozen=True, slots=True)
class PullRate:
    """Rows that a vehicle measures a second, and seconds of a gap that are pulled a second.

    None where nothing is known.
    """

    rows_per_second: float | None
    speed: float | None


def count_rows(cursor: Cursor, ids: Sequence[UUID]) -> RowCounts:
    """Count the vehicles' rows; a large number of measurements is estimated."""
    keys = [str(vehicle_id) for vehicle_id in ids]
    cursor.execute(_COUNTED, {"ids": keys})
    journal, alarms, channels = cursor.fetchall()[0]
    measurements = count_measurements(cursor, ids, EXACT_UP_TO)
    return RowCounts(journal, alarms, channels, measurements)


def count_measurements(
    cursor: Cursor, ids: Sequence[UUID], exact_up_to: int, since: str = "-infinity"
) -> Count:
    """Count the vehicles' measurements from `since` on.

    From `exact_up_to` on it is an estimate, or where statistics are missing the least.
    """
    values = {"ids": [str(key) for key in ids], "exact": exact_up_to, "since": since}
    count = _count_some(cursor, values)
    if count < exact_up_to:
        return Count(count)
    expected, others = _estimated(cursor, values)
    estimate = round(expected)
    if estimate < exact_up_to or others > estimate * DOUBTFUL_SHARE:
        return Count(exact_up_to, exact=False, at_least=True)
    return Count(estimate, exact=False)


def _count_some(cursor: Cursor, values: dict[str, Any]) -> int:
    """Count rows up to a limit."""
    if not is_distributed(cursor):
        cursor.execute(_UNCOMPILED + _COUNT_SOME, values)
        return int(cursor.fetchall()[0][0])
    # Of several shards at once the coordinator would be sent every row.
    count = 0
    for key in values["ids"]:
        if count < values["exact"]:
            left = {"ids": [key], "exact": values["exact"] - count}
            cursor.execute(_COUNT_SOME, {**values, **left})
            count += int(cursor.fetchall()[0][0])
    return count


def _estimated(cursor: Cursor, values: dict[str, Any]) -> tuple[float, float]:
    """Return an estimate, and how many rows there may be of which no statistics are known."""
    if is_distributed(cursor):
        return planned_on_workers(cursor, _MEASUREMENTS, values), unknown_on_workers(cursor)
    # The planner takes the policies of row level security for filters, and expects too few rows of
    # every query by the same factor.
    share = planned(cursor, _MEASUREMENTS, values) / planned(cursor, _ALL_MEASUREMENTS)
    cursor.execute(_TOTAL)
    analysed, others = cursor.fetchall()[0]
    return (analysed + others) * share, others


def pull_rate(cursor: Cursor, ids: Sequence[UUID]) -> PullRate:
    """Return the vehicles' average rate of rows, and the average speed at which gaps are pulled.

    The rate is None if no vehicle had two good cycles lately.
    """
    rate = None
    for hours in _RATE_HOURS:
        rate = rate or _rate(cursor, ids, hours)
    cursor.execute(_SPEED)
    return PullRate(rate, cursor.fetchall()[0][0])


def _rate(cursor: Cursor, ids: Sequence[UUID], hours: int) -> float | None:
    """Return the average rate of the vehicles whose rate is known, in rows a second."""
    some = ids[:: -(-len(ids) // _RATE_VEHICLES) or 1]
    cursor.execute(_RATE, {"ids": [str(key) for key in some], "hours": hours})
    rate: float | None = cursor.fetchall()[0][0]
    return rate
