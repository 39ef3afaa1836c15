"""The outbox: what waits for a target, taken by one daemon at a time, and what becomes of it.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.database.notices import GIVEN_UP_AFTER, KINDS, UNTOLD, stored_notice
from fleetsyncd.database.pool import Cursor
from fleetsyncd.notices import BEFORE_OUTAGE, OF_A_VEHICLE, NoticeKind, StoredNotice, Weight
from fleetsyncd.text import sanitise

ERROR_LIMIT = 300
MOST_PENDING = 200_000
"""Notices of which one message tells."""
RECORDED_AT_ONCE = 10_000
"""Notices whose fate one transaction records."""
# Who has taken a target and died is waited for until its time is over.
_TAKE = """
UPDATE fleetsync.notice_target SET taken_until = now() + %(lease)s::interval
WHERE target = %(target)s AND coalesce(taken_until <= now(), true)
  AND coalesce(next_at <= now(), true)
  AND coalesce(sent_at <= now() - %(pause)s::interval, true)
RETURNING target
"""
_WAITS = f"n.kind = ANY (%(kinds)s::text[]) AND {UNTOLD}"
_IS_FOR_IT = "(%(tags)s::text[] = '{}' OR n.tags || n.kind || n.severity && %(tags)s::text[])"
# A vehicle that was told to be down a moment before an outage is part of it: it is not named. Of a
# vehicle that was down and is back meanwhile, and of an outage, the last word is told.
_WAITING = f"""
WITH waiting AS MATERIALIZED (
    SELECT n.id, n.at, n.kind, n.severity, n.vehicle_id,
        n.at <= now() - %(kept)s::interval AS is_old,
        {_IS_FOR_IT} AS is_wanted
    FROM fleetsync.notice n JOIN fleetsync.notice_target t ON t.target = %(target)s
    WHERE {_WAITS}
    ORDER BY n.at, n.id LIMIT %(most)s
),
due AS (SELECT * FROM waiting WHERE is_wanted AND NOT is_old),
outages AS MATERIALIZED (SELECT at FROM due WHERE kind = 'outage' AND severity = 'critical'),
last_words AS MATERIALIZED (
    SELECT kind, coalesce(vehicle_id::text, '') AS subject, max(id) AS id FROM due
    WHERE kind = 'outage' OR (kind = 'down' AND vehicle_id IS NOT NULL) GROUP BY 1, 2
),
told AS (
    SELECT * FROM due n WHERE NOT (n.kind = 'down' AND n.severity = 'critical' AND EXISTS (
        SELECT FROM outages o WHERE o.at BETWEEN n.at AND n.at + %(before)s::interval))
      AND NOT EXISTS (SELECT FROM last_words w WHERE w.kind = n.kind
                      AND w.subject = coalesce(n.vehicle_id::text, '') AND w.id > n.id)
)
SELECT now(), (SELECT min(at) FROM due),
    (SELECT coalesce(array_agg(id), '{{}}')::text FROM due),
    (SELECT coalesce(array_agg(id), '{{}}')::text FROM waiting WHERE is_wanted AND is_old),
    (SELECT coalesce(array_agg(id), '{{}}')::text FROM waiting WHERE NOT is_wanted),
    (SELECT coalesce(json_agg(json_build_array(kind, is_over, number, subjects)), '[]') FROM (
        SELECT kind, severity = 'info' AS is_over, count(*) AS number, count(DISTINCT CASE
            WHEN kind = ANY (%(of_a_vehicle)s::text[]) THEN coalesce(vehicle_id::text, id::text)
            ELSE id::text END) AS subjects
        FROM told GROUP BY 1, 2) k),
    (SELECT coalesce(json_agg(json_build_array(kind, number)), '[]') FROM (
        SELECT kind, count(*) AS number FROM waiting WHERE is_wanted AND is_old GROUP BY 1) k),
    ARRAY(SELECT id FROM told
          ORDER BY array_position(%(severities)s::text[], severity), vehicle_id IS NOT NULL, at, id
          LIMIT %(named)s)
"""  # noqa: S608  made of this file's own text
# What is not for a target that has to be left alone does not wait for it meanwhile.
_SET_ASIDE = f"""
INSERT INTO fleetsync.notice_delivery (notice_id, target, outcome)
SELECT n.id, t.target, 'not for it'
FROM fleetsync.notice n JOIN fleetsync.notice_target t ON t.target = %(target)s
WHERE (t.next_at > now() OR t.sent_at > now() - %(pause)s::interval)
  AND NOT {_IS_FOR_IT} AND {_WAITS}
ORDER BY n.at, n.id LIMIT %(set_aside)s
ON CONFLICT DO NOTHING
"""  # noqa: S608  made of this file's own text
_NAMED = """
SELECT n.id, n.at, n.kind, n.severity, n.vehicle_id::text, n.vehicle_name, n.tags, n.title,
    n.detail
FROM unnest(%s::bigint[]) WITH ORDINALITY w(id, place) JOIN fleetsync.notice n ON n.id = w.id
ORDER BY w.place
"""
# One that is deleted meanwhile, as it is older than the journal is kept, needs no delivery.
_DELIVERED = """
INSERT INTO fleetsync.notice_delivery (notice_id, target, outcome)
SELECT n.id, %(target)s, %(outcome)s
FROM unnest((%(ids)s::bigint[])[%(first)s:%(last)s]) w(id) JOIN fleetsync.notice n ON n.id = w.id
ON CONFLICT DO NOTHING
"""
_RELEASE = """
UPDATE fleetsync.notice_target SET taken_until = NULL WHERE target = %s
"""
_SENT = """
UPDATE fleetsync.notice_target SET taken_until = NULL, sent_at = now(), failing_since = NULL,
    failures = 0, next_at = NULL WHERE target = %s
"""
_FAILED = """
UPDATE fleetsync.notice_target SET taken_until = NULL, failures = failures + 1,
    failing_since = coalesce(failing_since, now()), failed_at = now(), last_error = %(error)s,
    next_at = now() + greatest(%(least)s::interval,
        least(interval '1 hour', interval '30 s' * 2 ^ least(failures, 10)))
WHERE target = %(target)s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Notices whose fate is the same: their ids, as PostgreSQL writes an array, and how many."""

    ids: str
    kinds: Mapping[NoticeKind, int]
    total: int


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a target; `now` is the database's clock.

    `named` are the gravest notices of those that are `due`, `told` is how many there are, and
    `counts` of how many vehicles, by kind and by whether they tell that something is over. They
    leave out the vehicles that were down a moment before an outage, and what is no longer true of
    those that are back. `old` ones wait for longer than a day, `others` are not for the target.
    """

    now: datetime
    oldest: datetime | None
    due: Waiting
    old: Waiting
    others: Waiting
    counts: Mapping[tuple[NoticeKind, bool], int]
    told: int
    named: Sequence[StoredNotice]


def take(
    cursor: Cursor,
    target: str,
    pause: timedelta,
    lease: timedelta,
    *,
    tags: Collection[str] = (),
    named: int = 10,
) -> Pending | None:
    """Take a target for a `lease`, and return what waits for it; with `tags`, what has one of them.

    Nothing, and the target is free, if another daemon has it, it fails and has to be left alone, or
    the last message is not a `pause` ago. What is not for it is recorded meanwhile all the same.
    """
    values = {
        "target": target,
        "tags": sorted(tags),
        "pause": pause,
        "kept": GIVEN_UP_AFTER,
        "before": BEFORE_OUTAGE,
        "most": MOST_PENDING,
        "set_aside": RECORDED_AT_ONCE,
        "named": named,
        "kinds": KINDS,
        "of_a_vehicle": [kind.value for kind in OF_A_VEHICLE],
        "severities": [Weight.CRITICAL.value, Weight.WARNING.value, Weight.INFO.value],
    }
    cursor.execute(_TAKE, {"lease": lease, **values})
    if not cursor.fetchall():
        if tags:
            cursor.execute(_SET_ASIDE, values)
        return None
    cursor.execute(_WAITING, values)
    pending = _pending(cursor, *cursor.fetchall()[0])
    if not (pending.due.total or pending.old.total or pending.others.total):
        release(cursor, target)
        return None
    return pending


def _pending(
    cursor: Cursor,
    now: datetime,
    oldest: datetime | None,
    due: str,
    old: str,
    others: str,
    counts: Sequence[tuple[str, bool, int, int]],
    old_kinds: Sequence[tuple[str, int]],
    named: Sequence[int],
) -> Pending:
    cursor.execute(_NAMED, (list(named),))
    return Pending(
        now,
        oldest,
        _waiting(due, [(kind, number) for kind, _over, number, _subjects in counts]),
        _waiting(old, old_kinds),
        _waiting(others, ()),
        {(NoticeKind(kind), is_over): subjects for kind, is_over, _number, subjects in counts},
        sum(number for _kind, _over, number, _subjects in counts),
        [stored_notice(*row) for row in cursor.fetchall()],
    )


def _waiting(ids: str, kinds: Sequence[tuple[str, int]]) -> Waiting:
    totals: Counter[NoticeKind] = Counter()
    for kind, number in kinds:
        totals[NoticeKind(kind)] += number
    return Waiting(ids, totals, 0 if ids == "{}" else ids.count(",") + 1)


def release(cursor: Cursor, target: str) -> None:
    """Give a target back to which nothing was sent."""
    cursor.execute(_RELEASE, (target,))


def record(cursor: Cursor, target: str, waiting: Waiting, outcome: str, start: int = 0) -> None:
    """Record what became of RECORDED_AT_ONCE notices: `sent`, `given up` or `not for it`."""
    values = {
        "target": target,
        "outcome": outcome,
        "ids": waiting.ids,
        "first": start + 1,
        "last": start + RECORDED_AT_ONCE,
    }
    cursor.execute(_DELIVERED, values)


def record_sent(cursor: Cursor, target: str) -> None:
    """Record that a target has got a message, and give it back."""
    cursor.execute(_SENT, (target,))


def record_failed(cursor: Cursor, target: str, error: str, least: timedelta = timedelta(0)) -> None:
    """Give a target back that has failed: it is left alone, longer each time, and for `least`."""
    values = {"target": target, "error": sanitise(error, ERROR_LIMIT), "least": least}
    cursor.execute(_FAILED, values)
