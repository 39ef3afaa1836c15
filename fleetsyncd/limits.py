"""What may be stored at all."""

from datetime import UTC, datetime, timedelta

from fleetsyncd.models import Window, month_of

ALARMS_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
"""Alarms that were triggered earlier are refused."""
KEPT = timedelta(days=400)
"""Older measurements are refused; a vehicle keeps about 90 days."""
AHEAD = timedelta(minutes=10)
"""How far ahead of our clock a measurement may be stamped."""


def storable(now: datetime) -> Window:
    """Return the interval that a measurement's time must lie in to be stored."""
    return Window(month_of(now - KEPT), now + AHEAD)
