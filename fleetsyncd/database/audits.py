"""Audits: intervals that are compared with what a vehicle has; an operator's, and the daemon's own.

Of each kind a vehicle has one at a time. `asked_at` is the version of an audit: a daemon writes
only to the version that it has read. The daemon's own are requested by `repairs`. Looks are small
audits without a request: see `verified`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.audit_results import AuditCounts
from fleetsyncd.database import audit_findings, losses, store, vehicle_state
from fleetsyncd.database.cluster import value_of
from fleetsyncd.database.measurements import CHANNELS
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.shard_locks import in_shards
from fleetsyncd.errors import AuditTaken, NothingToAudit, PullStopped
from fleetsyncd.jobs import Audit
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import accepted_interval
from fleetsyncd.times import floor_ms, utc_now

# What was not pulled yet is for cycles to pull. Without an interval it is all that is stored.
_STORED_FROM = """
SELECT min(m.time)::text FROM unnest({channels}::int[]) channel
CROSS JOIN LATERAL (
    SELECT r.time FROM public.measurements r
    WHERE r.vehicle_id = %(id)s::uuid AND r.channel_id = channel AND r.time >= %(oldest)s
    ORDER BY r.time LIMIT 1) m
"""
_REQUEST = """
WITH vehicle AS (
    SELECT v.id, date_trunc('milliseconds', {start}::timestamptz) AS start,
        least(%(end)s, date_trunc('milliseconds', v.last_sync_at)) AS reach
    FROM public.vehicles v
    WHERE v.id = %(id)s::uuid AND v.last_sync_at IS NOT NULL FOR KEY SHARE OF v
)
INSERT INTO fleetsync.audit (vehicle_id, is_repair, from_at, to_at, reached_at, report_only)
SELECT id, false, start, reach, start, %(report_only)s FROM vehicle WHERE start < reach
ON CONFLICT (vehicle_id, is_repair) DO UPDATE SET
    from_at = excluded.from_at, to_at = excluded.to_at, reached_at = excluded.from_at,
    report_only = excluded.report_only, checked = 0, missing = 0, different = 0, gone = 0,
    gone_sec = 0, busy_sec = 0, asked_at = clock_timestamp(), finished_at = NULL, last_error = NULL
RETURNING from_at, to_at
"""
_CANCEL = """
DELETE FROM fleetsync.audit
WHERE vehicle_id = %(id)s::uuid AND NOT is_repair AND finished_at IS NULL
    AND (%(asked_at)s::timestamptz IS NULL OR asked_at = %(asked_at)s)
"""
IS_FIT = f"""NOT {vehicle_state.IS_PAUSED} AND v.sync_status = 'ok'
    AND s.islands = '{{{{}}}}' AND s.asked_to IS NULL AND s.vehicle_id <> ALL (%s::uuid[])
    AND NOT EXISTS (
        SELECT FROM fleetsync.backfill b
        WHERE b.vehicle_id = s.vehicle_id AND b.finished_at IS NULL AND b.reached_at < b.to_at)"""
"""Whether a vehicle may be audited. With a gap, what is missing may only not be pulled yet."""
_OPEN = f"""
SELECT a.vehicle_id::text, a.from_at, a.to_at, a.reached_at, a.asked_at, a.is_repair, a.report_only
FROM fleetsync.audit a JOIN fleetsync.vehicle_state s ON s.vehicle_id = a.vehicle_id
JOIN public.vehicles v ON v.id = a.vehicle_id
WHERE a.finished_at IS NULL AND coalesce(a.not_before <= now(), true) AND {IS_FIT} {{shards}}
ORDER BY bool_and(a.is_repair) OVER (PARTITION BY a.vehicle_id), a.last_error IS NOT NULL,
    NOT a.is_repair, a.asked_at
LIMIT %s
"""  # noqa: S608  made of this file's own text
# As a backfill's progress advances. What a vehicle was not pulled up to is not judged.
_IS_SAME = f"""EXISTS (
        SELECT FROM public.vehicles WHERE id = vehicle_id AND {vehicle_state.AT_ADDRESS}
          AND last_sync_at >= %(reached)s)
    AND NOT EXISTS (
        SELECT FROM fleetsync.vehicle_state s
        WHERE s.vehicle_id = audit.vehicle_id
          AND (s.other_hint <> coalesce(%(hint)s, '') OR s.asked_to IS NOT NULL))"""  # noqa: S608  made of this project's own text
_IS_REPEATED = "CASE reached_at WHEN %(reached)s THEN 0 ELSE 1 END"
_ADVANCE = f"""
UPDATE fleetsync.audit SET reached_at = %(reached)s,
    checked = checked + %(checked)s * {_IS_REPEATED},
    missing = missing + %(missing)s * {_IS_REPEATED},
    different = different + %(different)s * {_IS_REPEATED},
    gone = gone + %(gone)s * {_IS_REPEATED},
    gone_sec = gone_sec + %(gone_sec)s * {_IS_REPEATED},
    busy_sec = busy_sec + %(seconds)s * {_IS_REPEATED},
    last_error = NULL,
    finished_at = CASE WHEN %(reached)s >= to_at THEN now() ELSE finished_at END
WHERE vehicle_id = %(id)s::uuid AND is_repair = %(is_repair)s AND asked_at = %(asked_at)s
    AND (reached_at = %(reached)s OR (reached_at = %(known)s AND finished_at IS NULL))
    AND {_IS_SAME}
RETURNING finished_at IS NOT NULL AND gone_sec = 0
"""  # noqa: S608  made of this file's own text
_IS_COMPARED = """
SELECT FROM fleetsync.audit WHERE vehicle_id = %(id)s::uuid AND is_repair = %(is_repair)s
    AND asked_at = %(asked_at)s AND reached_at = %(reached)s
"""
# A repair proves what had become so old when it was made, unless the vehicle has a part no longer.
_PROVE = f"""
UPDATE fleetsync.verified f SET verified_to = %(end)s
FROM public.vehicles v
WHERE f.vehicle_id = %(id)s::uuid AND v.id = f.vehicle_id
  AND f.verified_to >= %(start)s AND f.verified_to < %(end)s
  AND v.last_sync_at - f.age_sec * interval '1 second' >= %(end)s
  AND NOT EXISTS ({losses.IS_MISSING})
"""  # noqa: S608  made of this project's own text
_FAIL = """
UPDATE fleetsync.audit SET last_error = %(error)s
WHERE vehicle_id = %(id)s::uuid AND is_repair = %(is_repair)s AND asked_at = %(asked_at)s
    AND finished_at IS NULL
"""
_PROGRESS = """
SELECT a.asked_at, a.reached_at, a.finished_at IS NOT NULL, s.other_hint, v.last_sync_at, s.asked_to
FROM fleetsync.audit a LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = a.vehicle_id
JOIN public.vehicles v ON v.id = a.vehicle_id
WHERE a.vehicle_id = %s::uuid AND a.is_repair = %s
"""


@dataclass(frozen=True, slots=True)
class AuditUpdate:
    """What a compared window changes in an audit."""

    reached: datetime
    counts: AuditCounts
    seconds: float = 0.0
    gone_sec: float = 0.0
    """Of the time that it covers, what the vehicle has no longer."""
    hint: str | None = None
    """What the machine calls itself otherwise than the vehicle, as the attempt knows it."""


def request_audit(
    cursor: Cursor, vehicle_id: UUID, start: datetime | None, end: datetime, *, report_only: bool
) -> Window:
    """Request that an interval is compared; None begins where the stored measurements begin.

    It ends at the watermark at the latest. An open audit of an operator is replaced. Raises
    NothingToAudit if nothing of it is stored.
    """
    oldest = accepted_interval(utc_now()).start
    values = {
        "id": str(vehicle_id),
        "start": None if start is None else floor_ms(max(start, oldest)),
        "end": floor_ms(end),
        "oldest": oldest,
        "report_only": report_only,
    }
    begins = _stored_from(cursor, values) if start is None else "%(start)s"
    cursor.execute(_REQUEST.format(start=begins), values)
    row = cursor.fetchone()
    if row is None:
        raise NothingToAudit("nothing of the interval was pulled yet, or the vehicle was removed")
    return Window(*row)


def _stored_from(cursor: Cursor, values: Mapping[str, object]) -> str:
    """Return SQL for the time of the oldest measurement since `oldest`; null if none is stored."""
    channels = value_of(cursor, CHANNELS, values)
    return value_of(cursor, _STORED_FROM.format(channels=channels), values)


def cancel_audit(cursor: Cursor, vehicle_id: UUID, asked_at: datetime | None = None) -> bool:
    """Cancel the rest of an operator's audit and return whether there was one; stored rows stay.

    With `asked_at` only that version is cancelled, not one that was requested since.
    """
    cursor.execute(_CANCEL, {"id": str(vehicle_id), "asked_at": asked_at})
    return cursor.rowcount == 1


def open_audits(
    cursor: Cursor,
    excluded: Collection[UUID],
    limit: int,
    shards: Collection[int] | None = None,
) -> dict[UUID, Audit]:
    """Return an open audit of each vehicle, of at most `limit` of them.

    Vehicles with an operator's go first; of a vehicle its repair, which is short, unless the last
    attempt at it has failed.
    Vehicles that fail, are paused, or have a gap or an open backfill are left out.
    """
    condition, arguments = in_shards("a.vehicle_id", shards)
    keys = [str(vehicle_id) for vehicle_id in excluded]
    cursor.execute(_OPEN.format(shards=condition), (keys, *arguments, limit))
    found: dict[UUID, Audit] = {}
    for key, start, end, reached, asked_at, is_repair, report_only in cursor.fetchall():
        audit = Audit(Window(start, end), reached, asked_at, is_repair, report_only)
        found.setdefault(UUID(key), audit)
    return found


def advance_audit(cursor: Cursor, vehicle: Vehicle, audit: Audit, update: AuditUpdate) -> None:
    """Record that everything before `update.reached` is compared.

    Raises AuditTaken or PullStopped if the audit is not this attempt's any more or the machine is
    another one, VehicleRemoved, and AddressChanged as `store.lock_vehicle` does.
    """
    values = {
        "id": str(vehicle.id),
        "is_repair": audit.is_repair,
        "asked_at": audit.asked_at,
        "known": audit.reached,
        "reached": update.reached,
        "checked": update.counts.checked,
        "missing": update.counts.missing,
        "different": update.counts.different,
        "gone": update.counts.gone,
        "gone_sec": update.gone_sec,
        "seconds": update.seconds,
        "hint": update.hint,
        "start": audit.window.start,
        "end": audit.window.end,
        **store.address_values(vehicle.address),
    }
    audit_findings.add_findings(cursor, vehicle.id, update.counts, _IS_COMPARED, values)
    cursor.execute(_ADVANCE, values)
    row = cursor.fetchone()
    if row is None:
        store.lock_vehicle(cursor, vehicle.id, vehicle.address)
        raise _moved_error(cursor, vehicle.id, audit, update)
    if row[0] and audit.is_repair:
        cursor.execute(_PROVE, values)


def _moved_error(
    cursor: Cursor, vehicle_id: UUID, audit: Audit, update: AuditUpdate
) -> PullStopped:
    cursor.execute(_PROGRESS, (str(vehicle_id), audit.is_repair))
    row = cursor.fetchone()
    if row is None:
        return AuditTaken("cancelled by an operator")
    asked_at, reached, finished, other_hint, watermark, asked_to = row
    if asked_at != audit.asked_at:
        return AuditTaken("replaced by a newer request")
    if other_hint is not None and other_hint != update.hint:
        told = sanitise(other_hint)
        return PullStopped(
            f"the vehicle calls itself {told} meanwhile: the next attempt asks again"
        )
    if watermark is None or watermark < update.reached:
        return PullStopped("last_sync_at was set back meanwhile: what is not pulled is not judged")
    if asked_to is not None:
        return PullStopped("the vehicle's clock is behind: what is not pulled is not judged")
    if reached < audit.reached and not finished:
        return PullStopped("its progress was set back: the database was restored")
    return AuditTaken("another daemon goes on with it")


def fail_audit(cursor: Cursor, vehicle_id: UUID, audit: Audit, error: str) -> None:
    """Record why an audit makes no progress."""
    values = {
        "id": str(vehicle_id),
        "is_repair": audit.is_repair,
        "asked_at": audit.asked_at,
        "error": error,
    }
    cursor.execute(_FAIL, values)
