"""The action log: who did what. A row is written by the transaction that does it.

Each action leaves a row for every vehicle that it has changed; what changes nothing leaves none. No
row holds an API key: whether a vehicle has one of its own, and that it got another, is all.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from fleetsyncd.actions import TEXT_LIMIT, Action
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import IS_PAUSED
from fleetsyncd.database.vehicle_terms import JOIN_TERMS
from fleetsyncd.text import sanitise

Values = Mapping[str, Any]
_KEY = "key"
_OWN = "own"
_OTHER_KEY = {_KEY: "another of its own"}
# Until the commit nobody else changes what is read here: cycles write the vehicle's row first.
_LOCK = """
SELECT FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""
_STATES = f"""
SELECT v.id::text, coalesce(v.name, v.id::text), v.api_key, jsonb_build_object(
    'name', v.name, 'address', host(v.vpn_ip), 'port', coalesce(v.api_port, 8001),
    'key', CASE WHEN coalesce(v.api_key, '') = '' THEN 'default' ELSE 'own' END,
    'tags', coalesce(s.tags, '{{}}'), 'paused', {IS_PAUSED},
    'paused_until', CASE WHEN {IS_PAUSED} THEN s.paused_until END,
    'pause_reason', CASE WHEN {IS_PAUSED} THEN s.pause_reason END, 'calls_itself', s.id_hint,
    'interval_sec', t.interval_sec, 'timeout_sec', t.timeout_sec, 'window_sec', t.window_sec,
    'gap_kbit', t.gap_kbit)
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
{JOIN_TERMS}
WHERE v.id = ANY (%s::uuid[])
"""  # noqa: S608  made of this project's own text
_ADD = """
INSERT INTO fleetsync.action_log (id, login, address, action, vehicle_id, vehicle, before, after)
SELECT r.id, %(login)s, %(address)s, %(action)s, r.vehicle_id,
    coalesce(r.vehicle, (SELECT v.name FROM public.vehicles v WHERE v.id = r.vehicle_id)),
    r.before, r.after
FROM unnest(%(ids)s::uuid[], %(vehicle_ids)s::uuid[], %(vehicles)s::text[], %(before)s::jsonb[],
    %(after)s::jsonb[]) r (id, vehicle_id, vehicle, before, after)
ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class VehicleValues:
    """What operators can change of a vehicle; its key is only compared."""

    name: str
    key: str | None = field(repr=False)
    values: Values


@dataclass(frozen=True, slots=True)
class Change:
    """What an action has changed of a vehicle; None: there was, or is, nothing.

    Without a vehicle it is about the installation. `vehicle`, its name, is needed of one that is in
    the fleet no more.
    """

    vehicle_id: UUID | None
    before: Values | None = None
    after: Values | None = None
    vehicle: str | None = None


@contextmanager
def recorded(cursor: Cursor, action: Action | None, ids: Collection[UUID]) -> Iterator[None]:
    """Record what the body changes of these vehicles; without an action nothing is recorded.

    They are locked, in the order of their ids.
    """
    if action is None:
        yield
        return
    before = read_values(cursor, ids, lock=True)
    yield
    record_since(cursor, action, before, ids)


def record_since(
    cursor: Cursor,
    action: Action | None,
    before: Mapping[UUID, VehicleValues],
    ids: Collection[UUID],
) -> None:
    """Record what has changed of these vehicles since they were as `before` says."""
    if action is not None:
        after = read_values(cursor, ids)
        changes = (_difference(key, before.get(key), after.get(key)) for key in ids)
        record(cursor, action, filter(None, changes))


def record(cursor: Cursor, action: Action | None, changes: Iterable[Change]) -> None:
    """Record what an action has changed."""
    changed = list(changes)
    if action is None or not changed:
        return
    values = {
        "login": action.actor.login,
        "address": action.actor.address,
        "action": sanitise(action.text, TEXT_LIMIT),
        "ids": [str(uuid5(action.id, str(each.vehicle_id))) for each in changed],
        "vehicle_ids": [each.vehicle_id and str(each.vehicle_id) for each in changed],
        "vehicles": [each.vehicle for each in changed],
        "before": [_json(each.before) for each in changed],
        "after": [_json(each.after) for each in changed],
    }
    cursor.execute(_ADD, values)


def read_values(
    cursor: Cursor, ids: Collection[UUID], *, lock: bool = False
) -> dict[UUID, VehicleValues]:
    """Return what operators can change of these vehicles; removed ones are left out.

    `lock` keeps others from changing it until commit.
    """
    keys = [str(vehicle_id) for vehicle_id in ids]
    if lock:
        cursor.execute(_LOCK, (keys,))
    cursor.execute(_STATES, (keys,))
    return {UUID(key): VehicleValues(*rest) for key, *rest in cursor.fetchall()}


def _difference(
    vehicle_id: UUID, before: VehicleValues | None, after: VehicleValues | None
) -> Change | None:
    """Return what differs of a vehicle; None if nothing does."""
    if before is None or after is None:
        known = before or after
        if known is None:
            return None
        old, new = (None if each is None else each.values for each in (before, after))
        return Change(vehicle_id, old, new, known.name)
    changed = [key for key, value in after.values.items() if before.values[key] != value]
    was, is_now = ({key: each.values[key] for key in changed} for each in (before, after))
    if after.values[_KEY] == before.values[_KEY] == _OWN and after.key != before.key:
        was, is_now = was | {_KEY: _OWN}, is_now | _OTHER_KEY
    return Change(vehicle_id, was, is_now, after.name) if is_now else None


def _json(values: Values | None) -> str | None:
    return None if values is None else json.dumps(values, default=str)
