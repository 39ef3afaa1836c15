"""What may be stored at all."""

from datetime import UTC, datetime, timedelta

from fleetsyncd.models import Window
from fleetsyncd.times import month_of

OLDEST_ALARM = datetime(2000, 1, 1, tzinfo=UTC)
"""Alarms that were triggered earlier are refused."""
MAX_AGE = timedelta(days=400)
"""Older measurements are refused; a vehicle keeps about 90 days."""
MAX_AHEAD = timedelta(minutes=10)
"""How far ahead of our clock a measurement may be stamped."""


def accepted_interval(now: datetime, months: int | None = None) -> Window:
    """Return the interval that a measurement's time must lie in to be stored.

    If retention keeps only so many `months` beside the present one, it begins with the oldest of
    them: what is dropped must not come back.
    """
    oldest = month_of(now - MAX_AGE)
    if months is not None:
        first = month_of(now)
        for _ in range(months):
            first = month_of(first - timedelta(days=1))
        oldest = max(oldest, first)
    return Window(oldest, now + MAX_AHEAD)
