"""How the attempts of each hour ended, of a few vehicles: read-only, from sync_journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.reports import Outcome

HOUR_SEC = 3600
_HOUR = f"floor(extract(epoch FROM {{}}) / {HOUR_SEC})::integer"
# For each vehicle by itself, along the index: joined, the planner may read the whole journal.
_COUNTS = f"""
SELECT w.id::text, h.hour, h.attempts, h.ok
FROM unnest(%(ids)s::uuid[], %(since)s::bigint[]) w(id, since)
CROSS JOIN LATERAL (
    SELECT {_HOUR.format("started_at")} AS hour, count(*) AS attempts,
        count(*) FILTER (WHERE status = '{Outcome.OK}') AS ok
    FROM public.sync_journal
    WHERE vehicle_id = w.id AND started_at >= to_timestamp(w.since * {HOUR_SEC})
      AND started_at <= now()
    GROUP BY 1
) h
"""  # noqa: S608  constants
_OLDEST = f"""
SELECT w.id::text, {_HOUR.format("j.started_at")}
FROM unnest(%(ids)s::uuid[]) w(id)
CROSS JOIN LATERAL (
    SELECT started_at FROM public.sync_journal
    WHERE vehicle_id = w.id AND isfinite(started_at) ORDER BY started_at LIMIT 1
) j
"""  # noqa: S608  constants


@dataclass(frozen=True, slots=True)
class HourCount:
    """How many attempts began within an hour, and how many of them ended well."""

    attempts: int = 0
    ok: int = 0


@dataclass(frozen=True, slots=True)
class JournalHours:
    """The attempts of vehicles by hour; hours are counted from 1970 on, in UTC."""

    now: int
    """The present hour, by the database's clock."""
    counts: Mapping[UUID, Mapping[int, HourCount]] = field(default_factory=dict)
    """Hours without an attempt are left out."""
    oldest: Mapping[UUID, int] = field(default_factory=dict)
    """The hour of each vehicle's oldest entry; vehicles without one are left out."""


def present_hour(cursor: Cursor) -> int:
    """Return the present hour by the database's clock."""
    cursor.execute(f"SELECT {_HOUR.format('now()')}")
    return int(cursor.fetchall()[0][0])


def journal_hours(cursor: Cursor, since: Mapping[UUID, int]) -> JournalHours:
    """Return the attempts of each of the vehicles, from its hour of `since` up to now."""
    ids = [str(key) for key in since]
    counts: dict[UUID, dict[int, HourCount]] = {key: {} for key in since}
    cursor.execute(_COUNTS, {"ids": ids, "since": list(since.values())})
    for key, hour, attempts, ok in cursor.fetchall():
        counts[UUID(key)][hour] = HourCount(attempts, ok)
    cursor.execute(_OLDEST, {"ids": ids})
    oldest = {UUID(key): hour for key, hour in cursor.fetchall()}
    return JournalHours(present_hour(cursor), counts, oldest)
