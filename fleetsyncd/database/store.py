"""The statements of the sync cycle, each a function taking a cursor of `Database.run`.

None commits, and each may run twice in a row with the result of once: a commit whose answer was
lost is repeated. Measurements have a module of their own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database import statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.errors import VehicleRemoved, WatermarkMoved
from fleetsyncd.models import (
    Alarm,
    BadRow,
    Channel,
    CycleReport,
    JournalRow,
    Vehicle,
    Window,
)
from fleetsyncd.text import sanitise

OPEN_ALARM_REACH = timedelta(days=7)
NAME_LIMIT = 200
QUARANTINE_PER_VEHICLE = 10_000


@dataclass(frozen=True, slots=True)
class WatermarkUpdate:
    """What a committed window says about its vehicle."""

    vehicle_id: UUID
    known: datetime | None
    """The watermark this cycle has seen or set last."""
    watermark: datetime
    newest: datetime | None
    clock_skew: timedelta
    software_version: str
    pulled_from: datetime
    """Where this cycle's pull began: what lies between there and `watermark` is stored."""
    gap: Window | None
    """The whole pull while something of it is still to come, else None."""
    gap_took: timedelta = timedelta(0)
    """How long the pull has taken so far."""
    gap_rows: int = 0
    """Rows that the pull has added so far."""


def load_vehicles(
    cursor: Cursor, only: Collection[UUID] | None = None, shards: Collection[int] | None = None
) -> list[Vehicle]:
    """Return the fleet, or some of it, with what the next cycle needs to know of each vehicle."""
    conditions, arguments = in_shards("v.id", shards)
    if only is not None:
        conditions += " AND v.id = ANY (%s::uuid[])"
        arguments.append([str(vehicle_id) for vehicle_id in only])
    statement = statements.VEHICLES.format(conditions=conditions)
    cursor.execute(statement, (OPEN_ALARM_REACH, *arguments))
    return [_vehicle(*row) for row in cursor.fetchall()]


def _vehicle(key: str, name: str, *columns: Any) -> Vehicle:
    *known, skew_ms, failures, newest = columns
    skew = timedelta(milliseconds=skew_ms)
    values = (UUID(key), sanitise(name, NAME_LIMIT), *known, skew, failures, newest)
    return Vehicle(*values)


def take_sync_requests(
    cursor: Cursor, busy: Collection[UUID], shards: Collection[int] | None = None
) -> set[UUID]:
    """Return the vehicles that an operator wants synced now, and count them as taken.

    The wish for a `busy` one stays: what it is pulling may have begun before the wish.
    """
    conditions, arguments = in_shards("vehicle_id", shards)
    cursor.execute(
        statements.TAKE_REQUESTS.format(conditions=conditions),
        ([str(vehicle_id) for vehicle_id in busy], *arguments),
    )
    return {UUID(row[0]) for row in cursor.fetchall()}


def paused_vehicles(cursor: Cursor) -> set[UUID]:
    """Return the vehicles that an operator has paused."""
    cursor.execute("SELECT vehicle_id::text FROM fleetsync.vehicle_state WHERE paused")
    return {UUID(row[0]) for row in cursor.fetchall()}


def lock_vehicle(cursor: Cursor, vehicle_id: UUID) -> None:
    """Keep the vehicle's row from being removed until commit; raise VehicleGone if it was."""
    cursor.execute(
        "SELECT 1 FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE", (str(vehicle_id),)
    )
    if cursor.fetchone() is None:
        raise VehicleRemoved("the vehicle was removed, or row level security hides it")


def advance_watermark(cursor: Cursor, step: WatermarkUpdate) -> None:
    """Move the watermark forward to what is now stored; raise WatermarkMoved or VehicleGone.

    The watermark never moves backwards here, and it moves only if the stored one is still where
    this cycle found it, or inside or behind what it has pulled since: otherwise rows between the
    two could be skipped.
    """
    cursor.execute(
        statements.ADVANCE,
        {
            "id": str(step.vehicle_id),
            "known": step.known,
            "watermark": step.watermark,
            "newest": step.newest,
            "skew": round(step.clock_skew / timedelta(milliseconds=1)),
            "version": step.software_version,
            "pulled_from": step.pulled_from,
            "gap_start": step.gap and step.gap.start,
            "gap_end": step.gap and step.gap.end,
            "gap_sec": step.gap and step.gap_took.total_seconds(),
            "gap_rows": step.gap and step.gap_rows,
        },
    )
    if cursor.rowcount != 1:
        lock_vehicle(cursor, step.vehicle_id)
        raise WatermarkMoved("last_sync_at was set back meanwhile: the next cycle starts from it")


def save_channels(cursor: Cursor, vehicle_id: UUID, channels: Sequence[Channel]) -> int:
    """Write the channels that differ from what is stored; return how many did."""
    cursor.execute(
        statements.CHANNELS,
        (
            str(vehicle_id),
            [channel.channel_id for channel in channels],
            [channel.name for channel in channels],
            [channel.unit for channel in channels],
            [channel.min_value for channel in channels],
            [channel.max_value for channel in channels],
        ),
    )
    return cursor.rowcount


def save_alarms(cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]) -> int:
    """Store alarms and resolutions that are news; return how many were."""
    cursor.execute(
        statements.ALARMS,
        (
            str(vehicle_id),
            [alarm.alarm_id for alarm in alarms],
            [alarm.channel_id for alarm in alarms],
            [alarm.severity for alarm in alarms],
            [alarm.message for alarm in alarms],
            [alarm.triggered_at for alarm in alarms],
            [alarm.resolved_at for alarm in alarms],
        ),
    )
    return cursor.rowcount


def quarantine_rows(cursor: Cursor, vehicle_id: UUID, bad: Sequence[BadRow]) -> bool:
    """Put bad rows into the quarantine, each once; False if its bound per vehicle keeps some out.

    Adds nothing if the vehicle was removed, which `advance` then reports.
    """
    kept = bad[:QUARANTINE_PER_VEHICLE]
    cursor.execute(
        statements.QUARANTINE,
        (
            str(vehicle_id),
            [row.call for row in kept],
            [row.raw for row in kept],
            [row.reason for row in kept],
            QUARANTINE_PER_VEHICLE,
        ),
    )
    row = cursor.fetchone()
    return row is None or int(row[0]) + len(bad) - len(kept) == 0


def count_quarantined(cursor: Cursor) -> int:
    """Return how many rows are in the quarantine."""
    cursor.execute("SELECT count(*) FROM fleetsync.quarantine")
    return int(cursor.fetchall()[0][0])


def journal(cursor: Cursor, report: CycleReport) -> None:
    """Write the cycle's journal row and the vehicle's count of failures; raise VehicleGone."""
    cursor.execute(
        statements.JOURNAL,
        {
            "id": str(report.vehicle.id),
            "started": report.started_at,
            "finished": report.finished_at,
            "status": report.outcome,
            "rows": report.rows_written,
            "error": report.error_msg,
            "alarm_watermark": report.alarm_watermark,
            "failures": report.failures,
        },
    )
    if cursor.rowcount != 1:
        lock_vehicle(cursor, report.vehicle.id)


def journal_row(cursor: Cursor, row: JournalRow) -> None:
    """Write a row that tells of no cycle, and so not of the vehicle's state; raise VehicleGone."""
    cursor.execute(
        statements.JOURNAL_ROW,
        {
            "id": str(row.vehicle_id),
            "started": row.started_at,
            "finished": row.finished_at,
            "status": row.outcome,
            "rows": row.rows_written,
            "error": row.error_msg,
        },
    )
    if cursor.rowcount != 1:
        lock_vehicle(cursor, row.vehicle_id)


def mark_failed(cursor: Cursor, report: CycleReport) -> None:
    """Write a failed cycle's outcome into the vehicle's own row; raise VehicleGone.

    After a good cycle that row is already true: its last window wrote it.
    """
    version = report.status and report.status.software_version
    cursor.execute(
        statements.FAILED,
        (report.outcome, report.status is not None, version, str(report.vehicle.id)),
    )
    if cursor.rowcount != 1:
        raise VehicleRemoved("the vehicle was removed, or row level security hides it")
