"""SQL for times and ages; other services may write infinity, and years that Python cannot hold.

`date_part` and not `extract`: that one returns a numeric, which costs the server as much again.
"""

from datetime import UTC, datetime

from fleetsyncd.database.pool import Cursor

LIVE_TO = "greatest(v.last_sync_at, upper(s.islands))"
"""SQL for how far what is live is committed; of vehicles `v` with their state `s`."""


def epoch(column: str) -> str:
    """Return SQL for a time in seconds since 1970; null if it is infinite."""
    return f"CASE WHEN isfinite({column}) THEN extract(epoch FROM {column})::float8 END"


def from_epoch(seconds: float | None) -> datetime | None:
    """Return the time of seconds since 1970; None for None, or if Python cannot hold it."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def database_now(cursor: Cursor) -> datetime:
    """Return the database's time."""
    cursor.execute("SELECT now()")
    at: datetime = cursor.fetchall()[0][0]
    return at


def age(column: str) -> str:
    """Return SQL for the age of a time in seconds; null if it is infinite."""
    return f"CASE WHEN isfinite({column}) THEN {elapsed(column)} END"


def elapsed(column: str) -> str:
    """Return SQL for the age in seconds of a time that is finite; null for null."""
    return f"date_part('epoch', now() - {column})"


def seconds_between(start: str, end: str) -> str:
    """Return SQL for the seconds from one time to another; null if either is infinite."""
    finite = f"isfinite({start}) AND isfinite({end})"
    return f"CASE WHEN {finite} THEN date_part('epoch', {end} - {start}) END"
