"""What is remembered of a vehicle from one cycle to the next, beside what it describes.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from datetime import timedelta
from uuid import UUID

from fleetsyncd.budgets import Intake
from fleetsyncd.database import lateness
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.statements import CONFIRMED
from fleetsyncd.database.store import address_values, learned_values
from fleetsyncd.database.vehicle_state import AT_ADDRESS, DATED
from fleetsyncd.models import AlarmState, LearnedWindows
from fleetsyncd.reports import CycleReport
from fleetsyncd.telemetry import Channel

FAILURE_LIMIT = 200
"""Of an error that has to fit into the page of its row, because the disk is full."""
_CHANNELS = """
SELECT channel_id, coalesce(name, ''), unit, min_value::float8, max_value::float8
FROM public.channel_config WHERE vehicle_id = %s::uuid
"""
_OLD = "interval '50 min' - (uuid_hash(c.vehicle_id) & 255) * interval '1 s'"
"""From this age on a channel is confirmed again; not that of all vehicles in the same cycle."""
# Other services may change or delete these rows, which must be noticed. The hash of a row need not
# be the same on every server: if it is not, what is unchanged is looked at once more.
# Unconfirmed rows count as well, so that a single one that gets old is noticed, and noticed once:
# that of a channel which the vehicle lists no more stays old.
CHANNELS_CONTENT = f"""
    SELECT coalesce(sum(hashtextextended(
            (channel_id, name, unit, min_value, max_value)::text, 0)), 0)
        + count(*) FILTER (WHERE NOT ({CONFIRMED.format(age=_OLD)})) AS content
    FROM public.channel_config c WHERE vehicle_id = {{vehicle}}
"""  # noqa: S608  made of this project's own text
_SAVE_FAILURE = f"""
UPDATE fleetsync.vehicle_state s SET failures = %(failures)s, last_rows = %(rows)s,
    last_error = %(error)s, updated_at = now(), dated_at = CASE WHEN {DATED} THEN now() END
WHERE vehicle_id = %(id)s::uuid
  AND EXISTS (SELECT FROM public.vehicles WHERE id = vehicle_id AND {AT_ADDRESS})
"""  # noqa: S608  made of this project's own text
_SAVE_LEARNED = """
UPDATE fleetsync.vehicle_state
SET data_window_ms = %(data_ms)s, alarms_window_ms = %(alarms_ms)s WHERE vehicle_id = %(id)s::uuid
"""
# Only from the state that the cycle knows: it may have been restored to an older one meanwhile.
_MOVE_ALARM_WATERMARK = """
UPDATE fleetsync.vehicle_state SET alarms_digest = %(digest)s,
    alarm_watermark = CASE WHEN alarm_watermark IS NOT DISTINCT FROM %(known)s
                           THEN %(watermark)s ELSE alarm_watermark END
WHERE vehicle_id = %(id)s::uuid
"""
_COUNT_INTAKE = """
INSERT INTO fleetsync.vehicle_state AS s
    (vehicle_id, intake_day, day_rows, day_seconds, day_alarms, day_channel_changes)
VALUES (%(id)s::uuid, current_date, %(rows)s, %(seconds)s, %(alarms)s, %(channel_changes)s)
ON CONFLICT (vehicle_id) DO UPDATE SET intake_day = excluded.intake_day,
    day_rows = excluded.day_rows + CASE s.intake_day WHEN current_date THEN s.day_rows ELSE 0 END,
    day_seconds = excluded.day_seconds
        + CASE s.intake_day WHEN current_date THEN s.day_seconds ELSE 0 END,
    day_alarms = excluded.day_alarms
        + CASE s.intake_day WHEN current_date THEN s.day_alarms ELSE 0 END,
    day_channel_changes = excluded.day_channel_changes
        + CASE s.intake_day WHEN current_date THEN s.day_channel_changes ELSE 0 END
"""
_REMEMBER_CHANNELS = f"""
WITH stored AS ({CHANNELS_CONTENT.format(vehicle="%(id)s::uuid")})
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, channels_digest, channels_content)
SELECT %(id)s::uuid, %(digest)s, stored.content FROM stored
ON CONFLICT (vehicle_id) DO UPDATE SET channels_digest = excluded.channels_digest,
    channels_content = excluded.channels_content
"""  # noqa: S608  made of this project's own text


def count_intake(cursor: Cursor, vehicle_id: UUID, intake: Intake) -> None:
    """Add to what the vehicle has stored today; `advance_watermark` does so for a cycle's rows."""
    values = {
        "id": str(vehicle_id),
        "rows": intake.rows,
        "seconds": intake.seconds,
        "alarms": intake.alarms,
        "channel_changes": intake.channel_changes,
    }
    cursor.execute(_COUNT_INTAKE, values)


def stored_channels(cursor: Cursor, vehicle_id: UUID) -> dict[int, Channel]:
    """Return the channels that are stored, by id."""
    cursor.execute(_CHANNELS, (str(vehicle_id),))
    return {row[0]: Channel(*row) for row in cursor.fetchall()}


def remember_channels(cursor: Cursor, vehicle_id: UUID, digest: int) -> None:
    """Record that the `/channels` answer with this digest is stored, and what that looks like."""
    cursor.execute(_REMEMBER_CHANNELS, {"id": str(vehicle_id), "digest": digest})


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
    cursor.execute(_MOVE_ALARM_WATERMARK, values)


def save_learned(cursor: Cursor, vehicle_id: UUID, learned: LearnedWindows) -> None:
    """Keep what was learned of a vehicle's link, for any daemon's next pull."""
    values = {"id": str(vehicle_id), **learned_values(learned)}
    cursor.execute(_SAVE_LEARNED, values)


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
    cursor.execute(_SAVE_FAILURE, values)
