"""Read-only queries over the notices: what was told, to whom, what waits, and what is muted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from fleetsyncd.database.notices import GIVEN_UP_AFTER, KINDS, WAITS, stored_notice
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.database.views.sql_times import from_epoch
from fleetsyncd.notices import StoredNotice
from fleetsyncd.states import Pause
from fleetsyncd.text import sanitise

PAGE_ROWS = 200
_LIMIT = 200
_LISTED = f"""
SELECT n.id, n.at, n.kind, n.severity, n.vehicle_id::text, n.vehicle_name, n.tags, n.title,
    n.detail, coalesce((SELECT json_agg(json_build_array(x.target, x.outcome,
                                        extract(epoch FROM x.at)::float8) ORDER BY x.target)
    FROM (SELECT d.target, d.outcome, d.at FROM fleetsync.notice_delivery d
          WHERE d.notice_id = n.id AND d.outcome <> 'not for it'
          UNION ALL
          SELECT t.target, 'waits', NULL FROM fleetsync.notice_target t WHERE {WAITS}) x), '[]')
FROM fleetsync.notice n
WHERE n.kind = ANY (%(kinds)s::text[]) {{conditions}}
ORDER BY n.at DESC, n.id DESC LIMIT %(limit)s
"""  # noqa: S608  made of this project's own text
_UNTOLD = f"""
AND (EXISTS (SELECT FROM fleetsync.notice_delivery d
             WHERE d.notice_id = n.id AND d.outcome = 'given up')
     OR EXISTS (SELECT FROM fleetsync.notice_target t WHERE {WAITS}))
"""  # noqa: S608  made of this project's own text
# A mute of a tag or of the fleet has no vehicle, and is for all that a dashboard shows of it.
_MUTES = """
SELECT m.vehicle_id::text, coalesce(v.name, 'tag ' || m.tag, 'the fleet'), m.at, m.until, m.reason,
    m.muted_by, count(*) OVER ()
FROM fleetsync.mute m LEFT JOIN public.vehicles v ON v.id = m.vehicle_id
WHERE (m.until IS NULL OR m.until > now())
  AND strpos(lower(coalesce(v.name, 'tag ' || m.tag, 'the fleet')), lower(%(name)s)) > 0
  AND (%(vehicles)s::uuid[] IS NULL OR m.vehicle_id = ANY (%(vehicles)s::uuid[])
       OR m.tag = ANY (%(tags)s::text[]) OR (m.vehicle_id IS NULL AND m.tag IS NULL))
ORDER BY m.at DESC, m.vehicle_id, m.tag LIMIT %(limit)s
"""


class Fate(StrEnum):
    """What became of a notice at a target."""

    SENT = "sent"
    GIVEN_UP = "given up"
    WAITS = "waits"
    """It is not sent yet, or the target fails and is tried again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a notice at a target, and when; no time while it waits."""

    target: str
    fate: Fate
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedNotice:
    """A notice, and what became of it at each target that it is for."""

    stored: StoredNotice
    deliveries: tuple[Delivery, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedMute:
    """A mute in force, and since when; without a vehicle it is of a tag or of the fleet."""

    vehicle_id: UUID | None
    scope: str
    at: datetime
    why: Pause


@dataclass(frozen=True, slots=True)
class MuteList:
    """The newest mutes in force, and how many there are in all."""

    mutes: tuple[ListedMute, ...] = ()
    total: int = 0


def read_notices(
    cursor: Cursor,
    *,
    vehicles: Collection[UUID] | None = None,
    name_part: str = "",
    before: StoredNotice | None = None,
    only_untold: bool = False,
    limit: int = PAGE_ROWS,
) -> list[ListedNotice]:
    """Return a page of the notices, newest first: of some vehicles, or all of them.

    `name_part` is a part of a vehicle's name, whatever the case. `before` is the last one of the
    page above. `only_untold`: those that wait, or were given up, at some target.
    """
    conditions = _UNTOLD if only_untold else ""
    values: dict[str, Any] = {"kinds": KINDS, "kept": GIVEN_UP_AFTER, "limit": limit}
    if vehicles is not None:
        conditions += " AND n.vehicle_id = ANY (%(vehicles)s::uuid[])"
        values["vehicles"] = list(map(str, vehicles))
    if name_part:
        conditions += " AND strpos(lower(coalesce(n.vehicle_name, '')), lower(%(name)s)) > 0"
        values["name"] = name_part
    if before is not None:
        conditions += " AND (n.at, n.id) < (%(at)s, %(id)s)"
        values |= {"at": before.at, "id": before.id}
    cursor.execute(_LISTED.format(conditions=conditions), values)
    return [
        ListedNotice(stored_notice(*row), tuple(_delivery(*each) for each in deliveries))
        for *row, deliveries in cursor.fetchall()
    ]


def read_mutes(
    cursor: Cursor,
    *,
    vehicles: Collection[UUID] | None = None,
    tags: Collection[str] = (),
    name_part: str = "",
) -> MuteList:
    """Return the mutes in force: of these vehicles, of these tags and of the fleet, or all.

    None for a role that may not read them.
    """
    if not may_read(cursor, "fleetsync.mute"):
        return MuteList()
    keys = None if vehicles is None else list(map(str, vehicles))
    values = {"vehicles": keys, "tags": list(tags), "name": name_part, "limit": PAGE_ROWS}
    cursor.execute(_MUTES, values)
    rows = cursor.fetchall()
    return MuteList(tuple(_mute(*row[:-1]) for row in rows), rows[0][-1] if rows else 0)


def _delivery(target: str, outcome: str, at: float | None) -> Delivery:
    return Delivery(sanitise(target, _LIMIT), Fate(outcome), from_epoch(at))


def _mute(
    key: str | None,
    scope: str,
    at: datetime,
    until: datetime | None,
    reason: str | None,
    by: str | None,
) -> ListedMute:
    why = Pause(until, reason and sanitise(reason, _LIMIT), by and sanitise(by, _LIMIT))
    return ListedMute(UUID(key) if key else None, sanitise(scope, _LIMIT), at, why)
