"""Store alarms, those without a channel only where the table allows it."""

from collections.abc import Sequence
from uuid import UUID

from psycopg2.errors import NotNullViolation

from fleetsyncd.database import store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Alarm

NEEDS_CHANNEL = (
    "alarms_log refuses alarms without a channel; as its owner:"
    " ALTER TABLE public.alarms_log ALTER COLUMN channel_id DROP NOT NULL"
)
"""Why an adopted table may refuse an alarm, and what helps."""


def save_where_allowed(
    cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]
) -> tuple[int, list[Alarm]]:
    """Store new alarms and resolutions; return how many there were, and the refused ones.

    Whether an alarm may be without a channel is found out by trying, so no other alarm pays for it.
    """
    without = [alarm for alarm in alarms if alarm.channel_id is None]
    if not without:
        return store.save_alarms(cursor, vehicle_id, alarms), []
    cursor.execute("SAVEPOINT alarms")
    try:
        return store.save_alarms(cursor, vehicle_id, alarms), []
    except NotNullViolation as error:
        if error.diag.column_name != "channel_id":
            raise
    cursor.execute("ROLLBACK TO SAVEPOINT alarms")
    others = [alarm for alarm in alarms if alarm.channel_id is not None]
    return store.save_alarms(cursor, vehicle_id, others), without
