"""The fleet as operators look at it: one row per vehicle, every age by the database's clock."""

from functools import lru_cache
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.states import GapProgress, VehicleOverview, derive_state
from fleetsyncd.text import clean

ERROR_LIMIT = 300
NAME_LIMIT = 200


def _age(column: str) -> str:
    """Return SQL for a column's age in seconds; other services may have written infinity there."""
    return f"CASE WHEN isfinite({column}) THEN extract(epoch FROM now() - {column})::float8 END"


def _seconds(start: str, end: str) -> str:
    finite = f"isfinite({start}) AND isfinite({end})"
    return f"CASE WHEN {finite} THEN extract(epoch FROM {end} - {start})::float8 END"


# Everything here is a constant of this file.
_OVERVIEW = f"""
SELECT v.id::text, coalesce(v.name, v.id::text), coalesce(host(v.vpn_ip), '?'),
    coalesce(v.api_port, 8001), coalesce(v.sync_status, 'unknown'), v.software_version,
    {_age("v.last_seen_at")}, {_age("v.last_sync_at")}, {_age("s.newest_measurement_at")},
    coalesce(s.paused, false), coalesce(s.failures, 0), s.last_rows,
    left(s.last_error, {ERROR_LIMIT}),
    {_seconds("s.catching_up_from", "s.catching_up_to")},
    {_seconds("s.catching_up_from", "v.last_sync_at")}, s.catching_up_sec, s.catching_up_rows,
    {_seconds("b.from_at", "b.to_at")}, {_seconds("b.from_at", "b.reached_at")},
    b.busy_sec, b.rows_added
FROM public.vehicles v
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
LEFT JOIN fleetsync.backfill b ON b.vehicle_id = v.id AND b.finished_at IS NULL
ORDER BY lower(coalesce(v.name, v.id::text)) COLLATE "C", v.id
"""  # noqa: S608
_INTERVAL = """
SELECT interval_sec FROM fleetsync.replica ORDER BY beat_at DESC LIMIT 1
"""


def overview(cursor: Cursor, default_interval: float) -> list[VehicleOverview]:
    """Return every vehicle, ordered by name; the daemon's own interval decides what is late."""
    cursor.execute(_INTERVAL)
    row = cursor.fetchone()
    interval = default_interval if row is None else float(row[0])
    cursor.execute(_OVERVIEW)
    return [_vehicle(row, interval) for row in cursor.fetchall()]


def with_own_key(cursor: Cursor) -> set[UUID]:
    """Return the vehicles that have an API key of their own."""
    cursor.execute("SELECT id::text FROM public.vehicles WHERE coalesce(api_key, '') <> ''")
    return {UUID(row[0]) for row in cursor.fetchall()}


@lru_cache(maxsize=1 << 16)
def _id(key: str) -> UUID:
    """Return the id; the same vehicles come with every look at the fleet."""
    return UUID(key)


def _vehicle(row: tuple[Any, ...], interval: float) -> VehicleOverview:
    (key, name, host, port, status, version, seen, lag, data, paused, failures, rows, error,
     *gaps) = row  # fmt: skip
    catching_up = None if gaps[0] is None else _progress(*gaps[:4])
    backfill = None if gaps[4] is None else _progress(*gaps[4:])
    state = derive_state(
        paused=paused,
        status=status,
        seen_age=seen,
        lag=lag,
        catching_up=catching_up is not None,
        interval=interval,
    )
    return VehicleOverview(
        id=_id(key),
        name=clean(name, NAME_LIMIT),
        address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        state=state,
        software_version=None if version is None else clean(version, NAME_LIMIT),
        seen_age=seen,
        lag=lag,
        data_age=data,
        rows=rows,
        failures=failures,
        catching_up=catching_up,
        backfill=backfill,
        last_error=None if error is None else clean(error, ERROR_LIMIT),
    )


def _progress(
    whole: float | None, done: float | None, took: float | None, rows: int | None
) -> GapProgress | None:
    if not whole or done is None:
        return None
    fraction = min(1.0, max(0.0, done / whole))
    if not took or fraction == 0:
        return GapProgress(fraction, None, None)
    return GapProgress(fraction, (rows or 0) / took, took * (1 - fraction) / fraction)
