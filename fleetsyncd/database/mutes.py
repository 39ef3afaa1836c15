"""Mutes: vehicles that are pulled, and of which nothing is told.

One is of a vehicle, of all that have a tag, or of the fleet. It ends at its time whether or not a
daemon runs; the daemon then deletes its row, so that the log has its end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fleetsyncd.actions import Action, daemon_actor
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.pool import Cursor
from fleetsyncd.slices import Slices
from fleetsyncd.states import Mute, Pause
from fleetsyncd.text import sanitise
from fleetsyncd.times import iso_ms

_LIMIT = 200
_SCOPES = "unnest(%(ids)s::uuid[], %(tags)s::text[]) w (vehicle_id, tag)"
# As the unique index has it.
_IS_SAME = """coalesce(m.vehicle_id::text, '') = coalesce(w.vehicle_id::text, '')
    AND coalesce(m.tag, '') = coalesce(w.tag, '')"""
_READ = f"""
SELECT m.vehicle_id::text, m.tag, m.until, m.reason, m.muted_by, m.at::text
FROM fleetsync.mute m JOIN {_SCOPES} ON {_IS_SAME}
ORDER BY m.vehicle_id, m.tag FOR UPDATE OF m
"""  # noqa: S608  made of this file's own text
_SET = """
INSERT INTO fleetsync.mute (vehicle_id, tag, until, reason, muted_by)
SELECT w.vehicle_id, w.tag, w.until, w.reason, w.muted_by
FROM unnest(%(ids)s::uuid[], %(tags)s::text[], %(until)s::timestamptz[], %(reason)s::text[],
    %(by)s::text[]) w (vehicle_id, tag, until, reason, muted_by)
WHERE w.vehicle_id IS NULL
   OR w.vehicle_id IN (
       SELECT id FROM public.vehicles WHERE id = ANY (%(ids)s::uuid[]) FOR KEY SHARE)
ORDER BY w.vehicle_id, w.tag
ON CONFLICT ((coalesce(vehicle_id::text, '')), (coalesce(tag, ''))) DO UPDATE SET
    until = excluded.until, reason = excluded.reason, muted_by = excluded.muted_by, at = now()
RETURNING vehicle_id::text, tag, now()::text
"""
_CLEAR = f"""
DELETE FROM fleetsync.mute m USING {_SCOPES}
WHERE {_IS_SAME} RETURNING m.vehicle_id::text, m.tag, now()::text
"""  # noqa: S608  made of this file's own text
_END = """
DELETE FROM fleetsync.mute WHERE until <= now()
RETURNING vehicle_id::text, tag, until, reason, muted_by
"""
_MUTED = """
WITH active AS MATERIALIZED (
    SELECT * FROM fleetsync.mute WHERE until IS NULL OR until > coalesce(%(now)s, now())
),
each_one AS (
    SELECT vehicle_id, 'vehicle' AS scope, until, reason, muted_by, at FROM active
    WHERE vehicle_id IS NOT NULL
    UNION ALL
    SELECT s.vehicle_id, 'tag ' || a.tag, a.until, a.reason, a.muted_by, a.at
    FROM active a JOIN fleetsync.vehicle_state s ON a.tag = ANY (s.tags)
    WHERE a.tag IS NOT NULL
    UNION ALL
    SELECT v.id, 'fleet', a.until, a.reason, a.muted_by, a.at
    FROM active a CROSS JOIN public.vehicles v WHERE a.vehicle_id IS NULL AND a.tag IS NULL
)
SELECT DISTINCT ON (vehicle_id) vehicle_id::text, until, reason, muted_by, scope, at FROM each_one
WHERE %(ids)s::uuid[] IS NULL OR vehicle_id = ANY (%(ids)s::uuid[])
ORDER BY vehicle_id, until DESC NULLS FIRST, scope DESC
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a mute is of: a vehicle, the vehicles with a tag; with neither of both, the fleet."""

    vehicle_id: UUID | None = None
    tag: str | None = None

    def __str__(self) -> str:
        if self.vehicle_id is not None:
            return str(self.vehicle_id)
        return "the fleet" if self.tag is None else f"tag {self.tag}"


FLEET = Scope()


@dataclass(frozen=True, slots=True)
class KnownMute:
    """A stored mute: why, and when it was set, as the database writes times."""

    why: Pause
    at: str


def muted(
    cursor: Cursor,
    ids: Collection[UUID] | None = None,
    now: datetime | None = None,
    slices: Slices | None = None,
) -> dict[UUID, Mute]:
    """Return those of these vehicles, or of all, that are muted, each with its longest mute.

    `now` is the present by the database's clock if it is None. With `slices`, others run meanwhile.
    """
    cursor.execute(_MUTED, {"ids": None if ids is None else list(map(str, ids)), "now": now})
    return {
        UUID(key): Mute(until, reason and sanitise(reason, _LIMIT), sanitise(by, _LIMIT), *scope)
        for key, until, reason, by, *scope in (slices or Slices()).each(cursor)
    }


def read_mutes(cursor: Cursor, scopes: Collection[Scope]) -> dict[Scope, KnownMute]:
    """Return the stored mutes of exactly these, and lock them until commit."""
    cursor.execute(_READ, _values(scopes))
    return {
        _scope(key, tag): KnownMute(Pause(until, reason, by), at)
        for key, tag, until, reason, by, at in cursor.fetchall()
    }


def set_mutes(
    cursor: Cursor, wanted: Sequence[tuple[Scope, Pause]], action: Action
) -> dict[Scope, str]:
    """Mute, in place of what was muted before; return when, as the database writes times.

    Vehicles that were removed meanwhile are left out.
    """
    before = read_mutes(cursor, [scope for scope, _ in wanted])
    ordered = dict(wanted)
    values = _values(ordered) | {
        "until": [why.until for why in ordered.values()],
        "reason": [why.reason for why in ordered.values()],
        "by": [why.by or action.actor.login for why in ordered.values()],
    }
    cursor.execute(_SET, values)
    done = {_scope(key, tag): str(at) for key, tag, at in cursor.fetchall()}
    after = {scope: ordered[scope] for scope in done}
    record(cursor, action, _changes({key: each.why for key, each in before.items()}, after))
    return done


def clear_mutes(cursor: Cursor, scopes: Collection[Scope], action: Action) -> dict[Scope, str]:
    """End the mutes of exactly these; return when, as the database writes times."""
    before = {key: each.why for key, each in read_mutes(cursor, scopes).items()}
    cursor.execute(_CLEAR, _values(scopes))
    done = {_scope(key, tag): str(at) for key, tag, at in cursor.fetchall()}
    record(cursor, action, _changes({scope: before[scope] for scope in done}, {}))
    return done


def end_mutes(cursor: Cursor) -> None:
    """Delete the mutes whose time is over."""
    cursor.execute(_END)
    ended = {_scope(key, tag): Pause(*why) for key, tag, *why in cursor.fetchall()}
    action = Action("vehicle unmute: the time of its mute is over", daemon_actor())
    record(cursor, action, _changes(ended, {}))


def _values(scopes: Collection[Scope]) -> dict[str, Any]:
    return {
        "ids": [scope.vehicle_id and str(scope.vehicle_id) for scope in scopes],
        "tags": [scope.tag for scope in scopes],
    }


def _scope(key: str | None, tag: str | None) -> Scope:
    return Scope(None if key is None else UUID(key), tag)


def _changes(before: dict[Scope, Pause], after: dict[Scope, Pause]) -> list[Change]:
    """Return a change for each vehicle, and one for tags and the fleet together."""
    changes = [
        Change(key, _text(before.get(scope)), _text(after.get(scope)))
        for scope in {**before, **after}
        if (key := scope.vehicle_id) is not None and before.get(scope) != after.get(scope)
    ]
    old, new = (
        {str(scope): _line(why) for scope, why in each.items() if scope.vehicle_id is None}
        for each in (before, after)
    )
    return [*changes, Change(None, old or None, new or None)] if old != new else changes


def _text(why: Pause | None) -> dict[str, str] | None:
    return None if why is None else {"muted": _line(why)}


def _line(why: Pause) -> str:
    until = "until it is ended" if why.until is None else f"until {iso_ms(why.until)}"
    return f"{until}: {why.reason}" if why.reason else until
