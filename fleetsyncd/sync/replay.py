"""Bad rows tried again: what has become valid is stored, in one transaction with its release."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from fleetsyncd.database import measurements, quarantine, store
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.quarantine import QuarantinedRow
from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Alarm, Channel, Measurements, Window
from fleetsyncd.time_limits import OLDEST_ALARM
from fleetsyncd.vehicle import decode

T = TypeVar("T")

BATCH = 1_000
"""Bad rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to."""

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
    storable: Callable[[], Window],
    vehicle_id: UUID | None = None,
) -> Replayed:
    """Try the bad rows of a vehicle or of all again; those that are still bad stay where they are.

    Of channels and alarms only those are stored of which nothing is known: cycles keep the others
    up to date, and must not be overtaken by the past.
    """
    total, last = Replayed(), 0
    while batch := database.run(partial(_page, vehicle_id, last)):
        last = batch[-1].id
        total += _replay(batch, database, partitions, storable())
    return total


def _page(vehicle_id: UUID | None, after: int, cursor: Cursor) -> list[QuarantinedRow]:
    return quarantine.list_rows(cursor, vehicle_id, BATCH, after=after)


def _replay(
    batch: Sequence[QuarantinedRow], database: Database, partitions: Partitions, bounds: Window
) -> Replayed:
    good = {entry.id: found for entry in batch if (found := valid(entry, bounds)) is not None}
    if not good:
        return Replayed(len(batch))
    times = [at for found in good.values() if isinstance(found, Measurements) for at in found.times]
    if times:
        partitions.ensure(min(times), max(times))
    released = sorted((entry for entry in batch if entry.id in good), key=_vehicle)
    added = database.run(partial(_release, released, good))
    return Replayed(len(batch), len(good), added)


def _vehicle(entry: QuarantinedRow) -> UUID:
    return entry.vehicle_id


def valid(entry: QuarantinedRow, bounds: Window) -> Measurements | Channel | Alarm | None:
    """Return what a bad row holds, if its time lies in `bounds` and all is well; else None."""
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


def _release(entries: Iterable[QuarantinedRow], good: dict[int, Any], cursor: Cursor) -> int:
    """Store what the entries hold, ordered as cycles write, and take them out of quarantine."""
    added = 0
    for vehicle_id, mine in groupby(entries, key=_vehicle):
        found = [good[entry.id] for entry in mine]
        store.lock_vehicle(cursor, vehicle_id)
        rows = [row for one in found if isinstance(one, Measurements) for row in one.rows()]
        added += measurements.add_measurements(cursor, vehicle_id, Measurements.from_rows(rows))
        known = quarantine.stored_ids(cursor, vehicle_id)
        alarms = {a.alarm_id: a for a in found if isinstance(a, Alarm)}
        fresh = [alarms[key] for key in sorted(alarms.keys() - known.alarms)]
        added += store.save_alarms(cursor, vehicle_id, fresh)
        channels = {c.channel_id: c for c in found if isinstance(c, Channel)}
        new = [channels[key] for key in sorted(channels.keys() - known.channels)]
        added += store.save_channels(cursor, vehicle_id, new)
    quarantine.delete_rows(cursor, good.keys())
    return added
