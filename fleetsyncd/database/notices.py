"""Notices: what operators are told of, whom it was sent to, and whom it waits for.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
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

NAME_LIMIT, ERROR_LIMIT = 200, 300
MOST_PENDING = 1_000
"""Notices that are looked at for one message."""
GIVEN_UP_AFTER = timedelta(days=1)
_KINDS = [kind.value for kind in NoticeKind]
"""Those that this version knows; a newer one may write others."""
_ADD = """
INSERT INTO fleetsync.notice (kind, severity, vehicle_id, vehicle_name, tags, title, detail)
SELECT n.kind, n.severity, n.id, n.name,
    coalesce((SELECT s.tags FROM fleetsync.vehicle_state s WHERE s.vehicle_id = n.id), '{}'),
    n.title, n.detail
FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[])
    WITH ORDINALITY n(kind, severity, id, name, title, detail, number) ORDER BY n.number
"""
_SEEN = """
INSERT INTO fleetsync.notice_target AS t (target, since)
SELECT target, coalesce((SELECT min(coalesce(f.sent_at, f.since)) FROM fleetsync.notice_target f
                         WHERE f.target <> ALL (%(targets)s::text[])
                           AND f.failing_since > now() - interval '1 day'), now())
FROM unnest(%(targets)s::text[]) target
ON CONFLICT (target) DO UPDATE SET seen_at = now()
"""
# Who has taken a target and died is waited for until its time is over.
_TAKE = """
UPDATE fleetsync.notice_target SET taken_until = now() + %(lease)s::interval
WHERE target = %(target)s AND coalesce(taken_until <= now(), true)
  AND coalesce(next_at <= now(), true)
  AND coalesce(sent_at <= now() - %(pause)s::interval, true)
RETURNING target
"""
_PENDING = """
SELECT now(), n.id, n.at, n.kind, n.severity, n.vehicle_id::text, n.vehicle_name, n.tags,
    n.title, n.detail
FROM fleetsync.notice n JOIN fleetsync.notice_target t ON t.target = %(target)s
WHERE n.at >= t.since AND n.at > now() - 2 * %(kept)s::interval
  AND n.kind = ANY (%(kinds)s::text[])
  AND NOT EXISTS (SELECT FROM fleetsync.notice_delivery d
                  WHERE d.notice_id = n.id AND d.target = t.target)
ORDER BY array_position(%(severities)s::text[], n.severity), n.at, n.id LIMIT %(most)s
"""
_DELIVERED = """
INSERT INTO fleetsync.notice_delivery (notice_id, target, outcome)
SELECT unnest(%s::bigint[]), %s, %s ON CONFLICT DO NOTHING
"""
_RELEASE = """
UPDATE fleetsync.notice_target SET taken_until = NULL WHERE target = %s
"""
_SENT = """
UPDATE fleetsync.notice_target SET taken_until = NULL, sent_at = now(), failing_since = NULL,
    failures = 0, next_at = NULL, last_error = NULL WHERE target = %s
"""
_FAILED = """
UPDATE fleetsync.notice_target SET taken_until = NULL, failures = failures + 1,
    failing_since = coalesce(failing_since, now()), last_error = %(error)s,
    next_at = now() + least(interval '1 hour', interval '30 s' * 2 ^ least(failures, 10))
WHERE target = %(target)s
"""
_TARGETS = """
SELECT target, since, sent_at, failing_since, failures, next_at, last_error
FROM fleetsync.notice_target
WHERE seen_at > now() - interval '1 day' ORDER BY target
"""
_GIVEN_UP = """
SELECT count(DISTINCT notice_id)::int FROM fleetsync.notice_delivery
WHERE outcome = 'given up' AND at > now() - interval '7 days'
"""
_EXPIRE = """
DELETE FROM fleetsync.notice WHERE id = ANY (ARRAY(
    SELECT id FROM fleetsync.notice WHERE at < now() - %s::interval ORDER BY at LIMIT 1000))
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


def note_targets(cursor: Cursor, targets: Collection[str]) -> None:
    """Make targets known; what is told from now on is for the new ones, too.

    And what waits for one that fails and is no longer wanted: its secret may have been renewed.
    """
    cursor.execute(_SEEN, {"targets": sorted(targets)})


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a target, the gravest first; `now` is the database's clock."""

    now: datetime
    notices: list[StoredNotice]


def take(cursor: Cursor, target: str, pause: timedelta, lease: timedelta) -> Pending | None:
    """Take a target for a `lease`, and return what waits for it.

    Nothing, and the target is free, if another daemon has it, it fails and has to be left alone, or
    the last message is not a `pause` ago.
    """
    cursor.execute(_TAKE, {"target": target, "lease": lease, "pause": pause})
    if not cursor.fetchall():
        return None
    values = {
        "target": target,
        "kept": GIVEN_UP_AFTER,
        "most": MOST_PENDING,
        "kinds": _KINDS,
        "severities": [Weight.CRITICAL.value, Weight.WARNING.value, Weight.INFO.value],
    }
    cursor.execute(_PENDING, values)
    rows = cursor.fetchall()
    if not rows:
        release(cursor, target)
        return None
    return Pending(rows[0][0], [stored_notice(*row[1:]) for row in rows])


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


def release(cursor: Cursor, target: str) -> None:
    """Give a target back to which nothing was sent."""
    cursor.execute(_RELEASE, (target,))


def record(cursor: Cursor, target: str, ids: Sequence[int], outcome: str) -> None:
    """Record what became of notices: `sent`, `given up` or `not for it`."""
    if ids:
        cursor.execute(_DELIVERED, (list(ids), target, outcome))


def record_sent(cursor: Cursor, target: str, ids: Sequence[int]) -> None:
    """Record that a target has got these notices, and give it back."""
    record(cursor, target, ids, "sent")
    cursor.execute(_SENT, (target,))


def record_failed(cursor: Cursor, target: str, error: str) -> None:
    """Give a target back that has failed: it is left alone, longer each time."""
    cursor.execute(_FAILED, {"target": target, "error": sanitise(error, ERROR_LIMIT)})


def targets(cursor: Cursor) -> list[TargetState]:
    """Return the targets of the daemons that run, by name."""
    cursor.execute(_TARGETS)
    return [TargetState(*row) for row in cursor.fetchall()]


def given_up(cursor: Cursor) -> int:
    """Return how many notices some target could not be told within the last week."""
    cursor.execute(_GIVEN_UP)
    return int(cursor.fetchall()[0][0])


def expire(cursor: Cursor, keep: timedelta) -> None:
    """Delete some of the notices that are older."""
    cursor.execute(_EXPIRE, (keep,))
