"""Up to when it is known which alarms of a vehicle are open."""

from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.sql_times import age
from fleetsyncd.text import is_ahead

_BEHIND = "least(coalesce(s.clock_skew_ms, 0), 0) / 1000.0::float8"
ASKED_AGE = f"{age('s.alarm_watermark')} + {_BEHIND}"
"""SQL for the age of what the vehicle was last asked for, of its row `s` of vehicle_state."""
_AGES = f"""
SELECT {age("v.last_seen_at")}, {ASKED_AGE}
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
WHERE v.id = %s::uuid
"""  # noqa: S608  made of this file's own text


def known_age(seen_age: float | None, asked_age: float | None) -> float | None:
    """Return the age of what is known in seconds; None if it is not known, as of no answer."""
    ages = () if is_ahead(seen_age) else (seen_age, asked_age)
    return max((max(0.0, each) for each in ages if each is not None), default=None)


def alarms_known_age(cursor: Cursor, vehicle_id: UUID) -> float | None:
    """Return the age of what is known of a vehicle's open alarms; None if nothing is."""
    cursor.execute(_AGES, (str(vehicle_id),))
    for seen, asked in cursor.fetchall():
        return known_age(seen, asked)
    return None
