"""Store alarms without a channel and channels without a range, where an adopted table allows it.

Whether it does is found out by trying, at a savepoint, so that no other entry pays for it, and none
is kept from being stored.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from psycopg2.errors import NotNullViolation

from fleetsyncd.database import alarms as stored_alarms
from fleetsyncd.database import store
from fleetsyncd.database.alarms import SavedAlarms
from fleetsyncd.database.pool import Cursor
from fleetsyncd.telemetry import Alarm, Channel

T = TypeVar("T")
Saved = TypeVar("Saved")

RANGE = ("min_value", "max_value")
NEEDS_CHANNEL = (
    "alarms_log refuses alarms without a channel; as its owner:"
    " ALTER TABLE public.alarms_log ALTER COLUMN channel_id DROP NOT NULL"
)
NEEDS_RANGE = (
    "channel_config refuses channels without a range; as its owner: ALTER TABLE"
    " public.channel_config ALTER min_value DROP NOT NULL, ALTER max_value DROP NOT NULL"
)
"""Why the table refuses an entry, and what helps."""


def save_alarms(
    cursor: Cursor, vehicle_id: UUID, alarms: Sequence[Alarm]
) -> tuple[SavedAlarms, list[Alarm]]:
    """Store new alarms and resolutions; return how many there were, and the refused alarms."""

    def save(some: Sequence[Alarm]) -> SavedAlarms:
        return stored_alarms.save_alarms(cursor, vehicle_id, some)

    return _save(cursor, save, alarms, lambda alarm: alarm.channel_id is None, ("channel_id",))


def save_channels(
    cursor: Cursor, vehicle_id: UUID, channels: Sequence[Channel]
) -> tuple[int, list[Channel]]:
    """Store new and changed channels; return how many there were, and the refused channels."""

    def save(some: Sequence[Channel]) -> int:
        return store.save_channels(cursor, vehicle_id, some)

    return _save(cursor, save, channels, Channel.lacks_range, RANGE)


def _save(
    cursor: Cursor,
    save: Callable[[Sequence[T]], Saved],
    entries: Sequence[T],
    lacks: Callable[[T], bool],
    columns: Sequence[str],
) -> tuple[Saved, list[T]]:
    """Save all entries, or those that lack nothing if the table refuses null in these columns."""
    lacking = [entry for entry in entries if lacks(entry)]
    if not lacking:
        return save(entries), []
    cursor.execute("SAVEPOINT entries")
    try:
        return save(entries), []
    except NotNullViolation as error:
        if error.diag.column_name not in columns:
            raise
    cursor.execute("ROLLBACK TO SAVEPOINT entries")
    return save([entry for entry in entries if not lacks(entry)]), lacking
