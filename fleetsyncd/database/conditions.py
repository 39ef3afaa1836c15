"""The conditions that operators are told of: read what is the case, remember what was told.

Each function takes a cursor of `Database.run`, never commits, and may run twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from fleetsyncd.conditions.alarms import alarm_notices
from fleetsyncd.conditions.found import audit_notices
from fleetsyncd.conditions.judging import Judgement, judge
from fleetsyncd.conditions.model import Daemon, Facts, Known, Terms, subject_of
from fleetsyncd.database import audit_findings, mutes, notices, store, untold_alarms
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import heartbeats
from fleetsyncd.database.vehicle_state import RESUMED_AT
from fleetsyncd.database.views.fleet import cached_id, fleet_overview
from fleetsyncd.notices import Notice, NoticeKind
from fleetsyncd.slices import Sliced, Slices
from fleetsyncd.states import State

# One daemon at a time judges; the others leave it to that one.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('fleetsync.condition', 0))"
_NOW = "SELECT now()"
_SKEWS = """
SELECT vehicle_id::text, clock_skew_ms / 1000.0::float8 FROM fleetsync.vehicle_state
WHERE abs(clock_skew_ms) >= %s
"""
_LEAST_SKEW_MS = 1_000
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
_BEGUN = f"""
SELECT v.id::text, extract(epoch FROM now() - b.begun)::float8
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id,
    LATERAL (SELECT greatest(v.created_at, {RESUMED_AT})) b(begun)
WHERE isfinite(b.begun)
"""  # noqa: S608  made of this project's own text
READ_AT_ONCE, WRITTEN_AT_ONCE = 200, 500
"""Rows between two pauses."""
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
    slices = Slices()
    facts = read_facts(cursor, view, slices)
    known = _known(cursor, slices)
    slices.pause_if_due()
    judgement = judge(facts, terms, known, is_first=is_first)
    judgement.notices.extend(_waited(cursor, facts, slices, is_first=is_first))
    for start in range(0, len(judgement.notices), WRITTEN_AT_ONCE):
        notices.add_notices(cursor, judgement.notices[start : start + WRITTEN_AT_ONCE])
        slices.pause_if_due()
    _save(cursor, judgement.known, slices)
    cursor.execute(_FORGET)
    return judgement


def _waited(cursor: Cursor, facts: Facts, slices: Slices, *, is_first: bool) -> Iterator[Notice]:
    """Yield what waited until now; that of muted and paused vehicles goes on to."""
    untold = {each.id for each in facts.fleet if each.state is State.PAUSED} | {*facts.muted}
    found = audit_findings.take_findings(cursor, untold)
    if not is_first:
        yield from audit_notices(facts.fleet, found)
    still_open = untold_alarms.take_alarms(cursor, untold, slices)
    for vehicle in facts.fleet:
        if begun := still_open.get(vehicle.id):
            yield from alarm_notices(subject_of(vehicle), begun, ())


def read_facts(cursor: Cursor, view: View, slices: Slices) -> Facts:
    """Return what the database says at this moment; others run meanwhile."""
    cursor.execute(_NOW)
    now = cursor.fetchall()[0][0]
    cursor.execute(_SKEWS, (_LEAST_SKEW_MS,))
    skews = {cached_id(key): skew for key, skew in _rows(cursor, slices)}
    cursor.execute(_BEGUN)
    begun = {cached_id(key): seconds for key, seconds in _rows(cursor, slices)}
    daemons = [
        Daemon(each.name, each.host, each.age, each.running_sec, each.given_name is not None)
        for each in heartbeats(cursor)
    ]
    return Facts(
        now=now,
        fleet=fleet_overview(cursor, view.sync_interval_sec, slices=slices),
        begun=begun,
        muted=mutes.muted(cursor, slices=slices).keys(),
        is_settled=view.is_settled,
        skews=skews,
        quarantined=store.count_quarantined(cursor),
        daemons=daemons,
        full_at=view.full_at,
        knows_disk=view.knows_disk,
    )


def _rows(cursor: Cursor, slices: Slices) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the last query; others run meanwhile."""
    while rows := cursor.fetchmany(READ_AT_ONCE):
        yield from rows
        slices.pause_if_due()


def _known(cursor: Cursor, slices: Slices) -> list[Known]:
    """Return what is remembered, as a list that lets others run."""
    cursor.execute(_KNOWN, (_KINDS,))
    return Sliced((_known_condition(*row) for row in _rows(cursor, slices)), slices)


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


def _save(cursor: Cursor, known: Sequence[Known], slices: Slices) -> None:
    # The last of one condition counts.
    last = list({each.key: each for each in known}.values())
    for start in range(0, len(last), WRITTEN_AT_ONCE):
        rows = last[start : start + WRITTEN_AT_ONCE]
        cursor.execute(_SAVE, (msgspec.json.encode(rows).decode(),))
        slices.pause_if_due()
