"""The conditions that operators are told of: read what is the case, remember what was told.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from fleetsyncd.conditions.judging import Judgement, judge
from fleetsyncd.conditions.model import Daemon, Facts, Known, Terms
from fleetsyncd.database import mutes, notices, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import heartbeats
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.notices import NoticeKind

# One daemon at a time judges; the others leave it to that one.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('fleetsync.condition', 0))"
_NOW = "SELECT now()"
_SKEWS = """
SELECT vehicle_id::text, clock_skew_ms / 1000.0::float8 FROM fleetsync.vehicle_state
WHERE abs(clock_skew_ms) >= %s
"""
_LEAST_SKEW_MS = 1_000
_FOUND = """
SELECT vehicle_id::text, sum(missing + different)::bigint FROM (
    SELECT vehicle_id, missing, different FROM fleetsync.verified
    UNION ALL SELECT vehicle_id, missing, different FROM fleetsync.audit) found
GROUP BY vehicle_id HAVING sum(missing + different) > 0
"""
_KNOWN = """
SELECT kind, subject, since, vehicle_id::text, vehicle_name, told_at, ended_at, amount, begun,
    flap_told_at
FROM fleetsync.condition WHERE kind = ANY (%s::text[])
"""
_SAVE = """
INSERT INTO fleetsync.condition
SELECT c.* FROM jsonb_to_recordset(%s::jsonb) c(
    kind text, subject text, vehicle_id uuid, vehicle_name text, since timestamptz,
    told_at timestamptz, ended_at timestamptz, amount bigint, begun timestamptz[],
    flap_told_at timestamptz)
ON CONFLICT (kind, subject) DO UPDATE SET since = excluded.since, vehicle_id = excluded.vehicle_id,
    vehicle_name = excluded.vehicle_name, told_at = excluded.told_at, ended_at = excluded.ended_at,
    amount = excluded.amount, begun = excluded.begun, flap_told_at = excluded.flap_told_at
"""
_FORGET = """
DELETE FROM fleetsync.condition
WHERE told_at IS NULL AND ended_at < now() - interval '1 day'
"""
# Not a condition: its row says when the conditions were judged last.
_START = """
INSERT INTO fleetsync.condition (kind, subject, since, told_at) VALUES ('start', '', now(), now())
ON CONFLICT (kind, subject) DO NOTHING
RETURNING true
"""
_DUE = """
UPDATE fleetsync.condition SET told_at = now()
WHERE kind = 'start' AND told_at <= now() - %s::interval RETURNING true
"""
_BEGUN = """
SELECT v.id::text, extract(epoch FROM now() - greatest(v.created_at, s.resumed_at))::float8
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
WHERE isfinite(greatest(v.created_at, s.resumed_at))
"""
_KINDS = [kind.value for kind in NoticeKind]
"""Those that this version knows; a newer one may remember others."""


@dataclass(frozen=True, slots=True)
class View:
    """What the daemon that judges knows beside the database."""

    sync_interval_sec: float
    every: timedelta = timedelta(0)
    """How often the fleet is judged, whichever daemon does it."""
    is_settled: bool = True
    """Whether it has run, with the database, for long enough to know who is silent."""
    knows_disk: bool = False
    full_at: datetime | None = None
    """When the database's disk is full, if it knows; None: never."""


def judge_fleet(cursor: Cursor, terms: Terms, view: View) -> Judgement | None:
    """Judge what is the case now, write what is to be told, and remember it.

    Returns None if another daemon is at it just now, or has been within EVERY.
    """
    cursor.execute(_LOCK)
    if not cursor.fetchall()[0][0]:
        return None
    cursor.execute(_START)
    is_first = bool(cursor.fetchall())
    if not is_first:
        cursor.execute(_DUE, (view.every,))
        if not cursor.fetchall():
            return None
    facts = read_facts(cursor, view)
    judgement = judge(facts, terms, _known(cursor), is_first=is_first)
    notices.add_notices(cursor, judgement.notices)
    _save(cursor, judgement.known)
    cursor.execute(_FORGET)
    return judgement


def read_facts(cursor: Cursor, view: View) -> Facts:
    """Return what the database says at this moment."""
    cursor.execute(_NOW)
    now = cursor.fetchall()[0][0]
    cursor.execute(_SKEWS, (_LEAST_SKEW_MS,))
    skews = {UUID(key): skew for key, skew in cursor.fetchall()}
    cursor.execute(_FOUND)
    found = {UUID(key): int(count) for key, count in cursor.fetchall()}
    cursor.execute(_BEGUN)
    begun = {UUID(key): seconds for key, seconds in cursor.fetchall()}
    daemons = [
        Daemon(each.name, each.host, each.age, each.running_sec, each.given_name is not None)
        for each in heartbeats(cursor)
    ]
    return Facts(
        now=now,
        fleet=fleet_overview(cursor, view.sync_interval_sec),
        begun=begun,
        muted=mutes.muted(cursor).keys(),
        is_settled=view.is_settled,
        skews=skews,
        found=found,
        quarantined=store.count_quarantined(cursor),
        daemons=daemons,
        full_at=view.full_at,
        knows_disk=view.knows_disk,
    )


def _known(cursor: Cursor) -> list[Known]:
    """Return what is remembered."""
    cursor.execute(_KNOWN, (_KINDS,))
    return [_known_condition(*row) for row in cursor.fetchall()]


def _known_condition(
    kind: str,
    subject: str,
    since: datetime,
    vehicle_id: str | None,
    name: str | None,
    told_at: datetime | None,
    ended_at: datetime | None,
    amount: int,
    begun: Sequence[datetime],
    flap_told_at: datetime | None,
) -> Known:
    key = UUID(vehicle_id) if vehicle_id else None
    return Known(
        NoticeKind(kind),
        subject,
        since,
        key,
        name,
        told_at,
        ended_at,
        amount,
        tuple(begun),
        flap_told_at,
    )


def _save(cursor: Cursor, known: Sequence[Known]) -> None:
    if known:
        # The last of one condition counts.
        last = {each.key: each for each in known}
        rows = [asdict(each) for each in last.values()]
        cursor.execute(_SAVE, (msgspec.json.encode(rows).decode(),))
