"""Changes to several vehicles at once, in one statement: pause, resume, request a sync.

Each is a transaction of its own, pauses and resumptions of very many are several. The vehicles are
locked first, in the order of their ids; what state each is in is judged under the lock of its row.
Names by id are for the errors' texts.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from fleetsyncd.actions import Action
from fleetsyncd.database.action_log import Change, record, recorded
from fleetsyncd.database.pausing import PLAIN
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_state import DATED, IS_OVER, IS_PAUSED, if_dated
from fleetsyncd.database.views import sql_times
from fleetsyncd.errors import CommandError, FleetsyncError
from fleetsyncd.states import Pause
from fleetsyncd.text import listed

_KNOWN = "SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[])"
_LOCK = "SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR KEY SHARE"
# A lookup by key: an array would be gone through for each vehicle, which takes 20 s for 10,000.
_AS_LEFT = """(%(since)s::jsonb ->> s.vehicle_id::text IS NULL
     OR (%(since)s::jsonb ->> s.vehicle_id::text)::timestamptz = s.{dated})"""
"""Whether a vehicle is as it was left at a moment; one that is not known does not matter."""
_KEPT_DATES = f"""resumed_at = CASE WHEN {IS_OVER} THEN s.paused_until
        WHEN {DATED} THEN s.resumed_at END, status_since = {if_dated("status_since")},
    dated_at = now(), updated_at = now()"""
_PAUSE = f"""
INSERT INTO fleetsync.vehicle_state AS s
    (vehicle_id, paused, paused_at, paused_until, pause_reason, paused_by)
SELECT id, true, now(), until, reason, paused_by
FROM unnest(%(ids)s::uuid[], %(until)s::timestamptz[], %(reason)s::text[], %(by)s::text[])
    p (id, until, reason, paused_by) ORDER BY id
ON CONFLICT (vehicle_id) DO UPDATE SET paused = true, paused_at = now(),
    paused_until = excluded.paused_until, pause_reason = excluded.pause_reason,
    paused_by = excluded.paused_by, {_KEPT_DATES}
    WHERE NOT {IS_PAUSED} AND {_AS_LEFT.format(dated="resumed_at")}
RETURNING s.vehicle_id::text, now()::text
"""  # noqa: S608  made of this file's own text
_REPLACE = f"""
UPDATE fleetsync.vehicle_state s SET paused_until = p.until, pause_reason = p.reason,
    paused_by = p.paused_by, paused_at = {if_dated("paused_at")},
    resumed_at = {if_dated("resumed_at")}, status_since = {if_dated("status_since")},
    dated_at = now(), updated_at = now()
FROM unnest(%(ids)s::uuid[], %(until)s::timestamptz[], %(reason)s::text[], %(by)s::text[])
    p (id, until, reason, paused_by)
WHERE s.vehicle_id = p.id AND {IS_PAUSED} AND {_AS_LEFT.format(dated="paused_at")}
RETURNING s.vehicle_id::text, s.paused_at::text
"""  # noqa: S608  made of this file's own text
_RESUME = f"""
UPDATE fleetsync.vehicle_state s SET paused = false, paused_at = NULL, resumed_at = now(),
    paused_until = NULL, pause_reason = NULL, paused_by = NULL,
    status_since = {if_dated("status_since")}, dated_at = now(), updated_at = now()
WHERE vehicle_id = ANY (%(ids)s::uuid[]) AND {IS_PAUSED} AND {_AS_LEFT.format(dated="paused_at")}
RETURNING s.vehicle_id::text, now()::text
"""  # noqa: S608  made of this file's own text
_REQUEST_SYNC = f"""
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, sync_requested_at)
SELECT id, now() FROM unnest(%(ids)s::uuid[]) id ORDER BY id
ON CONFLICT (vehicle_id) DO UPDATE SET sync_requested_at = now(), updated_at = now(),
    dated_at = CASE WHEN {DATED} THEN now() END
    WHERE NOT {IS_PAUSED}
RETURNING s.vehicle_id::text, now()::text
"""  # noqa: S608  made of this file's own text
_READ_PAUSES = f"""
SELECT s.vehicle_id::text, s.paused_until, s.pause_reason, s.paused_by
FROM fleetsync.vehicle_state s
WHERE s.vehicle_id = ANY (%s::uuid[]) AND {IS_PAUSED} FOR NO KEY UPDATE
"""  # noqa: S608  made of this file's own text

AT_ONCE = 1_000
"""Vehicles that one transaction pauses or resumes: a cycle waits for it, if it is one of theirs."""
Since = Mapping[UUID, str | None]
"""When vehicles were paused or resumed, as the database writes times; None, or none: not known."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of the vehicles; those that were left as they are are in none of the sets."""

    changed: frozenset[UUID]
    removed: frozenset[UUID]
    at: str | None = None
    """When those were changed, by the database's clock, as it writes times; None: not known."""
    before: Mapping[UUID, Pause] = field(default_factory=dict)
    """Until when, why and by whom vehicles were paused or muted before, if they were."""
    moments: Mapping[UUID, str | None] = field(default_factory=dict)
    """Since when each is so, where that is not one moment of all."""
    unfinished: frozenset[UUID] = frozenset()
    """Those of the transaction that failed, and of the ones after it, which were not begun."""
    error: FleetsyncError | None = None
    """Why that one failed; the ones before it stay."""

    def at_of(self, vehicle_id: UUID) -> str | None:
        """Return when a vehicle was changed, as the database writes times; None: not known."""
        return self.moments.get(vehicle_id, self.at)


def set_paused(
    database: Database,
    names: Mapping[UUID, str],
    paused: bool,
    action: Action | None = None,
    pause: Pause = PLAIN,
    *,
    replaces: bool = False,
) -> BulkResult:
    """Pause or resume vehicles; return those that were not so already.

    A `pause` that `replaces` end and reason of those that are paused changes these, too. With an
    `action`, as in all functions here, what is changed is recorded. Raises CommandError, and
    changes none, if one of them was removed before. More than AT_ONCE are several transactions: if
    a later one fails, the result tells that, and what the ones before it have changed.
    """
    pauses = dict.fromkeys(names, pause) if paused else {}
    wanted = _Wanted(paused, pauses, replaces=replaces)
    return _set_paused(database, names, wanted, action, all_or_none=True)


def undo_paused(
    database: Database,
    names: Mapping[UUID, str],
    paused: bool,
    at: Since,
    action: Action | None = None,
    pauses: Mapping[UUID, Pause] = MappingProxyType({}),
) -> BulkResult:
    """Resume vehicles that somebody has `paused`, or pause those that somebody has resumed.

    Those that are not as that left them are left as they are. `at` tells when that was: a vehicle
    that was resumed and paused again since is paused since another moment. `pauses` are those that
    were ended or replaced, and are to be again; one whose time is over meanwhile ends at once.
    """
    wanted = _Wanted(not paused, pauses, at)
    return _set_paused(database, names, wanted, action, all_or_none=False)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Whether vehicles are to be paused, for how long and why, if they are as they were left."""

    paused: bool
    pauses: Mapping[UUID, Pause]
    since: Since = field(default_factory=dict)
    replaces: bool = False
    """Whether those that are paused get the new end and reason."""


def _set_paused(
    database: Database,
    names: Mapping[UUID, str],
    wanted: _Wanted,
    action: Action | None,
    *,
    all_or_none: bool,
) -> BulkResult:
    if len(names) <= AT_ONCE:
        return _set_part(database, names, wanted, action, all_or_none=all_or_none)
    if all_or_none:
        database.run(lambda cursor: _require_known(cursor, names))
    # In the order in which they are locked, so that two of these cannot wait for each other.
    ordered = sorted(names)
    parts = [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)]
    done: list[BulkResult] = []
    for part in parts:
        try:
            of_part = {key: names[key] for key in part}
            done.append(_set_part(database, of_part, wanted, action, all_or_none=False))
        except FleetsyncError as error:
            if not done:
                raise
            unfinished = frozenset(ordered[len(done) * AT_ONCE :])
            return replace(_joined(done), unfinished=unfinished, error=error)
    return _joined(done)


def _joined(found: Collection[BulkResult]) -> BulkResult:
    return BulkResult(
        frozenset().union(*(each.changed for each in found)),
        frozenset().union(*(each.removed for each in found)),
        before={key: why for each in found for key, why in each.before.items()},
        moments={key: each.at_of(key) for each in found for key in each.changed},
    )


def _set_part(
    database: Database,
    names: Mapping[UUID, str],
    wanted: _Wanted,
    action: Action | None,
    *,
    all_or_none: bool,
) -> BulkResult:
    tries: list[BulkResult] = []

    def work(cursor: Cursor) -> BulkResult:
        with recorded(cursor, action, names):
            result = _pause_or_resume(cursor, names, wanted)
        if all_or_none:
            _require_registered(names, result)
        tries.append(result)
        return result

    done = database.run(work)
    if len(tries) == 1:
        return done
    # A try whose commit was lost may have arrived: then the next one finds what it has left.
    changed = frozenset().union(*(each.changed for each in tries))
    return BulkResult(changed, done.removed, before=tries[0].before)


def _pause_or_resume(cursor: Cursor, ids: Collection[UUID], wanted: _Wanted) -> BulkResult:
    registered = _lock(cursor, ids)
    cursor.execute(_READ_PAUSES, (list(map(str, registered)),))
    before = {UUID(key): Pause(*why) for key, *why in cursor.fetchall()}
    if wanted.paused:
        replaced = before if wanted.replaces else {}
        rest, statement = [key for key in registered if key not in before], _PAUSE
    else:
        replaced = {key: before[key] for key in wanted.pauses if key in before}
        rest, statement = [key for key in registered if key not in replaced], _RESUME
    done = _joined(
        [
            _change(cursor, rest, statement, wanted.since, wanted.pauses),
            _change(cursor, list(replaced), _REPLACE, wanted.since, wanted.pauses),
        ]
    )
    removed = frozenset(ids).difference(registered)
    return replace(done, removed=removed, before=replaced if wanted.paused else before)


def request_sync(
    database: Database, names: Mapping[UUID, str], action: Action | None = None
) -> datetime:
    """Ask the daemon to sync vehicles now; return when, by the database's clock.

    Raises CommandError, and requests nothing, if one of them was removed or is paused.
    """

    def work(cursor: Cursor) -> datetime:
        registered = _lock(cursor, names)
        result = _change(cursor, registered, _REQUEST_SYNC, {})
        result = replace(result, removed=frozenset(names).difference(registered))
        _require_registered(names, result)
        if paused := set(names) - result.changed:
            raise CommandError(f"{_named(names, paused)}: paused, resume first")
        record(cursor, action, [Change(key, after={"sync": "requested"}) for key in names])
        return sql_times.database_now(cursor)

    return database.run(work)


def _lock(cursor: Cursor, ids: Collection[UUID]) -> list[UUID]:
    """Lock vehicles in the order of their ids, and return those that are registered."""
    cursor.execute(_LOCK, (list(map(str, ids)),))
    return [UUID(key) for (key,) in cursor.fetchall()]


def _change(
    cursor: Cursor,
    registered: Sequence[UUID],
    statement: str,
    since: Since,
    pauses: Mapping[UUID, Pause] = MappingProxyType({}),
) -> BulkResult:
    reasons = [pauses.get(key, PLAIN) for key in registered]
    values = {
        "ids": list(map(str, registered)),
        "since": json.dumps({str(key): since[key] for key in registered if since.get(key)}),
        "until": [each.until for each in reasons],
        "reason": [each.reason for each in reasons],
        "by": [each.by for each in reasons],
    }
    if not registered:
        return BulkResult(frozenset(), frozenset())
    cursor.execute(statement, values)
    moments = {UUID(key): at for key, at in cursor.fetchall()}
    return BulkResult(frozenset(moments), frozenset(), moments=moments)


def _require_known(cursor: Cursor, names: Mapping[UUID, str]) -> None:
    cursor.execute(_KNOWN, (list(map(str, names)),))
    known = {UUID(key) for (key,) in cursor.fetchall()}
    _require_registered(names, BulkResult(frozenset(), frozenset(names) - known))


def _require_registered(names: Mapping[UUID, str], result: BulkResult) -> None:
    if result.removed:
        raise CommandError(f"{_named(names, result.removed)}: removed meanwhile, nothing was done")


def _named(names: Mapping[UUID, str], some: Collection[UUID]) -> str:
    return listed([name for key, name in names.items() if key in some])
