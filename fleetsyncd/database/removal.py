"""Removal of vehicles from the fleet: one transaction, all of them or none.

A daemon goes on pulling them until their rows are locked, which is at the end and for a moment:
nothing has to be paused before, and a command that is killed leaves nothing behind. Measurements
stay, for `purge` to delete them in batches, unless a foreign key ties them to their vehicle.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg2
from psycopg2 import errorcodes

from fleetsyncd.actions import Action
from fleetsyncd.database import action_log, losses, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_state import IS_PAUSED
from fleetsyncd.database.vehicle_terms import JOIN_TERMS, TERMS
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError

REMOVAL_SEC = 3600
"""The longest statement: tied measurements may be a hundred million rows."""
LOCK_ATTEMPTS = 120
"""More than the seconds after which a daemon's transaction is ended."""
_TRY_LOCK_MS = 500
"""Less than the usual deadlock_timeout, so that the removal is not what ends a deadlock."""
_HISTORY = "sync_journal"
"""Only ever added to, so that nobody waits while its rows are being deleted."""
_DEPENDENT = ("alarms_log", "channel_config", _HISTORY)
_ARE_TIED = """
SELECT EXISTS (
    SELECT FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'public.vehicles'::regclass
      AND (conrelid = 'public.measurements'::regclass
           OR conrelid IN (SELECT relid FROM pg_partition_tree('public.measurements'))))
"""
_HAS_MEASUREMENTS = """
SELECT EXISTS (SELECT FROM public.measurements WHERE vehicle_id = %s::uuid)
"""
# Minutes may outlive the rows that they were computed from.
_HAS_MINUTES = """
SELECT EXISTS (SELECT FROM public.measurements_minute WHERE vehicle_id = %s::uuid)
"""
# A cycle asks for what is a few seconds older than the watermark, so it does not meet these rows.
_DELETE_SETTLED = """
DELETE FROM public.measurements WHERE vehicle_id = %(id)s::uuid
    AND time < (SELECT least(coalesce(last_sync_at, now()), now()) - interval '1 hour'
                FROM public.vehicles WHERE id = %(id)s::uuid)
"""
_LOCK = """
SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR UPDATE
"""
_LOST = """
coalesce((SELECT range_agg(tstzrange(l.from_at, l.to_at)) FROM fleetsync.lost_interval l
          WHERE l.vehicle_id = v.id AND l.kind = '{}'), '{{}}')"""
# Where its clock was behind, the watermark is not where it goes on.
_RECORD = f"""
INSERT INTO fleetsync.removed_vehicle (vehicle_id, name, vpn_ip, api_port, created_at,
    last_sync_at, newest_measurement_at, id_hint, had_own_key, paused, paused_until,
    pause_reason, paused_by, tags, interval_sec, timeout_sec, window_sec, gap_kbit, granted_to,
    removed_at, purged_until, covered_from, gone, missing)
SELECT v.id, v.name, v.vpn_ip, v.api_port, v.created_at, least(v.last_sync_at, s.asked_to),
    s.newest_measurement_at,
    s.id_hint, coalesce(v.api_key, '') <> '', {IS_PAUSED},
    s.paused_until, s.pause_reason, s.paused_by,
    coalesce(s.tags, '{{}}'), {TERMS},
    ARRAY(SELECT DISTINCT user_id FROM public.vehicle_access WHERE vehicle_id = v.id), now(),
    CASE WHEN %(purge)s THEN timestamptz '-infinity' END, s.covered_from,
    {_LOST.format(losses.GONE)}, {_LOST.format(losses.MISSING)}
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id {JOIN_TERMS}
WHERE v.id = %(id)s::uuid
"""  # noqa: S608  made of this project's own text
_USERS = """
SELECT DISTINCT user_id::text FROM public.vehicle_access WHERE vehicle_id = %s::uuid ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a vehicle's measurements, and which users see it no more."""

    vehicle_id: UUID
    measurements_removed: int
    measurements_left: bool
    users: tuple[UUID, ...] = ()


def remove_seen(
    database: Database,
    seen: Sequence[RegisteredVehicle],
    *,
    with_measurements: bool,
    action: Action | None = None,
) -> list[Removal]:
    """Remove vehicles as `remove_vehicles` does, if they are still registered as they were `seen`.

    Raises CommandError if somebody has changed one meanwhile; one that was removed is as wanted.
    """

    def work(cursor: Cursor) -> list[Removal]:
        _require_unchanged(cursor, seen)  # before much is deleted, to be rolled back
        return remove(
            cursor,
            [vehicle.id for vehicle in seen],
            with_measurements=with_measurements,
            check=lambda: _require_unchanged(cursor, seen),
            action=action,
        )

    return database.run(work)


def _require_unchanged(cursor: Cursor, seen: Sequence[RegisteredVehicle]) -> None:
    known = {vehicle.id: vehicle for vehicle in seen}
    for stored in vehicles.read_registered(cursor, list(known)):
        vehicles.require_unchanged(stored, known[stored.id])


def remove_vehicles(
    database: Database, ids: Sequence[UUID], *, with_measurements: bool
) -> list[Removal]:
    """Remove vehicles with their journal, alarms and channels; raise CommandError if one cannot be.

    If `with_measurements`, those that are left are marked for `purge`: it must be run next.
    """
    return database.run(lambda cursor: remove(cursor, ids, with_measurements=with_measurements))


def remove(
    cursor: Cursor,
    ids: Sequence[UUID],
    *,
    with_measurements: bool,
    check: Callable[[], None] = lambda: None,
    action: Action | None = None,
) -> list[Removal]:
    """Remove vehicles within a transaction, as `remove_vehicles` does.

    `check` is called when nobody else can change them any more; if it raises, nothing is removed.
    With an `action` the removal is recorded.
    """
    ids = sorted(ids)  # two removals at the same time do not deadlock
    cursor.execute(f"SELECT set_config('statement_timeout', '{REMOVAL_SEC}s', true)")
    are_tied = _is_true(cursor, _ARE_TIED)
    deletes = are_tied and with_measurements
    deleted = {key: _delete_beforehand(cursor, key, deletes) for key in ids}
    present = _lock(cursor, ids)
    check()
    for key in present if deletes else ():
        deleted[key] += _delete(cursor, "measurements", key)
        _delete(cursor, "measurements_minute", key)
    left = set() if deletes else {key for key in ids if _has_measurements(cursor, key)}
    if are_tied and left:
        # The foreign key forbids the removal, or would delete what is to stay.
        raise CommandError(_foreign_key_hint("measurements"))
    left |= {key for key in present if _is_true(cursor, _HAS_MINUTES, str(key))}
    before = action_log.read_values(cursor, present)
    users = {}
    for key in present:
        _record(cursor, key, wanted=key in left or not with_measurements, purge=with_measurements)
        users[key] = _take_out(cursor, key)
    action_log.record_since(cursor, action, before, present)
    return [Removal(key, deleted[key], key in left, users.get(key, ())) for key in ids]


def _delete_beforehand(cursor: Cursor, key: UUID, measurements: bool) -> int:
    """Delete most of a vehicle's rows, before its own is locked; return how many measurements."""
    _delete(cursor, _HISTORY, key)
    if not measurements:
        return 0
    cursor.execute(_DELETE_SETTLED, {"id": str(key)})
    return cursor.rowcount


def _lock(cursor: Cursor, ids: Sequence[UUID]) -> list[UUID]:
    """Lock the vehicles' rows and return those that are there, in the same order.

    A daemon that waits for a deleted row holds its vehicle's row meanwhile. It gives up after a
    while; the removal, which may be most of an hour old, does not.
    """
    cursor.execute(
        f"SELECT set_config('lock_timeout', '{_TRY_LOCK_MS}ms', true); SAVEPOINT unlocked"
    )
    for _ in range(LOCK_ATTEMPTS):
        try:
            cursor.execute(_LOCK, ([str(key) for key in ids],))
        except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
            cursor.execute("ROLLBACK TO SAVEPOINT unlocked")
            time.sleep(_TRY_LOCK_MS / 1000)
        else:
            present = [UUID(key) for (key,) in cursor.fetchall()]
            cursor.execute("SELECT set_config('lock_timeout', '0', true)")
            return present
    raise CommandError(
        "another program holds the vehicle's row for minutes: nothing was removed; look for open"
        " transactions in pg_stat_activity"
    )


def _record(cursor: Cursor, key: UUID, *, wanted: bool, purge: bool) -> None:
    """Record what is known of a vehicle, if it is wanted, in place of an older record.

    One of the same id may have been removed before, and registered by another program.
    """
    cursor.execute("DELETE FROM fleetsync.removed_vehicle WHERE vehicle_id = %s::uuid", (str(key),))
    if wanted:
        cursor.execute(_RECORD, {"id": str(key), "purge": purge})


def _take_out(cursor: Cursor, key: UUID) -> tuple[UUID, ...]:
    """Remove a locked vehicle; return the users who see it no more."""
    users = _users(cursor, key)
    for table in _DEPENDENT:
        _delete(cursor, table, key)
    try:
        cursor.execute("DELETE FROM public.vehicles WHERE id = %s::uuid", (str(key),))
    except psycopg2.IntegrityError as error:
        if error.pgcode != errorcodes.FOREIGN_KEY_VIOLATION:
            raise
        raise CommandError(_foreign_key_hint(str(error.diag.table_name))) from None
    # Without a foreign key these rows stay.
    return tuple(sorted(users - _users(cursor, key)))


def _delete(cursor: Cursor, table: str, key: UUID) -> int:
    """Delete a vehicle's rows of one of the shared tables; return how many there were."""
    cursor.execute(f"DELETE FROM public.{table} WHERE vehicle_id = %s::uuid", (str(key),))  # noqa: S608  constants
    return cursor.rowcount


def _users(cursor: Cursor, key: UUID) -> set[UUID]:
    cursor.execute(_USERS, (str(key),))
    return {UUID(user) for (user,) in cursor.fetchall()}


def _has_measurements(cursor: Cursor, key: UUID) -> bool:
    return _is_true(cursor, _HAS_MEASUREMENTS, str(key))


def _is_true(cursor: Cursor, query: str, *arguments: str) -> bool:
    cursor.execute(query, arguments)
    return bool(cursor.fetchall()[0][0])


def _foreign_key_hint(table: str) -> str:
    if table.startswith("measurements"):
        return "this database ties measurements to their vehicle: add --with-measurements"
    return f"the vehicle cannot be removed while rows of {table} refer to it"
