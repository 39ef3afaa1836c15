"""Try quarantined rows again: valid ones are stored and released in one transaction."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from fleetsyncd.actions import Action
from fleetsyncd.database import (
    adopted_nulls,
    alarms,
    measurements,
    quarantine,
    store,
    vehicle_memory,
)
from fleetsyncd.database.action_log import Change, record
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.quarantine import QuarantinedRow
from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Alarm, Channel, Measurements
from fleetsyncd.time_limits import OLDEST_ALARM
from fleetsyncd.vehicle import decode

T = TypeVar("T")

BATCH = 1_000
"""Quarantined rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay."""

    tried: int = 0
    valid: int = 0
    added: int = 0
    """Valid rows that were not stored already."""

    def __add__(self, other: "Replayed") -> "Replayed":
        return Replayed(
            self.tried + other.tried, self.valid + other.valid, self.added + other.added
        )


def replay(
    database: Database,
    partitions: Partitions,
    accepted: Callable[[], Window],
    vehicle_id: UUID | None = None,
    only: Collection[int] | None = None,
    action: Action | None = None,
) -> Replayed:
    """Try the quarantined rows of a vehicle or of all; rows that are still bad stay in quarantine.

    With `only`, those of them with these ids.

    Channels and alarms are stored only if they are not stored yet: cycles keep the others up to
    date, and an old row must not overwrite a newer one. An `action` is recorded for each vehicle,
    with the first of its rows that are valid.
    """
    total, last = Replayed(), 0
    while batch := database.run(partial(_read_batch, vehicle_id, only, last)):
        last = batch[-1].id
        total += _replay(batch, database, partitions, accepted(), action)
    return total


def _read_batch(
    vehicle_id: UUID | None, only: Collection[int] | None, after: int, cursor: Cursor
) -> list[QuarantinedRow]:
    return quarantine.list_rows(cursor, vehicle_id, BATCH, after=after, only=only)


def _replay(
    batch: Sequence[QuarantinedRow],
    database: Database,
    partitions: Partitions,
    bounds: Window,
    action: Action | None,
) -> Replayed:
    decoded = {entry.id: decode_row(entry, bounds) for entry in batch}
    good = {key: content for key, content in decoded.items() if content is not None}
    if not good:
        return Replayed(len(batch))
    times = [at for row in good.values() if isinstance(row, Measurements) for at in row.times]
    if times:
        partitions.ensure(min(times), max(times))
    released = sorted((entry for entry in batch if entry.id in good), key=_vehicle)
    stored, added = database.run(partial(_release, released, good, action))
    return Replayed(len(batch), stored, added)


def _vehicle(entry: QuarantinedRow) -> UUID:
    return entry.vehicle_id


def decode_row(entry: QuarantinedRow, bounds: Window) -> Measurements | Channel | Alarm | None:
    """Return what a quarantined row contains; None if it is invalid or its time not in `bounds`."""
    raw = entry.raw.encode()
    try:
        match entry.call:
            case "/data":
                page = decode.page(
                    b'{"truncated":false,"rows":[%b]}' % raw, 2, bounds.start, bounds.end
                )
                return None if page.bad else page.measurements
            case "/channels":
                return _only(*decode.channels(b"[%b]" % raw))
            case "/alarms":
                return _only(*decode.alarms(b"[%b]" % raw, OLDEST_ALARM, bounds.end))
    except BadAnswer:
        pass
    return None


def _only(good: Sequence[T], bad: Sequence[object]) -> T | None:
    return None if bad or len(good) != 1 else good[0]


def _release(
    entries: Iterable[QuarantinedRow], good: dict[int, Any], action: Action | None, cursor: Cursor
) -> tuple[int, int]:
    """Store the content of rows in the order in which cycles write; delete them in quarantine.

    Returns how many rows are stored now, and how many were not before. What the tables refuse
    stays in quarantine.
    """
    added, released = 0, []
    for vehicle_id, group in groupby(entries, key=_vehicle):
        mine = {entry.id: good[entry.id] for entry in group}
        contents = list(mine.values())
        store.lock_vehicle(cursor, vehicle_id)
        rows = [row for each in contents if isinstance(each, Measurements) for row in each.rows()]
        added += measurements.add_measurements(cursor, vehicle_id, Measurements.from_rows(rows))
        told = _each_once(content for content in contents if isinstance(content, Alarm))
        known = alarms.known_alarms(cursor, vehicle_id, told)
        fresh = [alarm for alarm in told if alarm not in known]
        saved, without_channel = adopted_nulls.save_alarms(cursor, vehicle_id, fresh)
        channels = {c.channel_id: c for c in contents if isinstance(c, Channel)}
        stored = vehicle_memory.stored_channels(cursor, vehicle_id)
        new = [channels[key] for key in sorted(channels.keys() - stored.keys())]
        new_channels, without_range = adopted_nulls.save_channels(cursor, vehicle_id, new)
        added += saved.written + new_channels
        refused = {_key(entry) for entry in (*without_channel, *without_range)}
        released += [number for number, row in mine.items() if _key(row) not in refused]
        record(cursor, action, [Change(vehicle_id, after={"refused_rows": "tried again"})])
    quarantine.delete_rows(cursor, released)
    return len(released), added


def _each_once(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Return each alarm once, resolved if any row of it says so."""
    by_end = sorted(alarms, key=lambda alarm: alarm.resolved_at is not None)
    return list({alarm.key: alarm for alarm in by_end}.values())


def _key(content: object) -> tuple[object, ...] | None:
    """Return what tells an entry from others of its vehicle; None for measurements."""
    if isinstance(content, Alarm):
        return Alarm, *content.key
    return (Channel, content.channel_id) if isinstance(content, Channel) else None
