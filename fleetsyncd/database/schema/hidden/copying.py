"""Copy rows from one table to another, part by part, vehicle by vehicle, slice by slice of time.

A slice is one transaction of some seconds, which also records how far the vehicle's rows are
copied: what was interrupted goes on there. A longer one would keep live writers from new chunks.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fleetsyncd.database.schema.hidden import mirror
from fleetsyncd.database.schema.hidden.layout import COLUMNS
from fleetsyncd.database.schema.lock_waits import PatientSession

log = logging.getLogger("sync.migrate")

WHOLE = "00000000-0000-0000-0000-000000000000"
"""Recorded in a vehicle's place once a part is copied as a whole."""
TARGET_SEC = 2.0
"""How long a transaction should take: who writes the first row of a new chunk waits for it."""
FIRST_SLICE = timedelta(hours=1)
SHORTEST_SLICE, LONGEST_SLICE = timedelta(minutes=1), timedelta(days=366)
# A hypertable's parts are its chunks, which are its children, too.
PARTS = """
SELECT p.oid::bigint, p.name FROM (
    SELECT t.relid::oid, t.relid::regclass::text FROM pg_partition_tree(to_regclass(%(table)s)) t
    WHERE t.isleaf
    UNION SELECT i.inhrelid, i.inhrelid::regclass::text FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhparent AND c.relkind = 'r'
    WHERE i.inhparent = to_regclass(%(table)s)
    UNION SELECT c.oid, c.oid::regclass::text FROM pg_class c
    WHERE c.oid = to_regclass(%(table)s) AND c.relkind = 'r'
      AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)) p(oid, name)
"""
LEFT = f"""
{PARTS} WHERE NOT EXISTS (
    SELECT FROM {mirror.COPIED} k WHERE k.part = p.oid AND k.vehicle_id = '{WHOLE}')
ORDER BY p.name
"""
# One look into the key for each vehicle.
_VEHICLES = """
WITH RECURSIVE found AS (
    (SELECT vehicle_id FROM {part} ORDER BY vehicle_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.vehicle_id FROM {part} p WHERE p.vehicle_id > found.vehicle_id
            ORDER BY p.vehicle_id LIMIT 1)
    FROM found WHERE found.vehicle_id IS NOT NULL
)
SELECT f.vehicle_id::text, coalesce(k.upto, '-infinity')::text
FROM found f LEFT JOIN {copied} k ON k.part = {number} AND k.vehicle_id = f.vehicle_id
WHERE f.vehicle_id IS NOT NULL AND (k.part IS NULL OR k.upto IS NOT NULL)
"""
# And one for each of its channels.
_CHANNELS = """
WITH RECURSIVE found AS (
    (SELECT channel_id FROM {part} WHERE vehicle_id = '{vehicle}' ORDER BY channel_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.channel_id FROM {part} p WHERE p.vehicle_id = '{vehicle}'
            AND p.channel_id > found.channel_id ORDER BY p.channel_id LIMIT 1)
    FROM found WHERE found.channel_id IS NOT NULL
)
SELECT coalesce(array_agg(channel_id), '{{}}')::text FROM found WHERE channel_id IS NOT NULL
"""
_NEXT = """
SELECT min(first.at)::text, (min(first.at) + interval '{seconds} s')::text
FROM unnest('{channels}'::integer[]) channel
CROSS JOIN LATERAL (
    SELECT p."time" AS at FROM {part} p WHERE p.vehicle_id = '{vehicle}'
      AND p.channel_id = channel AND p."time" >= '{after}' ORDER BY p."time" LIMIT 1) first
"""
# The lock comes first and alone: the statement after it sees what was committed until then.
_COPY = """
SELECT {lock};
INSERT INTO {target} ({columns})
SELECT {columns} FROM unnest('{channels}'::integer[]) channel CROSS JOIN LATERAL (
    SELECT {columns} FROM {part} p WHERE p.vehicle_id = '{vehicle}' AND p.channel_id = channel
      AND p."time" >= '{start}' {bound}) slice
    ON CONFLICT DO NOTHING;
{done}
"""
_DONE = """
INSERT INTO {copied} (part, vehicle_id, upto) VALUES ({number}, '{vehicle}', {upto})
ON CONFLICT (part, vehicle_id) DO UPDATE SET upto = excluded.upto
"""


def parts_left(session: PatientSession, source: str) -> list[tuple[int, str]]:
    """Return number and name of the parts that are not copied yet."""
    return [(oid, name) for oid, name in _query(session, LEFT, source)]


def copy_all(session: PatientSession, source: str, target: str) -> None:
    """Copy what is not copied yet, parts included that come into being meanwhile."""
    pace = _Pace()
    while parts := parts_left(session, source):
        total = len(_query(session, PARTS, source))
        for place, (number, part) in enumerate(parts):
            _copy_part(_Copy(session, part, number, target, pace))
            done = total - len(parts) + place + 1
            log.info("copied %s: %d of %d parts of %s are done", part, done, total, source)


def _query(session: PatientSession, query: str, table: str) -> list[tuple[Any, ...]]:
    with session.connection.cursor() as cursor:
        cursor.execute(query, {"table": table})
        return cursor.fetchall()


class _Pace:
    """How much time of a vehicle a transaction copies, so that it takes about TARGET_SEC."""

    def __init__(self) -> None:
        self.slice = FIRST_SLICE

    def note(self, seconds: float) -> None:
        """Note how long the last one took."""
        factor = min(2.0, max(0.25, TARGET_SEC / max(seconds, 0.001)))
        self.slice = min(LONGEST_SLICE, max(SHORTEST_SLICE, self.slice * factor))


@dataclass(frozen=True, slots=True)
class _Copy:
    """What copies a part."""

    session: PatientSession
    part: str
    number: int
    target: str
    pace: _Pace

    def query(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query about the part."""
        return self.session.query(self._filled(query, **values))

    def execute(self, statement: str, **values: object) -> None:
        """Run a statement that copies of the part."""
        self.session.execute(f"the copy of {self.part}", self._filled(statement, **values))

    def note(self, vehicle: str, upto: str | None) -> str:
        """Return SQL that notes up to where a vehicle's rows are copied; None: all of them."""
        return self._filled(_DONE, vehicle=vehicle, upto="NULL" if upto is None else f"'{upto}'")

    def next_slice(
        self, after: str | None, values: Mapping[str, object]
    ) -> tuple[str | None, str | None]:
        """Return where a vehicle's next rows begin, at `after` or later, and where a slice ends."""
        seconds = self.pace.slice.total_seconds()
        ((start, end),) = self.query(_NEXT, **values, after=after, seconds=seconds)
        return start, end

    def _filled(self, statement: str, **values: object) -> str:
        return statement.format(
            part=self.part,
            number=self.number,
            target=self.target,
            copied=mirror.COPIED,
            columns=COLUMNS,
            **values,
        )


def _copy_part(copy: _Copy) -> None:
    """Copy a part; of a vehicle whose first rows come meanwhile, the triggers copy them all."""
    for vehicle, upto in copy.query(_VEHICLES):
        _copy_vehicle(copy, vehicle, upto)
    copy.execute(copy.note(WHOLE, None))


def _copy_vehicle(copy: _Copy, vehicle: str, upto: str) -> None:
    """Copy a vehicle's rows from `upto` on; those of channels that are new the triggers copy."""
    ((channels,),) = copy.query(_CHANNELS, vehicle=vehicle)
    values = {"vehicle": vehicle, "channels": channels}
    start, end = copy.next_slice(upto, values)
    if start is None:
        copy.execute(copy.note(vehicle, None))
    while start is not None:
        # At an infinite time a slice has no length: it is all that is left.
        bound = "" if start == end else f"AND p.\"time\" < '{end}'"
        following = copy.next_slice(end, values) if bound else (None, None)
        began = time.monotonic()
        copy.execute(
            _COPY,
            **values,
            start=start,
            bound=bound,
            lock=mirror.lock_of(f"'{vehicle}'"),
            done=copy.note(vehicle, following[0]),
        )
        copy.pace.note(time.monotonic() - began)
        start, end = following
