"""Notices: what operators are told of, whom it was sent to, and whom it waits for.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.notices import (
    DETAIL_LIMIT,
    TITLE_LIMIT,
    Notice,
    NoticeKind,
    StoredNotice,
    Subject,
    Weight,
)
from fleetsyncd.text import sanitise

NAME_LIMIT = 200
GIVEN_UP_AFTER = timedelta(days=1)
KINDS = [kind.value for kind in NoticeKind]
"""Those that this version knows; a newer one may write others."""
_ADD = """
INSERT INTO fleetsync.notice (kind, severity, vehicle_id, vehicle_name, tags, title, detail)
SELECT n.kind, n.severity, n.id, n.name,
    coalesce((SELECT s.tags FROM fleetsync.vehicle_state s WHERE s.vehicle_id = n.id), '{}'),
    n.title, n.detail
FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[])
    WITH ORDINALITY n(kind, severity, id, name, title, detail, number) ORDER BY n.number
"""
# What waits for one that is no longer configured is sent by a new one: if it fails, by any, as its
# secret may have been renewed; if it was used a moment ago, by one of its service and host.
_SEEN = """
INSERT INTO fleetsync.notice_target AS t (target, since)
SELECT target, coalesce((
    SELECT min(coalesce(f.sent_at, f.since)) FROM fleetsync.notice_target f
    WHERE f.target <> ALL (%(targets)s::text[])
      AND (f.failing_since > now() - interval '1 day'
           OR (split_part(f.target, '#', 1) = split_part(n.target, '#', 1)
               AND f.seen_at > now() - interval '1 hour'))), now())
FROM unnest(%(targets)s::text[]) n(target)
ON CONFLICT (target) DO UPDATE SET seen_at = now()
"""
# One that was taken out of the configuration is not seen any more while others are. While no daemon
# runs none is, and what waits for them waits on.
_IS_WANTED = """
t.seen_at > greatest((SELECT max(seen_at) FROM fleetsync.notice_target) - interval '10 minutes',
                     now() - interval '1 day')
"""
_TARGETS = f"""
SELECT target, since, sent_at, failing_since, failures, next_at, last_error, failed_at
FROM fleetsync.notice_target t
WHERE {_IS_WANTED} ORDER BY target
"""  # noqa: S608  made of this file's own text
UNTOLD = """
n.at >= t.since AND n.at > now() - 2 * %(kept)s::interval
AND NOT EXISTS (SELECT FROM fleetsync.notice_delivery d
                WHERE d.notice_id = n.id AND d.target = t.target)
"""
"""SQL for whether nothing has become of a notice `n` yet at a target `t`."""
WAITS = f"{_IS_WANTED} AND {UNTOLD}"
"""SQL for whether a notice `n` waits for a target `t` of those that are used."""
_BACKLOG = f"""
SELECT n.kind, count(*)::int, now() - min(n.at)
FROM fleetsync.notice n CROSS JOIN fleetsync.notice_target t
WHERE n.kind = ANY (%(kinds)s::text[]) AND {WAITS} GROUP BY n.kind
"""  # noqa: S608  made of this file's own text
_GIVEN_UP = """
SELECT count(DISTINCT notice_id)::int FROM fleetsync.notice_delivery
WHERE outcome = 'given up' AND at > now() - interval '7 days'
"""
_EXPIRE = """
DELETE FROM fleetsync.notice WHERE id = ANY (ARRAY(
    SELECT id FROM fleetsync.notice WHERE at < now() - %s::interval ORDER BY at LIMIT 1000))
"""

_TRY_ROOM = """
WITH tried AS (
    INSERT INTO fleetsync.notice (kind, severity, title, detail)
    SELECT 'trial', 'info', '', repeat('x', 1000) FROM generate_series(1, 100)
    RETURNING id
)
SELECT count(*) FROM tried;
DELETE FROM fleetsync.notice WHERE kind = 'trial' AND at = now()
"""


@dataclass(frozen=True, slots=True)
class TargetState:
    """Whom notices are sent to, and how that goes."""

    target: str
    since: datetime
    sent_at: datetime | None
    failing_since: datetime | None
    failures: int
    next_at: datetime | None
    """When it is tried again, if it fails."""
    last_error: str | None
    """Why it failed last, perhaps long ago."""
    failed_at: datetime | None = None


def add_notices(cursor: Cursor, notices: Sequence[Notice]) -> None:
    """Write what is to be told, with the vehicles' tags; texts are cut and made harmless."""
    if not notices:
        return
    vehicles = [each.vehicle for each in notices]
    columns = (
        [each.kind.value for each in notices],
        [each.severity.value for each in notices],
        [vehicle and str(vehicle.id) for vehicle in vehicles],
        [vehicle and sanitise(vehicle.name, NAME_LIMIT) for vehicle in vehicles],
        [sanitise(each.title, TITLE_LIMIT) for each in notices],
        [sanitise(each.detail, DETAIL_LIMIT) for each in notices],
    )
    cursor.execute(_ADD, columns)


def try_room(cursor: Cursor) -> None:
    """Write what needs new pages, and take it back; raise DatabaseFull if they cannot be had."""
    cursor.execute(_TRY_ROOM)


def note_targets(cursor: Cursor, targets: Collection[str]) -> None:
    """Make targets known; what is told from now on is for the new ones, too.

    And what waits for one that is no longer wanted: it may only be called otherwise.
    """
    cursor.execute(_SEEN, {"targets": sorted(targets)})


def stored_notice(
    key: int,
    at: datetime,
    kind: str,
    severity: str,
    vehicle_id: str | None,
    name: str | None,
    tags: Sequence[str],
    title: str,
    detail: str,
) -> StoredNotice:
    """Return a notice of the values of its row."""
    vehicle = Subject(UUID(vehicle_id), name or "?", tuple(tags)) if vehicle_id else None
    notice = Notice(NoticeKind(kind), Weight(severity), title, detail, vehicle)
    return StoredNotice(key, at, notice)


def targets(cursor: Cursor) -> list[TargetState]:
    """Return the targets of the daemons that run, by name."""
    cursor.execute(_TARGETS)
    return [TargetState(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many notices of each kind wait for a target, each target counted, and since when."""

    waiting: Mapping[NoticeKind, int] = field(default_factory=dict)
    longest: timedelta = timedelta(0)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.waiting.values())


def backlog(cursor: Cursor) -> Backlog:
    """Return what waits for the targets of the daemons that run."""
    cursor.execute(_BACKLOG, {"kinds": KINDS, "kept": GIVEN_UP_AFTER})
    rows = cursor.fetchall()
    waiting = {NoticeKind(kind): count for kind, count, _ in rows}
    return Backlog(waiting, max((age for _, _, age in rows), default=timedelta(0)))


def given_up(cursor: Cursor) -> int:
    """Return how many notices some target could not be told within the last week."""
    cursor.execute(_GIVEN_UP)
    return int(cursor.fetchall()[0][0])


def expire(cursor: Cursor, keep: timedelta) -> None:
    """Delete some of the notices that are older."""
    cursor.execute(_EXPIRE, (keep,))
