"""What looks at a vehicle's past have proved: `fleetsync.verified`, a row for each age."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.database import audit_findings, store, vehicle_state
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import PullStopped
from fleetsyncd.jobs import Look
from fleetsyncd.models import Vehicle

Proved = Mapping[tuple[UUID, int], tuple[datetime, timedelta | None]]
"""By vehicle and age up to where it is proved, and the vehicle's learned overlap."""
# What cycles pulled before the first look is not known to be all: a new vehicle was pulled from its
# last minute on. A watermark that was set back is pulled again.
_BEGIN = """
INSERT INTO fleetsync.verified AS f (vehicle_id, age_sec, verified_to, looked_to)
SELECT v.id, age, pulled.up_to, pulled.up_to
FROM public.vehicles v, unnest(%s::int[]) age,
    date_trunc('milliseconds', v.last_sync_at) AS pulled(up_to)
WHERE v.id = ANY (%s::uuid[]) AND isfinite(v.last_sync_at)
ON CONFLICT (vehicle_id, age_sec) DO UPDATE
    SET verified_to = excluded.verified_to, looked_to = excluded.looked_to
    WHERE f.verified_to > excluded.verified_to
"""
_READ = """
SELECT f.vehicle_id::text, f.age_sec, f.verified_to, s.overlap_ms
FROM fleetsync.verified f JOIN fleetsync.vehicle_state s ON s.vehicle_id = f.vehicle_id
WHERE f.vehicle_id = ANY (%s::uuid[]) AND NOT EXISTS (
    SELECT FROM fleetsync.audit a WHERE a.vehicle_id = f.vehicle_id AND a.finished_at IS NULL)
  AND NOT EXISTS (
    SELECT FROM fleetsync.backfill b WHERE b.vehicle_id = f.vehicle_id AND b.finished_at IS NULL
      AND b.reached_at < b.to_at)
"""
_VERIFIED_TO = """
SELECT vehicle_id::text, age_sec, verified_to FROM fleetsync.verified
WHERE vehicle_id = ANY (%s::uuid[]) AND looked_at IS NOT NULL
"""
_LOOKED = "CASE v.looked_to WHEN excluded.looked_to THEN 0 ELSE 1 END"
_IS_LOOKED = """
SELECT FROM fleetsync.verified
WHERE vehicle_id = %(id)s::uuid AND age_sec = %(age_sec)s AND looked_to = %(end)s
"""
_RECORD = f"""
INSERT INTO fleetsync.verified AS v (vehicle_id, age_sec, verified_to, looked_to, looked_at,
    missing, different, gone)
SELECT id, %(age_sec)s, %(proved)s, %(end)s, now(), %(missing)s, %(different)s, %(gone)s
FROM public.vehicles
WHERE id = %(id)s::uuid AND {vehicle_state.AT_ADDRESS} AND last_sync_at >= %(end)s
  AND NOT EXISTS (
      SELECT FROM fleetsync.vehicle_state s WHERE s.vehicle_id = %(id)s::uuid
        AND (s.other_hint <> coalesce(%(hint)s, '') OR s.islands <> '{{}}'
             OR s.asked_to IS NOT NULL OR {vehicle_state.IS_PAUSED}))
ON CONFLICT (vehicle_id, age_sec) DO UPDATE SET
    verified_to = excluded.verified_to, looked_at = excluded.looked_at,
    missing = v.missing + excluded.missing * {_LOOKED},
    different = v.different + excluded.different * {_LOOKED},
    gone = v.gone + excluded.gone * {_LOOKED},
    looked_to = excluded.looked_to
"""  # noqa: S608  made of this project's own text

_PROVE_ALSO = """
UPDATE fleetsync.verified SET verified_to = %(proved)s, looked_to = %(end)s, looked_at = now()
WHERE vehicle_id = %(id)s::uuid AND age_sec = ANY (%(also)s) AND verified_to < %(proved)s
"""


def begin(cursor: Cursor, vehicles: Collection[UUID], ages: Sequence[int]) -> None:
    """Begin to prove what these vehicles measure from now on."""
    cursor.execute(_BEGIN, (list(ages), [str(vehicle_id) for vehicle_id in vehicles]))


def proved(cursor: Cursor, vehicles: Collection[UUID]) -> Proved:
    """Return by vehicle and age up to where it is proved, and the vehicle's learned overlap.

    Vehicles with an open audit or backfill are left out.
    """
    cursor.execute(_READ, ([str(vehicle_id) for vehicle_id in vehicles],))
    return {
        (UUID(key), age_sec): (at, None if ms is None else timedelta(milliseconds=ms))
        for key, age_sec, at, ms in cursor.fetchall()
    }


def verified_to(cursor: Cursor, vehicles: Collection[UUID]) -> dict[tuple[UUID, int], datetime]:
    """Return by vehicle and age up to where looks found nothing missing."""
    cursor.execute(_VERIFIED_TO, ([str(vehicle_id) for vehicle_id in vehicles],))
    return {(UUID(key), age_sec): at for key, age_sec, at in cursor.fetchall()}


def record_look(
    cursor: Cursor,
    vehicle: Vehicle,
    look: Look,
    reached: datetime,
    counts: AuditCounts,
    *,
    verified_to: datetime,
    hint: str | None,
) -> None:
    """Record that a look has compared all before `reached`, and what is proved by that.

    What is found counts once, at the look's age; what is proved, at its other ages too.
    Raises PullStopped if the vehicle is in trouble meanwhile, VehicleRemoved, and AddressChanged as
    `store.lock_vehicle` does.
    """
    values = {
        "id": str(vehicle.id),
        "age_sec": look.age_sec,
        "end": reached,
        "proved": verified_to,
        "missing": counts.missing,
        "different": counts.different,
        "gone": counts.gone,
        "hint": hint,
        **store.address_values(vehicle.address),
    }
    audit_findings.add_findings(cursor, vehicle.id, counts, _IS_LOOKED, values)
    cursor.execute(_RECORD, values)
    if cursor.rowcount != 1:
        store.lock_vehicle(cursor, vehicle.id, vehicle.address)
        raise PullStopped("the vehicle is paused, has a gap or is another machine meanwhile")
    if look.also and verified_to == reached:
        cursor.execute(_PROVE_ALSO, {**values, "also": list(look.also)})
