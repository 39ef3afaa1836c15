"""The tags of vehicles: labels that operators give them, such as a site.

A change names what to add and what to remove, so that two operators who change the tags of one
vehicle at the same time do not undo each other's.
"""

from collections.abc import Collection
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import CommandError
from fleetsyncd.text import sanitise

MOST_TAGS = 16
"""Of one vehicle: each of its cycles writes the row that they stand in."""
_LOCK = """
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id)
SELECT id FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR KEY SHARE
ON CONFLICT (vehicle_id) DO UPDATE SET tags = s.tags
RETURNING vehicle_id::text, tags
"""
_TAGS = "SELECT tags FROM fleetsync.vehicle_state WHERE vehicle_id = %s::uuid"
_SET = """
UPDATE fleetsync.vehicle_state SET tags = ARRAY(
    SELECT DISTINCT t COLLATE "C" FROM unnest(tags || %(add)s::text[]) t
    WHERE t <> ALL (%(remove)s::text[]) ORDER BY 1)
WHERE vehicle_id = ANY (%(ids)s::uuid[])
"""
_IN_USE = 'SELECT DISTINCT t COLLATE "C" FROM fleetsync.vehicle_state, unnest(tags) t ORDER BY 1'
_WITH_TAGS = "SELECT vehicle_id::text FROM fleetsync.vehicle_state WHERE tags && %s::text[]"


def change_tags(
    cursor: Cursor, vehicle_id: UUID, add: Collection[str], remove: Collection[str]
) -> None:
    """Add and remove tags of a vehicle; what it has already, or has not, is no error.

    Raises CommandError if the vehicle is gone, or would have more than MOST_TAGS tags.
    """
    change_tags_of(cursor, [vehicle_id], add, remove)


def change_tags_of(
    cursor: Cursor, ids: Collection[UUID], add: Collection[str], remove: Collection[str]
) -> None:
    """Change the tags of vehicles as `change_tags` those of one."""
    cursor.execute(_LOCK, ([str(key) for key in ids],))
    rows = cursor.fetchall()
    if len(rows) < len(ids):
        raise CommandError("the vehicle was removed meanwhile")
    most = max((len({*tags, *add} - {*remove}) for _, tags in rows), default=0)
    if most > MOST_TAGS:
        raise CommandError(f"a vehicle has {MOST_TAGS} tags at most, it would have {most}")
    values = {"ids": [key for key, _ in rows], "add": list(add), "remove": list(remove)}
    cursor.execute(_SET, values)


def lacked_tags(cursor: Cursor, vehicle_id: UUID, tags: Collection[str]) -> list[str]:
    """Return those of the tags that the vehicle does not have, in alphabetical order."""
    cursor.execute(_TAGS, (str(vehicle_id),))
    row = cursor.fetchone()
    return sorted({*tags} - {*(row[0] if row else ())})


def vehicles_with(cursor: Cursor, tags: Collection[str]) -> list[UUID]:
    """Return the vehicles that have one of the tags."""
    cursor.execute(_WITH_TAGS, (list(tags),))
    return [UUID(key) for (key,) in cursor.fetchall()]


def tags_in_use(cursor: Cursor) -> list[str]:
    """Return the tags that any vehicle has, in alphabetical order."""
    cursor.execute(_IN_USE)
    return [sanitise(tag) for (tag,) in cursor.fetchall()]
