"""Changes to several vehicles at once, in one statement: pause, resume, request a sync.

Each is a transaction of its own. The vehicles are locked first, in the order of their ids; what
state each is in is judged under the lock of its row. Names by id are for the errors' texts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views import sql_times
from fleetsyncd.errors import CommandError
from fleetsyncd.text import listed

_LOCK = "SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR KEY SHARE"
_PAUSE = """
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, paused)
SELECT id, true FROM unnest(%s::uuid[]) id ORDER BY id
ON CONFLICT (vehicle_id) DO UPDATE SET paused = true, updated_at = now() WHERE NOT s.paused
RETURNING s.vehicle_id::text
"""
_RESUME = """
UPDATE fleetsync.vehicle_state SET paused = false, updated_at = now()
WHERE vehicle_id = ANY (%s::uuid[]) AND paused
RETURNING vehicle_id::text
"""
_REQUEST_SYNC = """
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, sync_requested_at)
SELECT id, now() FROM unnest(%s::uuid[]) id ORDER BY id
ON CONFLICT (vehicle_id) DO UPDATE SET sync_requested_at = now(), updated_at = now()
    WHERE NOT s.paused
RETURNING s.vehicle_id::text
"""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of the vehicles; those that were left as they are are in neither set."""

    changed: frozenset[UUID]
    removed: frozenset[UUID]


def set_paused(database: Database, names: Mapping[UUID, str], paused: bool) -> frozenset[UUID]:
    """Pause or resume vehicles; return those that were not so already.

    Raises CommandError, and changes none, if one of them was removed.
    """
    return _set_paused(database, names, paused, all_or_none=True).changed


def undo_paused(database: Database, names: Mapping[UUID, str], paused: bool) -> BulkResult:
    """Resume vehicles that somebody has `paused`, or pause those that somebody has resumed.

    Those that are not as that left them are left as they are.
    """
    return _set_paused(database, names, not paused, all_or_none=False)


def _set_paused(
    database: Database, names: Mapping[UUID, str], paused: bool, *, all_or_none: bool
) -> BulkResult:
    changed: set[UUID] = set()

    def work(cursor: Cursor) -> frozenset[UUID]:
        result = _change(cursor, names, _PAUSE if paused else _RESUME)
        if all_or_none:
            _require_registered(names, result)
        # A try whose commit was lost may have arrived: then the next one finds nothing to change.
        changed.update(result.changed)
        return result.removed

    removed = database.run(work)
    return BulkResult(frozenset(changed), removed)


def request_sync(database: Database, names: Mapping[UUID, str]) -> datetime:
    """Ask the daemon to sync vehicles now; return when, by the database's clock.

    Raises CommandError, and requests nothing, if one of them was removed or is paused.
    """

    def work(cursor: Cursor) -> datetime:
        result = _change(cursor, names, _REQUEST_SYNC)
        _require_registered(names, result)
        if paused := set(names) - result.changed:
            raise CommandError(f"{_named(names, paused)}: paused, resume first")
        return sql_times.database_now(cursor)

    return database.run(work)


def _change(cursor: Cursor, ids: Collection[UUID], statement: str) -> BulkResult:
    cursor.execute(_LOCK, (list(map(str, ids)),))
    registered = _ids(cursor)
    cursor.execute(statement, (list(map(str, registered)),))
    return BulkResult(_ids(cursor), frozenset(ids) - registered)


def _ids(cursor: Cursor) -> frozenset[UUID]:
    return frozenset(UUID(text) for (text,) in cursor.fetchall())


def _require_registered(names: Mapping[UUID, str], result: BulkResult) -> None:
    if result.removed:
        raise CommandError(f"{_named(names, result.removed)}: removed meanwhile, nothing was done")


def _named(names: Mapping[UUID, str], some: Collection[UUID]) -> str:
    return listed([name for key, name in names.items() if key in some])
