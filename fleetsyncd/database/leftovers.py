"""What removed vehicles left, for the list of them: one transaction for each vehicle.

So no transaction becomes longer with their number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from uuid import UUID

import psycopg2

from fleetsyncd.database import removed_vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.removed_vehicles import Ends, RemovedVehicle
from fleetsyncd.database.spans import Span, all_spans, look_through
from fleetsyncd.database.views.estimates import Count, count_measurements

EXACT_UP_TO = 10_000
"""Measurements of each vehicle of the list are counted up to here, and estimated beyond."""
# Each step goes to the next id in the index. An id that is registered, or has a record, is known.
_UNRECORDED = """
WITH RECURSIVE measured(id) AS (
    (SELECT vehicle_id FROM public.measurements WHERE true{span} ORDER BY vehicle_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.vehicle_id FROM public.measurements m WHERE m.vehicle_id > measured.id{span}
            ORDER BY m.vehicle_id LIMIT 1)
    FROM measured WHERE measured.id IS NOT NULL
)
SELECT id::text FROM measured
WHERE id IS NOT NULL AND NOT EXISTS (SELECT FROM public.vehicles v WHERE v.id = measured.id)
  AND NOT EXISTS (SELECT FROM fleetsync.removed_vehicle r WHERE r.vehicle_id = measured.id)
"""
# Restored, or purged: then a record that was there is gone.
_IS_SETTLED = """
SELECT EXISTS (SELECT FROM public.vehicles WHERE id = %(id)s::uuid)
    OR %(recorded)s AND NOT EXISTS (
        SELECT FROM fleetsync.removed_vehicle WHERE vehicle_id = %(id)s::uuid)
"""


@dataclass(frozen=True, slots=True)
class Leftover:
    """How many measurements a removed vehicle has left, and their extent; None: it has none."""

    vehicle: RemovedVehicle
    measurements: Count
    extent: Ends | None


def find_all(cursor: Cursor) -> list[RemovedVehicle]:
    """Return every removed vehicle, the last removed one first."""
    return [*removed_vehicles.recorded(cursor), *_unrecorded(cursor)]


def read_each(database: Database, vehicles: Sequence[RemovedVehicle]) -> Iterator[Leftover]:
    """Yield what each of the vehicles left, unless it was restored or purged meanwhile."""
    for vehicle in vehicles:
        left = database.run(partial(_read, vehicle))
        if left is not None:
            yield left


def _read(vehicle: RemovedVehicle, cursor: Cursor) -> Leftover | None:
    recorded = vehicle.removed_at is not None
    cursor.execute(_IS_SETTLED, {"id": str(vehicle.id), "recorded": recorded})
    if cursor.fetchall()[0][0]:
        return None
    left = count_left(cursor, vehicle, EXACT_UP_TO)
    extent = removed_vehicles.read_ends(cursor, vehicle) if left.rows else None
    return Leftover(vehicle, left, extent)


def count_left(cursor: Cursor, vehicle: RemovedVehicle, exact_up_to: int) -> Count:
    """Return how many measurements a removed vehicle has left, exactly up to a number."""
    since = vehicle.purged_until or "-infinity"
    return count_measurements(cursor, [vehicle.id], exact_up_to, since)


def _unrecorded(cursor: Cursor) -> list[RemovedVehicle]:
    """Return the removed vehicles of which nothing but measurements is there."""
    cursor.execute("SAVEPOINT unrecorded")
    try:
        found = list(look_through(cursor, all_spans(cursor), _unrecorded_in))
    except psycopg2.errors.FeatureNotSupported:
        # Citus does not follow an index over several machines.
        cursor.execute("ROLLBACK TO SAVEPOINT unrecorded")
        return []
    return [RemovedVehicle(UUID(key)) for key in sorted(set(chain.from_iterable(found)))]


def _unrecorded_in(cursor: Cursor, span: Span) -> list[str]:
    cursor.execute(_UNRECORDED.format(span=span.condition()))
    return [key for (key,) in cursor.fetchall()]
