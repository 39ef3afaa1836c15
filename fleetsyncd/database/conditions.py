"""The conditions that operators are told of: read what is the case, remember what was told.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleetsyncd.conditions.judging import Judgement, judge
from fleetsyncd.conditions.model import Daemon, Facts, Known, Terms
from fleetsyncd.database import notices, store
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
FROM fleetsync.condition
"""
_SAVE = """
INSERT INTO fleetsync.condition (kind, subject, since, vehicle_id, vehicle_name, told_at, ended_at,
    amount, begun, flap_told_at)
VALUES (%s, %s, %s, %s::uuid, %s, %s, %s, %s, %s::timestamptz[], %s)
ON CONFLICT (kind, subject) DO UPDATE SET since = excluded.since, vehicle_id = excluded.vehicle_id,
    vehicle_name = excluded.vehicle_name, told_at = excluded.told_at, ended_at = excluded.ended_at,
    amount = excluded.amount, begun = excluded.begun, flap_told_at = excluded.flap_told_at
"""
_FORGET = """
DELETE FROM fleetsync.condition
WHERE told_at IS NULL AND ended_at < now() - interval '1 day'
"""
_STARTED = """
INSERT INTO fleetsync.condition (kind, subject, since, told_at) VALUES ('start', '', now(), now())
ON CONFLICT DO NOTHING
"""
_START = "start"
"""Not a condition: its row says that conditions were judged before."""


@dataclass(frozen=True, slots=True)
class Disk:
    """When the database's disk is full; None: never, or not known."""

    is_known: bool = False
    full_at: datetime | None = None


def judge_fleet(
    cursor: Cursor, terms: Terms, sync_interval_sec: float, disk: Disk
) -> Judgement | None:
    """Judge what is the case now, write what is to be told, and remember it.

    Returns None if another daemon is at it just now.
    """
    cursor.execute(_LOCK)
    if not cursor.fetchall()[0][0]:
        return None
    known, is_first = _known(cursor)
    facts = read_facts(cursor, sync_interval_sec, disk)
    judgement = judge(facts, terms, known, is_first=is_first)
    notices.add_notices(cursor, judgement.notices)
    for each in judgement.known:
        _save(cursor, each)
    cursor.execute(_FORGET)
    if is_first:
        cursor.execute(_STARTED)
    return judgement


def read_facts(cursor: Cursor, sync_interval_sec: float, disk: Disk) -> Facts:
    """Return what the database says at this moment."""
    cursor.execute(_NOW)
    now = cursor.fetchall()[0][0]
    cursor.execute(_SKEWS, (_LEAST_SKEW_MS,))
    skews = {UUID(key): skew for key, skew in cursor.fetchall()}
    cursor.execute(_FOUND)
    found = {UUID(key): int(count) for key, count in cursor.fetchall()}
    daemons = [
        Daemon(each.name, each.host, each.age, each.running_sec) for each in heartbeats(cursor)
    ]
    return Facts(
        now=now,
        fleet=fleet_overview(cursor, sync_interval_sec),
        skews=skews,
        found=found,
        quarantined=store.count_quarantined(cursor),
        daemons=daemons,
        full_at=disk.full_at,
        knows_disk=disk.is_known,
    )


def _known(cursor: Cursor) -> tuple[list[Known], bool]:
    """Return what is remembered, and whether nothing ever was."""
    cursor.execute(_KNOWN)
    rows = cursor.fetchall()
    known = [_known_condition(*row) for row in rows if row[0] != _START]
    return known, not rows


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


def _save(cursor: Cursor, each: Known) -> None:
    cursor.execute(
        _SAVE,
        (
            each.kind.value,
            each.subject,
            each.since,
            each.vehicle_id and str(each.vehicle_id),
            each.vehicle_name,
            each.told_at,
            each.ended_at,
            each.amount,
            list(each.begun),
            each.flap_told_at,
        ),
    )
