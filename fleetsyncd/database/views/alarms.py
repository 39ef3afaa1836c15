"""Read-only queries over the open alarms of the whole fleet: their counts, and pages of them.

The index alarms_log_open holds the open alarms alone, so their number decides what a query costs,
not the number of all alarms. Without the index, as before `migrate`, the table is read as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.json import Decoder

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import IS_PAUSED, name_of
from fleetsyncd.database.views.alarm_knowledge import ASKED_AGE, known_age
from fleetsyncd.database.views.fleet import cached_id
from fleetsyncd.database.views.sql_times import age, epoch, from_epoch
from fleetsyncd.severities import KNOWN_NAMES, UNKNOWN, OpenAlarms, Severity
from fleetsyncd.text import sanitise

PAGE_ROWS = 200
COUNT_SEC = 2
"""Counting that takes longer is given up: the fleet must not wait for it."""
_NAME_LIMIT, _SEVERITY_LIMIT, _MESSAGE_LIMIT = 200, 100, 1_000

# The statements below are made of constants only.
_NAMES = " ".join(f"WHEN '{name}' THEN {rank:d}" for name, rank in KNOWN_NAMES.items())
_RANK = f"CASE lower(btrim(a.severity)) {_NAMES} ELSE {UNKNOWN:d} END"
_COUNTS = f"""
SELECT set_config('statement_timeout', '{COUNT_SEC}s', true);
SELECT coalesce(json_agg(json_build_array(vehicle_id, total, worst, of_worst)), '[]')::text FROM (
    SELECT vehicle_id, sum(n) AS total, max(rank) AS worst,
        (array_agg(n ORDER BY rank DESC))[1] AS of_worst
    FROM (SELECT a.vehicle_id, {_RANK} AS rank, count(*) AS n
          FROM public.alarms_log a WHERE a.resolved_at IS NULL GROUP BY 1, 2) ranks
    GROUP BY 1
) counts
"""  # noqa: S608
# The planner takes row level security to hide nearly all rows. The open alarms are therefore
# collected first: a plan that looks for them vehicle by vehicle would be chosen otherwise, and
# without the index it reads each vehicle's alarms as a whole.
_PAGE = f"""
WITH open AS MATERIALIZED (
    SELECT a.vehicle_id, a.alarm_id, a.channel_id, a.severity, a.message, {_RANK} AS rank,
        a.triggered_at, coalesce(a.triggered_at, '-infinity') AS sort_at
    FROM public.alarms_log a WHERE a.resolved_at IS NULL
),
matching AS MATERIALIZED (
    SELECT o.*, {name_of()} AS vehicle, v.last_seen_at, c.name AS channel,
        c.unit, c.min_value, c.max_value
    FROM open o JOIN public.vehicles v ON v.id = o.vehicle_id
    LEFT JOIN public.channel_config c
        ON c.vehicle_id = o.vehicle_id AND c.channel_id = o.channel_id
    WHERE true {{conditions}}
)
SELECT (SELECT count(*) FROM matching), m.vehicle_id::text, m.vehicle, m.alarm_id, m.channel_id,
    m.channel, m.unit, m.min_value, m.max_value, left(m.severity, {_SEVERITY_LIMIT}), m.rank,
    left(m.message, {_MESSAGE_LIMIT}), {epoch("m.triggered_at")}, {age("m.triggered_at")},
    m.sort_at::text, {age("m.last_seen_at")},
    {ASKED_AGE},
    {IS_PAUSED}
FROM matching m LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = m.vehicle_id
WHERE true {{before}}
ORDER BY {{order}} LIMIT %(limit)s
"""  # noqa: S608
_SEARCHED = "lower(concat_ws(' ', v.name, o.severity, o.message, c.name))"


class Order(StrEnum):
    """The order of a page of alarms."""

    SEVERITY = "severity, then newest"
    NEWEST = "newest"


_KEYS = {
    Order.SEVERITY: "m.rank, m.sort_at, m.vehicle_id, m.alarm_id",
    Order.NEWEST: "m.sort_at, m.vehicle_id, m.alarm_id",
}
_POSITION = {
    Order.SEVERITY: "%(rank)s, %(at)s::timestamptz, %(vehicle)s::uuid, %(alarm)s",
    Order.NEWEST: "%(at)s::timestamptz, %(vehicle)s::uuid, %(alarm)s",
}


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms are shown: those that match every part."""

    texts: tuple[str, ...] = ()
    """Texts, each of which the vehicle's name, severity, message or channel name contains."""
    vehicles: tuple[str, ...] = ()
    """Texts, one of which the vehicle's name contains, if there are any."""
    severities: frozenset[Severity] | None = None
    names: frozenset[str] = frozenset()
    """Names of severities in lower case, as vehicles spell them, that count beside `severities`."""
    excluded: tuple["AlarmFilter", ...] = ()
    """What matches any of these is not shown."""
    scope: tuple[UUID, ...] | None = None
    """The only vehicles that count; None: all."""


@dataclass(frozen=True, slots=True)
class FleetAlarm:
    """An open alarm with its vehicle and channel; ages in seconds by the database's clock."""

    vehicle_id: UUID
    vehicle_name: str
    alarm_id: int
    channel_id: int | None
    channel_name: str
    """Empty if the channel is not known."""
    unit: str
    min_value: float | None
    max_value: float | None
    severity: str
    """As the vehicle named it; empty if it did not."""
    rank: Severity
    message: str
    triggered_at: datetime | None
    age: float | None
    known_age: float | None
    """How long ago the vehicle last said that it is open; None if that is not known."""
    paused: bool
    sort_at: str
    """The time of triggering as the database writes it, exact."""

    @property
    def key(self) -> tuple[UUID, int]:
        """What tells it from every other alarm."""
        return self.vehicle_id, self.alarm_id


@dataclass(frozen=True, slots=True)
class AlarmPage:
    """Rows of a page, and how many alarms match the filter on all pages."""

    rows: tuple[FleetAlarm, ...]
    total: int


class _Count(Struct, array_like=True, gc=False):
    """A row of _COUNTS."""

    vehicle_id: str
    total: int
    worst: Severity
    of_worst: int


_COUNT_ROWS = Decoder(list[_Count])


def open_alarms(cursor: Cursor) -> dict[UUID, OpenAlarms]:
    """Return the counts of each vehicle that has open alarms; the transaction's first statement."""
    cursor.execute(_COUNTS)
    counts = _COUNT_ROWS.decode(cursor.fetchall()[0][0])
    return {
        cached_id(each.vehicle_id): OpenAlarms(each.total, each.worst, each.of_worst)
        for each in counts
    }


def read_alarms(
    cursor: Cursor,
    order: Order,
    chosen: AlarmFilter,
    *,
    before: FleetAlarm | None = None,
    limit: int = PAGE_ROWS,
) -> AlarmPage:
    """Return a page of the open alarms; `before` is the last row of the page above."""
    conditions, values = _conditions(chosen)
    values["limit"] = limit
    position = ""
    if before is not None:
        position = f"AND ({_KEYS[order]}) < ({_POSITION[order]})"
        values |= {"rank": int(before.rank), "at": before.sort_at, "alarm": before.alarm_id}
        values["vehicle"] = str(before.vehicle_id)
    descending = ", ".join(f"{key} DESC" for key in _KEYS[order].split(", "))
    cursor.execute(_PAGE.format(conditions=conditions, before=position, order=descending), values)
    rows = cursor.fetchall()
    return AlarmPage(tuple(_alarm(row[1:]) for row in rows), rows[0][0] if rows else 0)


def _conditions(chosen: AlarmFilter, key: str = "") -> tuple[str, dict[str, Any]]:
    """Return SQL for a filter, and its values, whose names begin with `key`."""
    sql = ""
    values: dict[str, Any] = {}
    for index, text in enumerate(chosen.texts):
        sql += f" AND strpos({_SEARCHED}, lower(%({key}text{index})s)) > 0"
        values[f"{key}text{index}"] = text
    if chosen.vehicles:
        sql += (
            f" AND EXISTS (SELECT FROM unnest(%({key}vehicles)s::text[]) part"
            f" WHERE strpos(lower({name_of()}), lower(part)) > 0)"
        )
        values[f"{key}vehicles"] = list(chosen.vehicles)
    if chosen.scope is not None:
        sql += f" AND v.id = ANY (%({key}scope)s::uuid[])"
        values[f"{key}scope"] = [str(key) for key in chosen.scope]
    if chosen.severities is not None:
        sql += (
            f" AND (o.rank = ANY (%({key}ranks)s::int[])"
            f" OR lower(btrim(coalesce(o.severity, ''))) = ANY (%({key}names)s::text[]))"
        )
        values[f"{key}ranks"] = sorted(map(int, chosen.severities))
        values[f"{key}names"] = sorted(chosen.names)
    for index, each in enumerate(chosen.excluded):
        excluded, more = _conditions(each, f"{key}not{index}_")
        sql += f" AND NOT (true{excluded})"
        values |= more
    return sql, values


def _alarm(row: Sequence[Any]) -> FleetAlarm:
    (
        key, name, number, channel, channel_name, unit, low, high, severity, rank, message,
        triggered, seconds, sort_at, seen_age, asked_age, paused,
    ) = row  # fmt: skip
    return FleetAlarm(
        vehicle_id=UUID(key),
        vehicle_name=sanitise(name, _NAME_LIMIT),
        alarm_id=number,
        channel_id=channel,
        channel_name=sanitise(channel_name or "", _NAME_LIMIT),
        unit=sanitise(unit or "", 20),
        min_value=low,
        max_value=high,
        severity=sanitise(severity or "", _SEVERITY_LIMIT),
        rank=Severity(rank),
        message=sanitise(message or "", _MESSAGE_LIMIT),
        triggered_at=from_epoch(triggered),
        age=seconds,
        known_age=known_age(seen_age, asked_age),
        paused=paused,
        sort_at=sort_at,
    )
