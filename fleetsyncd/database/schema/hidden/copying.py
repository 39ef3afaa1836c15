"""Copy rows from one table to another, part by part and vehicle by vehicle.

Each vehicle's rows of a part are one transaction, which also records them as copied: what was
interrupted goes on there.
"""

import logging
from typing import Any

from fleetsyncd.database.schema.hidden import mirror
from fleetsyncd.database.schema.hidden.layout import COLUMNS
from fleetsyncd.database.schema.lock_waits import PatientSession

log = logging.getLogger("sync.migrate")

WHOLE = "00000000-0000-0000-0000-000000000000"
"""Recorded in a vehicle's place once a part is copied as a whole."""
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
SELECT f.vehicle_id::text FROM found f WHERE f.vehicle_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM {copied} k WHERE k.part = {number} AND k.vehicle_id = f.vehicle_id)
"""
# The lock comes first and alone: the statement after it sees what was committed until then.
_COPY = """
SELECT {lock};
INSERT INTO {target} ({columns}) SELECT {columns} FROM {part} WHERE vehicle_id = '{vehicle}'
    ON CONFLICT DO NOTHING;
INSERT INTO {copied} VALUES ({number}, '{vehicle}') ON CONFLICT DO NOTHING;
"""
_DONE = "INSERT INTO {copied} VALUES ({number}, '{vehicle}') ON CONFLICT DO NOTHING"


def parts_left(session: PatientSession, source: str) -> list[tuple[int, str]]:
    """Return number and name of the parts that are not copied yet."""
    return [(oid, name) for oid, name in _query(session, LEFT, source)]


def copy_all(session: PatientSession, source: str, target: str) -> None:
    """Copy what is not copied yet, parts included that come into being meanwhile."""
    while parts := parts_left(session, source):
        total = len(_query(session, PARTS, source))
        for place, (number, part) in enumerate(parts):
            _copy_part(session, part, number, target)
            done = total - len(parts) + place + 1
            log.info("copied %s: %d of %d parts of %s are done", part, done, total, source)


def _query(session: PatientSession, query: str, table: str) -> list[tuple[Any, ...]]:
    with session.connection.cursor() as cursor:
        cursor.execute(query, {"table": table})
        return cursor.fetchall()


def _copy_part(session: PatientSession, part: str, number: int, target: str) -> None:
    """Copy a part; of a vehicle whose first rows come meanwhile, the triggers copy them all."""
    values = {"part": part, "number": number, "target": target, "copied": mirror.COPIED}
    vehicles = [vehicle for (vehicle,) in session.query(_VEHICLES.format(**values))]
    for vehicle in vehicles:
        lock = mirror.lock_of(f"'{vehicle}'")
        session.execute(
            f"the copy of {part}",
            _COPY.format(**values, vehicle=vehicle, lock=lock, columns=COLUMNS),
        )
    session.execute(f"the copy of {part}", _DONE.format(**values, vehicle=WHOLE))
