"""What a cycle stores beside measurements, each a function that takes a cursor of `Database.run`.

None of them commits. Each may run twice with the result of once: a transaction is repeated when the
answer to its commit was lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database import lateness, statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import AddressChanged, VehicleRemoved, WatermarkMoved
from fleetsyncd.lateness import LatenessUpdate
from fleetsyncd.models import Address, LearnedWindows, Window
from fleetsyncd.telemetry import Alarm, BadRow, Channel
from fleetsyncd.time_limits import CLOCK_TOLERANCE

QUARANTINE_PER_VEHICLE = 10_000
MOST_COUNTED = 100_000
_REMOVED = "the vehicle was removed, or row level security hides it"


@dataclass(frozen=True, slots=True)
class WatermarkUpdate:
    """What a stored window changes in its vehicle's row and state."""

    vehicle_id: UUID
    known: datetime | None
    """The watermark that this cycle has read or written last."""
    watermark: datetime
    newest_measurement_at: datetime | None
    clock_skew: timedelta | None
    software_version: str | None
    """None if the vehicle tells none: the known one stays."""
    known_asked_to: datetime | None
    """`asked_to` as this cycle has read or written it last."""
    pulled_from: datetime
    """Where this cycle's pull began: everything between there and `watermark` is stored."""
    gap: Window | None
    """The whole pull while a part of it is still to come, else None."""
    gap_took: timedelta = timedelta(0)
    """How long the pull has taken so far."""
    gap_rows: int = 0
    """Rows that the pull has added so far."""
    learned: LearnedWindows = field(default_factory=LearnedWindows)
    clock_behind: bool = False
    """The pull ends before the watermark."""
    clock_stepped_back: bool = False
    """Since the last pull."""
    cut_from: datetime | None = None
    """Of islands, what is from here on is not true any more."""
    rows: int = 0
    """Rows that came for this window."""
    covered: timedelta = timedelta(0)
    """The vehicle's time that this window covers."""
    address: Address | None = None
    """Where the rows came from; None if they came from no vehicle."""
    late_after: timedelta | None = None
    """The lag from which operators see a vehicle as late."""
    lateness: LatenessUpdate = field(default_factory=LatenessUpdate)


def learned_values(learned: LearnedWindows) -> dict[str, int | None]:
    """Return what was learned of a link as arguments of a statement."""
    return {
        "data_ms": None if learned.data is None else _milliseconds(learned.data),
        "alarms_ms": None if learned.alarms is None else _milliseconds(learned.alarms),
    }


def paused_vehicles(cursor: Cursor) -> set[UUID]:
    """Return the vehicles that an operator has paused."""
    cursor.execute(statements.PAUSED_VEHICLES)
    return {UUID(row[0]) for row in cursor.fetchall()}


def lock_vehicle(cursor: Cursor, vehicle_id: UUID, address: Address | None = None) -> None:
    """Keep the vehicle from being removed until commit; raise VehicleRemoved if it was.

    `address` is where the answer came from that is to be stored: raises AddressChanged if the
    vehicle is registered at another one meanwhile.
    """
    cursor.execute(statements.LOCK_VEHICLE, (str(vehicle_id),))
    registered = cursor.fetchone()
    if registered is None:
        raise VehicleRemoved(_REMOVED)
    if address is not None and registered != address:
        raise AddressChanged(
            "the vehicle's address was changed meanwhile: the next cycle asks the new one"
        )


def advance_watermark(cursor: Cursor, update: WatermarkUpdate) -> datetime | None:
    """Move the watermark forward to what is now stored, and return `asked_to` as it is now.

    Raises WatermarkMoved, VehicleRemoved, and AddressChanged as `lock_vehicle` does.

    It never moves backwards here. It moves only if the stored watermark is still the one that this
    cycle read or wrote last, or a later one. An earlier one was set back by an operator, or by a
    restore of the database that took rows of this cycle with it.
    """
    gap = update.gap
    cursor.execute(
        statements.ADVANCE_WATERMARK,
        {
            "id": str(update.vehicle_id),
            "known": update.known,
            "watermark": update.watermark,
            "newest": update.newest_measurement_at,
            "skew": skew_value(update.clock_skew),
            "ahead": update.clock_skew is not None and update.clock_skew > CLOCK_TOLERANCE,
            "version": update.software_version,
            "pulled_from": update.pulled_from,
            "gap_start": gap and gap.start,
            "gap_end": gap and gap.end,
            "gap_sec": gap and update.gap_took.total_seconds(),
            "gap_rows": gap and update.gap_rows,
            "added": update.rows,
            "known_asked_to": update.known_asked_to,
            "behind": update.clock_behind,
            "stepped_back": update.clock_stepped_back,
            "cut_from": update.cut_from,
            "covered_sec": update.covered.total_seconds(),
            "late_after": update.late_after,
            **address_values(update.address),
            **learned_values(update.learned),
            **lateness.update_values(update.lateness),
        },
    )
    if cursor.rowcount != 1:
        lock_vehicle(cursor, update.vehicle_id, update.address)
        raise WatermarkMoved("last_sync_at was set back meanwhile: the next cycle starts from it")
    row = cursor.fetchone()
    return row[0] if row else None


def skew_value(skew: timedelta | None) -> int | None:
    """Return a clock's skew as an argument of a statement: in milliseconds."""
    return None if skew is None else _milliseconds(skew)


def address_values(address: Address | None) -> dict[str, str | int | None]:
    """Return the address that was asked as arguments of a statement."""
    host, port = address or (None, None)
    return {"host": host, "port": port}


def _milliseconds(length: timedelta) -> int:
    return round(length / timedelta(milliseconds=1))


def save_channels(cursor: Cursor, vehicle_id: UUID, channels: Sequence[Channel]) -> int:
    """Write the channels that differ from what is stored; return how many were written.

    Unchanged channels that were not confirmed for long are confirmed, and not counted.
    """
    columns = _channel_columns(channels)
    cursor.execute(statements.SAVE_CHANNELS, (str(vehicle_id), *columns))
    written = cursor.rowcount
    cursor.execute(statements.CONFIRM_CHANNELS, (str(vehicle_id), columns[0]))
    return written


def unchanged_channels(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[Channel]
) -> list[Channel]:
    """Return the channels that are stored as they are."""
    cursor.execute(statements.UNCHANGED_CHANNELS, (*_channel_columns(channels), str(vehicle_id)))
    ids = {row[0] for row in cursor.fetchall()}
    return [channel for channel in channels if channel.channel_id in ids]


def _channel_columns(channels: Sequence[Channel]) -> tuple[list[Any], ...]:
    return (
        [channel.channel_id for channel in channels],
        [channel.name for channel in channels],
        [channel.unit for channel in channels],
        [channel.min_value for channel in channels],
        [channel.max_value for channel in channels],
    )


def save_alarms(cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]) -> int:
    """Store new alarms and resolutions; return how many there were.

    Each id is given once. One that another stored alarm has changes nothing: see `alarms`.
    """
    cursor.execute(
        statements.SAVE_ALARMS,
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
    """Put bad rows into the quarantine, each once; return False if it cannot take all of them.

    Adds nothing if the vehicle was removed, which the caller finds out.
    """
    if not bad:
        return True
    taken = [row for row in bad if row.count == 1][:QUARANTINE_PER_VEHICLE]
    cursor.execute(
        statements.QUARANTINE_ROWS,
        (
            str(vehicle_id),
            [row.call for row in taken],
            [row.raw for row in taken],
            [row.reason for row in taken],
            QUARANTINE_PER_VEHICLE,
        ),
    )
    row = cursor.fetchone()
    one_by_one = sum(row.count == 1 for row in bad)
    return row is None or int(row[0]) + one_by_one - len(taken) == 0


def count_quarantined(cursor: Cursor) -> int:
    """Return how many rows are in the quarantine; at most MOST_COUNTED."""
    cursor.execute(
        "SELECT count(*) FROM (SELECT FROM fleetsync.quarantine LIMIT %s) q", (MOST_COUNTED,)
    )
    return int(cursor.fetchall()[0][0])
