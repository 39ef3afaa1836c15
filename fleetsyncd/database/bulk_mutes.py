"""Mutes of several vehicles at once, and the way back; each is a transaction of its own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from fleetsyncd.actions import Action
from fleetsyncd.database import mutes
from fleetsyncd.database.bulk import BulkResult, Since
from fleetsyncd.database.mutes import KnownMute, Scope
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicles import read_registered
from fleetsyncd.database.views.sql_times import database_now
from fleetsyncd.errors import CommandError
from fleetsyncd.states import Pause
from fleetsyncd.text import listed

_NEVER = datetime.max.replace(tzinfo=UTC)


def set_muted(
    database: Database, names: Mapping[UUID, str], why: Pause | None, action: Action
) -> BulkResult:
    """Mute vehicles, in place of what was muted before; without a reason end their own mutes.

    Raises CommandError, and mutes none, if one of them was removed.
    """
    scopes = [Scope(key) for key in sorted(names)]
    befores: list[dict[Scope, KnownMute]] = []

    def work(cursor: Cursor) -> BulkResult:
        # A try whose commit was lost may have arrived: the next one finds what it has left.
        befores.append(mutes.read_mutes(cursor, scopes))
        if why is None:
            done = mutes.clear_mutes(cursor, scopes, action)
        else:
            done = mutes.set_mutes(cursor, [(scope, why) for scope in scopes], action)
            if gone := [names[key] for key in names if Scope(key) not in done]:
                raise CommandError(f"{listed(gone)}: removed meanwhile, nothing was done")
        changed = befores[0] if why is None else done
        return _result(changed, next(iter(done.values()), None), befores[0])

    result = database.run(work)
    return result if len(befores) == 1 else BulkResult(result.changed, result.removed, None)


def undo_muted(
    database: Database,
    names: Mapping[UUID, str],
    muted: bool,
    at: Since,
    before: Mapping[UUID, Pause],
    action: Action,
) -> BulkResult:
    """Take back that vehicles were `muted`, or that their mutes were ended, where it is still so.

    Those that were muted `before` are so again, unless that time is over.
    """
    scopes = {key: Scope(key) for key in names}

    def work(cursor: Cursor) -> BulkResult:
        present = mutes.read_mutes(cursor, list(scopes.values()))
        known = {vehicle.id for vehicle in read_registered(cursor, list(names))}
        now = database_now(cursor)
        left = [
            key
            for key, scope in scopes.items()
            if key in known and _is_as_left(present.get(scope), muted, at.get(key))
        ]
        again = {
            key: before[key]
            for key in left
            if key in before and (before[key].until or _NEVER) > now
        }
        done = mutes.set_mutes(cursor, [(scopes[key], why) for key, why in again.items()], action)
        ended = [scopes[key] for key in left if key not in again]
        done |= mutes.clear_mutes(cursor, ended, action)
        when = next(iter(done.values()), None)
        return BulkResult(frozenset(left), frozenset(names) - known, when)

    return database.run(work)


def _is_as_left(present: KnownMute | None, muted: bool, at: str | None) -> bool:
    if not muted:
        return present is None
    return present is not None and (at is None or present.at == at)


def _result(
    changed: Mapping[Scope, object], at: str | None, before: Mapping[Scope, KnownMute]
) -> BulkResult:
    return BulkResult(
        frozenset(scope.vehicle_id for scope in changed if scope.vehicle_id is not None),
        frozenset(),
        at,
        {scope.vehicle_id: each.why for scope, each in before.items() if scope.vehicle_id},
    )
