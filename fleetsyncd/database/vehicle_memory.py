"""What is remembered of a vehicle from one cycle to the next, beside what it describes.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from datetime import timedelta
from uuid import UUID

from fleetsyncd.budgets import Intake
from fleetsyncd.database import lateness, statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.store import address_values, learned_values
from fleetsyncd.models import AlarmState, Channel, LearnedWindows
from fleetsyncd.reports import CycleReport

FAILURE_LIMIT = 200
"""Of an error that has to fit into the page of its row, because the disk is full."""
_CHANNELS = """
SELECT channel_id, coalesce(name, ''), unit, min_value::float8, max_value::float8
FROM public.channel_config WHERE vehicle_id = %s::uuid
"""


def count_intake(cursor: Cursor, vehicle_id: UUID, intake: Intake) -> None:
    """Add to what the vehicle has stored today; `advance_watermark` does so for a cycle's rows."""
    values = {
        "id": str(vehicle_id),
        "rows": intake.rows,
        "seconds": intake.seconds,
        "alarms": intake.alarms,
        "channel_changes": intake.channel_changes,
    }
    cursor.execute(statements.COUNT_INTAKE, values)


def stored_channels(cursor: Cursor, vehicle_id: UUID) -> dict[int, Channel]:
    """Return the channels that are stored, by id."""
    cursor.execute(_CHANNELS, (str(vehicle_id),))
    return {row[0]: Channel(*row) for row in cursor.fetchall()}


def remember_channels(cursor: Cursor, vehicle_id: UUID, digest: int) -> None:
    """Record that the `/channels` answer with this digest is stored, and what that looks like."""
    cursor.execute(statements.REMEMBER_CHANNELS, {"id": str(vehicle_id), "digest": digest})


def move_alarm_watermark(
    cursor: Cursor, vehicle_id: UUID, known: AlarmState, reached: AlarmState
) -> None:
    """Record that the `/alarms` answer with a new digest is stored, and how far alarms reach.

    The watermark moves only from the `known` one, as `add_cycle_report` moves it.
    """
    values = {
        "id": str(vehicle_id),
        "known": known.watermark,
        "watermark": reached.watermark,
        "digest": reached.digest,
    }
    cursor.execute(statements.MOVE_ALARM_WATERMARK, values)


def save_learned(cursor: Cursor, vehicle_id: UUID, learned: LearnedWindows) -> None:
    """Keep what was learned of a vehicle's link, for any daemon's next pull."""
    values = {"id": str(vehicle_id), **learned_values(learned)}
    cursor.execute(statements.SAVE_LEARNED, values)


def learn_lateness(cursor: Cursor, vehicle_id: UUID, late: timedelta) -> None:
    """Take in that rows were committed so long after their time: the overlap grows to hold them."""
    cursor.execute(lateness.LEARN, {"id": str(vehicle_id), **lateness.learned_values(late)})


def save_failure(cursor: Cursor, report: CycleReport) -> None:
    """Write a cycle's result into the vehicle's state alone: its journal entry was refused."""
    values = {
        "id": str(report.vehicle.id),
        "failures": report.failures,
        "rows": report.rows_written,
        "error": report.error_msg and report.error_msg[:FAILURE_LIMIT],
        **address_values(report.vehicle.address),
    }
    cursor.execute(statements.SAVE_FAILURE, values)
