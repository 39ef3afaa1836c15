"""Which user may see which vehicle: the rows of `vehicle_access`, which other services read.

The daemon's role only reads them; the tables' owner, or a role that was granted it, writes them.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg2

from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

_RIGHTS = """
SELECT has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'DELETE')
    AND has_table_privilege('fleetsync.action_log', 'INSERT'), current_user,
    pg_get_userbyid(c.relowner)
FROM pg_class c WHERE c.oid = 'public.vehicle_access'::regclass
"""
# An adopted table need not have a unique key.
_GRANT = """
INSERT INTO public.vehicle_access (user_id, vehicle_id)
SELECT DISTINCT %(user)s::uuid, new FROM unnest(%(vehicles)s::uuid[]) new
WHERE NOT EXISTS (SELECT FROM public.vehicle_access a
                  WHERE a.user_id = %(user)s::uuid AND a.vehicle_id = new)
ON CONFLICT DO NOTHING RETURNING vehicle_id::text
"""
_REVOKE = """
DELETE FROM public.vehicle_access
WHERE user_id = %(user)s::uuid AND vehicle_id = ANY(%(vehicles)s::uuid[])
RETURNING vehicle_id::text
"""
_LIST = """
SELECT DISTINCT a.user_id, a.vehicle_id, v.name
FROM public.vehicle_access a LEFT JOIN public.vehicles v ON v.id = a.vehicle_id
WHERE %(user)s::uuid IS NULL OR a.user_id = %(user)s::uuid
ORDER BY a.user_id, v.name, a.vehicle_id
"""


@dataclass(frozen=True, slots=True)
class Access:
    """A user who may see a vehicle; `vehicle` is its name, None if the vehicle is gone."""

    user_id: UUID
    vehicle_id: UUID
    vehicle: str | None


def grant(cursor: Cursor, user_id: UUID, vehicles: Sequence[UUID]) -> set[UUID]:
    """Let a user see these vehicles; return those of them that are new to the user.

    Raises CommandError, as `revoke` does, if the role may not.
    """
    _require_rights(cursor)
    try:
        cursor.execute(_GRANT, _values(user_id, vehicles))
    except psycopg2.errors.ForeignKeyViolation as error:
        # An adopted installation may have a table of users.
        reason = sanitise(error.diag.message_detail or "no such user")
        raise CommandError(f"vehicle_access refuses it: {reason}") from None
    return _ids(cursor)


def revoke(cursor: Cursor, user_id: UUID, vehicles: Sequence[UUID]) -> set[UUID]:
    """Hide these vehicles from a user; return those of them that the user could see."""
    _require_rights(cursor)
    cursor.execute(_REVOKE, _values(user_id, vehicles))
    return _ids(cursor)


def _ids(cursor: Cursor) -> set[UUID]:
    return {UUID(key) for (key,) in cursor.fetchall()}


def list_access(cursor: Cursor, user_id: UUID | None = None) -> list[Access]:
    """Return who may see which vehicle, of one user or of all."""
    cursor.execute(_LIST, {"user": None if user_id is None else str(user_id)})
    return [
        Access(UUID(str(user)), UUID(str(vehicle)), None if name is None else sanitise(name))
        for user, vehicle, name in cursor.fetchall()
    ]


def _values(user_id: UUID, vehicles: Sequence[UUID]) -> dict[str, object]:
    return {"user": str(user_id), "vehicles": [str(vehicle) for vehicle in vehicles]}


def _require_rights(cursor: Cursor) -> None:
    """Raise CommandError naming both ways, unless the role may write the table."""
    cursor.execute(_RIGHTS)
    for may, role, owner in cursor.fetchall():
        if not may:
            raise CommandError(
                f"the role {role} may not change who sees which vehicle: run it with"
                f" DB_USER={shlex.quote(owner)}, the tables' owner, or with a role that has"
                " INSERT and DELETE on public.vehicle_access, and INSERT on fleetsync.action_log"
            )
