"""How the attempts of each hour ended, of a few vehicles: read-only, from sync_journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.reports import Outcome

HOUR_SEC = 3600
DAY_HOURS = 24
"""No earlier hour is read, however long an attempt took."""
_HOUR = f"floor(extract(epoch FROM {{}}) / {HOUR_SEC})::integer"
EARLIER_ATTEMPTS = 30
"""Attempts before an hour among which those are looked for that had not ended when it began."""
_START = f"to_timestamp({{}} * {HOUR_SEC})"
_EARLIER = f"""
SELECT started_at, finished_at, status FROM (
    SELECT started_at, finished_at, status FROM public.sync_journal
    WHERE vehicle_id = w.id AND started_at < {_START.format("{hour}")} AND isfinite(started_at)
    ORDER BY started_at DESC LIMIT {EARLIER_ATTEMPTS}) last
WHERE finished_at >= {_START.format("{hour}")}
"""  # noqa: S608  constants
# For each vehicle by itself, along the index: joined, the planner may read the whole journal.
# Whatever is read of an hour is all of it: the hours from the beginning of an attempt that had not
# ended before `since` are read again.
_COUNTS = f"""
SELECT w.id::text, h.hour, h.attempts, h.ok
FROM unnest(%(ids)s::uuid[], %(since)s::bigint[]) asked(id, since)
CROSS JOIN LATERAL (
    SELECT asked.id, greatest(%(first)s::bigint, least(asked.since, (
        SELECT min({_HOUR.format("started_at")}) FROM ({
    _EARLIER.format(hour="asked.since").replace("w.id", "asked.id")
}) e))) AS since
) w
CROSS JOIN LATERAL (
    SELECT hour, count(*) AS attempts, count(*) FILTER (WHERE status = '{Outcome.OK}') AS ok
    FROM (
        SELECT started_at, finished_at, status FROM public.sync_journal
        WHERE vehicle_id = w.id AND started_at >= {_START.format("w.since")}
          AND started_at <= now()
        UNION ALL {_EARLIER.format(hour="w.since")}
    ) attempts
    CROSS JOIN LATERAL generate_series(
        greatest(w.since, {_HOUR.format("started_at")}),
        greatest({_HOUR.format("started_at")},
            {_HOUR.format("least(finished_at, now())")})
    ) hour
    GROUP BY 1
) h
"""  # noqa: S608  constants
# A pull of all that is missing writes its state after each window, and its journal entry at its
# end. With an island, cycles are short, and the catch-up tells nothing of them.
_PULLED_UNTIL = f"""
SELECT vehicle_id::text, {_HOUR.format("updated_at")} FROM fleetsync.vehicle_state
WHERE vehicle_id = ANY (%(ids)s::uuid[]) AND catching_up_from IS NOT NULL
    AND islands = '{{}}' AND isfinite(updated_at)
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
    """How many attempts were made in an hour or a part of it, and how many of them ended well."""

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
    pulled_until: Mapping[UUID, int] = field(default_factory=dict)
    """The hour up to which a pull came that is not in the journal yet; of vehicles with one."""


def present_hour(cursor: Cursor) -> int:
    """Return the present hour by the database's clock."""
    cursor.execute(f"SELECT {_HOUR.format('now()')}")
    return int(cursor.fetchall()[0][0])


def journal_hours(cursor: Cursor, since: Mapping[UUID, int]) -> JournalHours:
    """Return the attempts of each of the vehicles, from its hour of `since` up to now.

    Earlier hours are added if an attempt had begun in them that ended in `since` or later.
    """
    now = present_hour(cursor)
    ids = {"ids": [str(key) for key in since]}
    counts: dict[UUID, dict[int, HourCount]] = {key: {} for key in since}
    values = {**ids, "since": list(since.values()), "first": now - DAY_HOURS + 1}
    cursor.execute(_COUNTS, values)
    for key, hour, attempts, ok in cursor.fetchall():
        counts[UUID(key)][hour] = HourCount(attempts, ok)
    return JournalHours(
        now, counts, _hours(cursor, _OLDEST, ids), _hours(cursor, _PULLED_UNTIL, ids)
    )


def _hours(cursor: Cursor, statement: str, ids: Mapping[str, list[str]]) -> dict[UUID, int]:
    """Return the hour of each of the vehicles that the statement finds."""
    cursor.execute(statement, ids)
    return {UUID(key): hour for key, hour in cursor.fetchall()}
