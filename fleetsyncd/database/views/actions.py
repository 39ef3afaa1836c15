"""Read-only queries over the action log: who did what."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.actions import LOGIN_LIMIT, TEXT_LIMIT
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import CommandError
from fleetsyncd.text import is_storable, sanitise
from fleetsyncd.times import ZonedTime

PAGE_ROWS = 200
_NAME_LIMIT, _VALUE_LIMIT = 200, 1_000
_LOG = """
SELECT l.id::text, l.at, l.login, l.address, l.role, l.action, l.vehicle_id::text, l.vehicle,
    l.before, l.after
FROM fleetsync.action_log l
WHERE true {conditions} ORDER BY l.at DESC, l.id DESC LIMIT %(limit)s
"""
# A vehicle is found by its name of today, or by one that it had when it was acted on.
_NAMED = """
SELECT id::text FROM public.vehicles WHERE name = %(text)s OR id::text = %(text)s
UNION SELECT vehicle_id::text FROM fleetsync.action_log
WHERE vehicle = %(text)s OR vehicle_id::text = %(text)s
"""


@dataclass(frozen=True, slots=True)
class LoggedAction:
    """What an action changed of one vehicle, and who did it."""

    id: UUID
    at: ZonedTime
    login: str
    address: str | None
    role: str
    action: str
    vehicle_id: UUID | None
    vehicle: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def change(self) -> str:
        """What has changed, as one line of text."""
        old, new = self.before or {}, self.after or {}
        if not new:
            return ", ".join(f"{_name(key)} was {_text(value)}" for key, value in old.items())
        return ", ".join(
            f"{_name(key)} {_text(old[key])} → {_text(value)}"
            if key in old
            else f"{_name(key)} {_text(value)}"
            for key, value in new.items()
        )


def read_actions(
    cursor: Cursor,
    *,
    vehicles: Collection[UUID] | None = None,
    name_part: str = "",
    since: timedelta | None = None,
    before: LoggedAction | None = None,
    limit: int = PAGE_ROWS,
) -> list[LoggedAction]:
    """Return a page of the action log, newest first: of some vehicles, or all of it.

    `name_part` is a part of a vehicle's name, whatever the case. `before` is the last action of the
    page above.
    """
    conditions = ""
    values: dict[str, Any] = {"limit": limit}
    if vehicles is not None:
        conditions += " AND l.vehicle_id = ANY (%(vehicles)s::uuid[])"
        values["vehicles"] = list(map(str, vehicles))
    if name_part:
        conditions += " AND strpos(lower(coalesce(l.vehicle, '')), lower(%(name)s)) > 0"
        values["name"] = name_part
    if since is not None:
        conditions += " AND l.at >= now() - %(since)s::interval"
        values["since"] = since
    if before is not None:
        conditions += " AND (l.at, l.id) < (%(at)s, %(id)s::uuid)"
        values |= {"at": before.at, "id": str(before.id)}
    cursor.execute(_LOG.format(conditions=conditions), values)
    return [_logged(*row) for row in cursor.fetchall()]


def find_logged(cursor: Cursor, names: Collection[str]) -> list[UUID]:
    """Return the vehicles with these names or ids, of the fleet or of the log.

    Raises CommandError for a name that no vehicle has or had.
    """
    found: list[UUID] = []
    for text in names:
        rows = []
        if is_storable(text):
            cursor.execute(_NAMED, {"text": text})
            rows = cursor.fetchall()
        if not rows:
            called = f"no vehicle is or was called {sanitise(text)}"
            raise CommandError(f"{called}: see `fleetsyncd vehicle list`")
        found += [UUID(key) for (key,) in rows]
    return found


def _logged(key: str, at: ZonedTime, *row: Any) -> LoggedAction:
    login, address, role, action, vehicle_id, vehicle, before, after = row
    return LoggedAction(
        id=UUID(key),
        at=at,
        login=sanitise(login, LOGIN_LIMIT),
        address=None if address is None else sanitise(address, LOGIN_LIMIT),
        role=sanitise(role, LOGIN_LIMIT),
        action=sanitise(action, TEXT_LIMIT),
        vehicle_id=None if vehicle_id is None else UUID(vehicle_id),
        vehicle=None if vehicle is None else sanitise(vehicle, _NAME_LIMIT),
        before=before,
        after=after,
    )


def _name(key: str) -> str:
    return sanitise(key, _NAME_LIMIT).replace("_", " ")


def _text(value: object) -> str:
    """Return a value as text that is harmless for a terminal."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return sanitise("-" if value in (None, "") else str(value), _VALUE_LIMIT)
