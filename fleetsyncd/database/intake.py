"""Which vehicles store far more than the others."""

from dataclasses import dataclass

from fleetsyncd.database.pool import Cursor
from fleetsyncd.text import sanitise

TIMES_THE_MEDIAN = 10
LEAST_VEHICLES = 5
"""Of fewer, none is called unusual."""
NAMED = 5
_HEAVY = """
WITH today AS (
    SELECT vehicle_id, day_rows / greatest(day_seconds, 600) AS rate FROM fleetsync.vehicle_state
    WHERE intake_day = current_date
),
usual AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY rate) AS rate, count(*) AS vehicles
    FROM today
)
SELECT coalesce(v.name, v.id::text), today.rate, usual.rate
FROM today JOIN public.vehicles v ON v.id = today.vehicle_id, usual
WHERE usual.vehicles >= %s AND usual.rate > 0 AND today.rate > usual.rate * %s
ORDER BY today.rate DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class HeavyVehicle:
    """A vehicle, its rows for each second of its time today, and those of the usual vehicle."""

    name: str
    rate: float
    usual: float

    def __str__(self) -> str:
        times = self.rate / self.usual
        rate = f"{self.name} stores {self.rate:,.0f} rows a second of its time"
        return f"{rate}, {times:.0f} times what the usual vehicle does"


def heavy_vehicles(cursor: Cursor) -> list[HeavyVehicle]:
    """Return the vehicles that store more than ten times as much as the median one today."""
    cursor.execute(_HEAVY, (LEAST_VEHICLES, TIMES_THE_MEDIAN, NAMED))
    return [
        HeavyVehicle(sanitise(name, 200), rate, usual) for name, rate, usual in cursor.fetchall()
    ]
