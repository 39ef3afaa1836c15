"""Vehicles that were removed: what is known of each, and from when to when it has measured.

Those of `fleetsync.removed_vehicle`, and the owners of measurements that are in no table at all:
earlier versions kept no record. No query reads more than the index has distinct entries, nor more
than a few of a hypertable's chunks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from fleetsyncd.database.cluster import value_of
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.spans import Span, all_spans, look_through
from fleetsyncd.database.vehicle_state import IS_PAUSED
from fleetsyncd.database.views.sql_times import epoch, from_epoch
from fleetsyncd.errors import CommandError
from fleetsyncd.text import is_storable, sanitise
from fleetsyncd.validation import address_text

SETTLED = "the vehicle was restored or purged meanwhile: see `fleetsyncd vehicle list --removed`"
_RECORDS = f"""
SELECT vehicle_id::text, name, host(vpn_ip), api_port, {epoch("removed_at")},
    {epoch("last_sync_at")}, had_own_key, {IS_PAUSED}, granted_to::text[], purged_until::text
FROM fleetsync.removed_vehicle s
WHERE NOT EXISTS (SELECT FROM public.vehicles v WHERE v.id = s.vehicle_id)
"""  # noqa: S608  made of this file's own text
_LIST = f"{_RECORDS} ORDER BY removed_at DESC NULLS LAST, name, vehicle_id"
_FIND = f"{_RECORDS} AND (name = %(text)s OR vehicle_id = %(id)s::uuid) ORDER BY removed_at"
_IS_MEASURED = "SELECT EXISTS (SELECT FROM public.measurements WHERE vehicle_id = %(id)s::uuid)"
_IS_UNRECORDED = """
SELECT {is_measured} AND NOT EXISTS (SELECT FROM public.vehicles WHERE id = %(id)s::uuid)
"""
# Each step goes to the next channel in the index, and looks at both of its ends.
_EXTENT = """
WITH RECURSIVE channels(id) AS (
    (SELECT channel_id FROM public.measurements
     WHERE vehicle_id = %(id)s::uuid AND time >= %(since)s{span} ORDER BY channel_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.channel_id FROM public.measurements m
            WHERE m.vehicle_id = %(id)s::uuid AND m.channel_id > channels.id
              AND time >= %(since)s{span}
            ORDER BY m.channel_id LIMIT 1)
    FROM channels WHERE channels.id IS NOT NULL
)
SELECT array_agg(id), greatest(min(first), '0001-01-02Z'), least(max(last), '9999-01-01Z')
FROM channels,
LATERAL (SELECT (SELECT time FROM public.measurements
                 WHERE vehicle_id = %(id)s::uuid AND channel_id = channels.id
                   AND time >= %(since)s{span}
                 ORDER BY time LIMIT 1) AS first,
                (SELECT time FROM public.measurements
                 WHERE vehicle_id = %(id)s::uuid AND channel_id = channels.id
                   AND time >= %(since)s{span}
                 ORDER BY time DESC LIMIT 1) AS last) ends
WHERE id IS NOT NULL
"""
# The newest measurement is the end of a committed window, unless the vehicle's clock was ahead.
_RECORD = """
INSERT INTO fleetsync.removed_vehicle (vehicle_id, last_sync_at, newest_measurement_at)
SELECT %(id)s::uuid, least(%(last)s::timestamptz, now()),
    CASE WHEN %(last)s::timestamptz <= now() THEN %(last)s::timestamptz END
WHERE NOT EXISTS (SELECT FROM public.vehicles WHERE id = %(id)s::uuid)
ON CONFLICT (vehicle_id) DO NOTHING
"""
_LOCK = "SELECT 1 FROM fleetsync.removed_vehicle WHERE vehicle_id = %s::uuid FOR UPDATE"
_IS_REGISTERED = "SELECT EXISTS (SELECT FROM public.vehicles WHERE id = %s::uuid)"
_FORGET = "DELETE FROM fleetsync.removed_vehicle WHERE vehicle_id = %s::uuid"


@dataclass(frozen=True, slots=True)
class RemovedVehicle:
    """What is known of a removed vehicle; name, host and port are None without a record."""

    id: UUID
    name: str | None = None
    host: str | None = None
    port: int | None = None
    removed_at: datetime | None = None
    watermark: datetime | None = None
    had_own_key: bool = False
    paused: bool = False
    users: tuple[UUID, ...] = ()
    """Who saw it."""
    purged_until: str | None = None
    """Measurements before this time, as PostgreSQL writes it, are deleted; None: none are."""

    @property
    def label(self) -> str:
        """How it is called: its name, or its id."""
        return self.name or str(self.id)

    @property
    def address(self) -> str | None:
        """Its host and port in one text."""
        return None if self.host is None else address_text(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Ends:
    """The times of a vehicle's first and last measurement."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Extent:
    """Which channels a vehicle has measurements of, and the times of the first and the last one."""

    channels: tuple[int, ...]
    first: datetime
    last: datetime


def recorded(cursor: Cursor) -> list[RemovedVehicle]:
    """Return the removed vehicles of which a record was kept, the last removed one first."""
    cursor.execute(_LIST)
    return _read(cursor.fetchall())


def read_extent(cursor: Cursor, vehicle: RemovedVehicle) -> Extent | None:
    """Return the extent of the measurements that a removed vehicle has left; None: it has none."""
    return _read_extent(cursor, vehicle, all_spans(cursor))


def read_ends(cursor: Cursor, vehicle: RemovedVehicle) -> Ends | None:
    """Return between which times the measurements are that a removed vehicle has left.

    They are looked for from both ends, up to the first and the last of them. None: it has none.
    """
    spans = all_spans(cursor)
    for number, span in enumerate(spans):
        if first := _read_extent(cursor, vehicle, [span]):
            for newest in reversed(spans[number + 1 :]):
                if last := _read_extent(cursor, vehicle, [newest]):
                    return Ends(first.first, last.last)
            return Ends(first.first, first.last)
    return None


def _read_extent(cursor: Cursor, vehicle: RemovedVehicle, spans: Iterable[Span]) -> Extent | None:
    """Return the extent of the measurements in some spans; None: there are none."""
    look = partial(_look, {"id": str(vehicle.id), "since": vehicle.purged_until or "-infinity"})
    found = list(look_through(cursor, spans, look))
    if not found:
        return None
    channels = {channel for extent in found for channel in extent.channels}
    first, last = min(each.first for each in found), max(each.last for each in found)
    return Extent(tuple(sorted(channels)), first, last)


def _look(values: Mapping[str, str], cursor: Cursor, span: Span) -> Extent | None:
    cursor.execute(_EXTENT.format(span=span.condition()), values)
    channels, first, last = cursor.fetchall()[0]
    return None if channels is None else Extent(tuple(channels), first, last)


def find_removed(cursor: Cursor, text: str) -> RemovedVehicle:
    """Return the removed vehicle with this name or id; raise CommandError unless there is one."""
    matches = []
    key = _as_id(text)
    if is_storable(text):
        cursor.execute(_FIND, {"text": text, "id": key and str(key)})
        matches = _read(cursor.fetchall())
    if not matches and key is not None and _is_unrecorded(cursor, key):
        return RemovedVehicle(key)
    if not matches:
        hint = "see `fleetsyncd vehicle list --removed`"
        raise CommandError(f"no removed vehicle is called {sanitise(text)}: {hint}")
    if len(matches) > 1:
        ids = ", ".join(str(vehicle.id) for vehicle in matches)
        several = f"{len(matches)} removed vehicles are called {sanitise(text)}"
        raise CommandError(f"{several}, name one by its id: {ids}")
    return matches[0]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _is_unrecorded(cursor: Cursor, key: UUID) -> bool:
    values = {"id": str(key)}
    is_measured = value_of(cursor, _IS_MEASURED, values)
    cursor.execute(_IS_UNRECORDED.format(is_measured=is_measured), values)
    return bool(cursor.fetchall()[0][0])


def _read(rows: Iterable[tuple[Any, ...]]) -> list[RemovedVehicle]:
    return [
        RemovedVehicle(
            id=UUID(key),
            name=None if name is None else sanitise(name, 200),
            host=host,
            port=port,
            removed_at=from_epoch(removed),
            watermark=from_epoch(synced),
            had_own_key=had_own_key,
            paused=paused,
            users=tuple(map(UUID, users)),
            purged_until=purged_until,
        )
        for key, name, host, port, removed, synced, had_own_key, paused, users, purged_until in rows
    ]


def ensure_record(cursor: Cursor, vehicle: RemovedVehicle) -> None:
    """Make the record of a vehicle that has none, and lock it as `lock_record` does."""
    if vehicle.removed_at is None:
        ends = read_ends(cursor, vehicle)
        cursor.execute(_RECORD, {"id": str(vehicle.id), "last": ends and ends.last})
    lock_record(cursor, vehicle)


def lock_record(cursor: Cursor, vehicle: RemovedVehicle) -> None:
    """Lock the vehicle's record, so that nobody restores or purges it at the same time.

    Raises CommandError if that was done meanwhile, or if another program has registered it again.
    """
    cursor.execute(_LOCK, (str(vehicle.id),))
    if cursor.fetchone() is None:
        raise CommandError(SETTLED)
    # A statement of its own, which sees what was committed while the lock was waited for.
    cursor.execute(_IS_REGISTERED, (str(vehicle.id),))
    if cursor.fetchall()[0][0]:
        raise CommandError(SETTLED)


def forget(cursor: Cursor, vehicle_id: UUID) -> None:
    """Delete the record of a removed vehicle."""
    cursor.execute(_FORGET, (str(vehicle_id),))
