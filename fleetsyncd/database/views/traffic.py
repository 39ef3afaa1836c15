"""What the vehicles' links have carried, by month or day in UTC. Changes nothing."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.states import LinkTraffic, VehicleOverview
from fleetsyncd.text import sanitise

TABLE = "fleetsync.traffic"
_BYTES = "t.received_bytes + t.sent_bytes"
_MONTH = "date_trunc('month', current_date)::date"
_OVERVIEW = f"""
SELECT t.vehicle_id::text,
    coalesce(sum({_BYTES}) FILTER (WHERE t.day = current_date), 0)::bigint,
    coalesce(sum({_BYTES}) FILTER (WHERE t.day >= {_MONTH}), 0)::bigint,
    coalesce(sum({_BYTES}) FILTER (WHERE t.day < {_MONTH}), 0)::bigint
FROM fleetsync.traffic t
WHERE t.day >= {_MONTH} - interval '1 month'
  AND (%(only)s::uuid[] IS NULL OR t.vehicle_id = ANY (%(only)s::uuid[]))
GROUP BY t.vehicle_id
"""  # noqa: S608  made of this file's own text
_PERIODS = """
SELECT v.id::text, coalesce(v.name, v.id::text), date_trunc(%(unit)s, t.day)::date AS begins,
    sum(t.received_bytes)::bigint, sum(t.sent_bytes)::bigint, sum(t.requests)::bigint
FROM fleetsync.traffic t JOIN public.vehicles v ON v.id = t.vehicle_id
WHERE t.day >= %(since)s::date
  AND (%(only)s::uuid[] IS NULL OR t.vehicle_id = ANY (%(only)s::uuid[]))
GROUP BY v.id, v.name, begins
ORDER BY lower(coalesce(v.name, v.id::text)) COLLATE "C", v.id, begins DESC
"""


class TrafficPeriod(msgspec.Struct, frozen=True):
    """What a vehicle's link has carried in a month or on a day in UTC."""

    id: UUID
    name: str
    period: str
    """The month as YYYY-MM, or the day as YYYY-MM-DD."""
    received_bytes: int
    """Of answers, as they came: heads and bodies, compressed."""
    sent_bytes: int
    """Of requests."""
    requests: int


def link_traffic(
    cursor: Cursor, only: Collection[UUID] | None = None
) -> dict[UUID, LinkTraffic] | None:
    """Return what the links of all vehicles, or `only` of these, have carried.

    Without those of which nothing is known; None if the role may not read it.
    """
    if not may_read(cursor, TABLE):
        return None
    cursor.execute(_OVERVIEW, {"only": _ids(only)})
    return {UUID(key): LinkTraffic(*numbers) for key, *numbers in cursor.fetchall()}


def with_traffic(cursor: Cursor, vehicles: Sequence[VehicleOverview]) -> list[VehicleOverview]:
    """Return the vehicles with what their links have carried, if the role may read it."""
    known = link_traffic(cursor, {each.id for each in vehicles})
    if known is None:
        return list(vehicles)
    return [
        msgspec.structs.replace(each, traffic=known.get(each.id, LinkTraffic()))
        for each in vehicles
    ]


def traffic_by_month(
    cursor: Cursor, since: date, only: Collection[UUID] | None = None
) -> list[TrafficPeriod]:
    """Return the months since `since`, which one begins with: by vehicle, the newest first."""
    return _periods(cursor, "month", since, only)


def traffic_by_day(
    cursor: Cursor, since: date, only: Collection[UUID] | None = None
) -> list[TrafficPeriod]:
    """Return the days from `since` on: by vehicle, the newest first."""
    return _periods(cursor, "day", since, only)


def _periods(
    cursor: Cursor, unit: str, since: date, only: Collection[UUID] | None
) -> list[TrafficPeriod]:
    cursor.execute(_PERIODS, {"unit": unit, "since": since, "only": _ids(only)})
    form = "%Y-%m" if unit == "month" else "%Y-%m-%d"
    return [_period(form, *row) for row in cursor.fetchall()]


def _period(form: str, key: str, name: str, begins: date, *numbers: Any) -> TrafficPeriod:
    return TrafficPeriod(UUID(key), sanitise(name, 200), f"{begins:{form}}", *numbers)


def _ids(only: Collection[UUID] | None) -> list[str] | None:
    return None if only is None else [str(key) for key in only]
