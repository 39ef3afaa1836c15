"""Which machine answers for which vehicle: swapped addresses, other machines, doubles.

What a machine calls itself (`vehicle_id_hint`) is kept per vehicle in `fleetsync.vehicle_state`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from psycopg2 import IntegrityError

from fleetsyncd.database import vehicles
from fleetsyncd.database.hints import first_line
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.vehicle_state import IS_PAUSED
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.rights import may_read
from fleetsyncd.errors import CommandError
from fleetsyncd.findings import Finding, fault, warning
from fleetsyncd.text import sanitise
from fleetsyncd.times import utc_text

NAMED = 20
"""Vehicles or groups of them that are named before the rest is left out."""
# A machine cannot be at two places: the other vehicle has gone on to answer by this name after this
# one began to, for longer than the clocks of two daemons differ.
_BOTH_ANSWER = """
coalesce({owner}.other_hint IS NULL
         AND {owner}.id_hint_at > {other}.other_hint_since + interval '10 min', false)
"""
_MACHINES = """
SELECT id::text, vpn_ip::text, api_port, api_key FROM public.vehicles
WHERE id = ANY (%s::uuid[]) ORDER BY id FOR UPDATE
"""
# A unique key is checked row by row, so one of the two needs an address of nobody in between: its
# own id, written as an IPv6 address.
_STEP_ASIDE = r"""
UPDATE public.vehicles
SET vpn_ip = regexp_replace(replace(id::text, '-', ''), '(....)(?!$)', '\1:', 'g')::inet
WHERE id = %s::uuid
"""
_MOVE_IN = """
UPDATE public.vehicles SET vpn_ip = %s::inet, api_port = %s, api_key = %s WHERE id = %s::uuid
"""
# The machine takes along what is known of it and of its link. Which of its rows is the newest that
# is stored under this vehicle is not known, and how far one pulled behind its watermark says
# nothing about the other. If one machine answered in the other's place, and that place has told
# nothing new since, they have changed places: each goes back to where it was.
_SWAP_STATES = f"""
UPDATE fleetsync.vehicle_state s SET id_hint = o.hint, id_hint_at = NULL,
    other_hint = NULL, other_hint_since = NULL, clock_skew_ms = o.clock_skew_ms,
    data_window_ms = o.data_window_ms, alarms_window_ms = o.alarms_window_ms,
    late_ms = o.late_ms, overlap_ms = o.overlap_ms, overlap_since = NULL,
    asked_to = NULL, newest_measurement_at = NULL, newest_row_at = NULL
FROM (SELECT p.vehicle_id, q.clock_skew_ms, q.data_window_ms, q.alarms_window_ms,
             q.late_ms, q.overlap_ms,
             CASE WHEN q.other_hint IS NOT NULL THEN q.other_hint
                  WHEN m.other_hint = q.id_hint
                      AND NOT {_BOTH_ANSWER.format(owner="q", other="m")} THEN m.id_hint
                  ELSE q.id_hint END AS hint
      FROM (VALUES (%(a)s::uuid, %(b)s::uuid), (%(b)s::uuid, %(a)s::uuid)) p(vehicle_id, other)
      LEFT JOIN fleetsync.vehicle_state m ON m.vehicle_id = p.vehicle_id
      LEFT JOIN fleetsync.vehicle_state q ON q.vehicle_id = p.other) o
WHERE s.vehicle_id = o.vehicle_id
"""  # noqa: S608  made of this file's own text
_ACCEPT = """
UPDATE fleetsync.vehicle_state
SET id_hint = other_hint, id_hint_at = NULL, other_hint = NULL, other_hint_since = NULL
WHERE vehicle_id = %s::uuid AND other_hint IS NOT NULL
RETURNING id_hint
"""
# Of exactly one other vehicle: a name that several have, or have got, tells nothing.
_OWNERS = f"""
SELECT coalesce(v.name, v.id::text), s.id_hint IS NOT DISTINCT FROM %(hint)s,
    {_BOTH_ANSWER.format(owner="s", other="mine")}
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
LEFT JOIN fleetsync.vehicle_state mine
    ON mine.vehicle_id = %(id)s::uuid AND mine.other_hint = %(hint)s
WHERE s.vehicle_id <> %(id)s::uuid AND (s.id_hint = %(hint)s OR s.other_hint = %(hint)s) LIMIT 2
"""  # noqa: S608  made of this file's own text
# `owned`: whether another vehicle may own the name. The owner is asked for only then, since a new
# software may rename the whole fleet.
_OTHERS = f"""
WITH shared AS (
    SELECT n.hint FROM fleetsync.vehicle_state s, LATERAL (VALUES (s.id_hint), (s.other_hint))
        n(hint)
    GROUP BY n.hint HAVING count(*) = 2
)
SELECT v.id::text, coalesce(v.name, v.id::text), coalesce(s.id_hint, '-'), s.other_hint,
    coalesce(s.other_hint_since, now()), shared.hint IS NOT NULL AND NOT {IS_PAUSED} AS owned
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
    LEFT JOIN shared ON shared.hint = s.other_hint
WHERE s.other_hint IS NOT NULL ORDER BY owned DESC, 2
"""  # noqa: S608  made of this project's own text
_DOUBLES = """
SELECT coalesce(s.other_hint, s.id_hint) AS hint, count(*),
    (array_agg(coalesce(v.name, v.id::text) ORDER BY v.name))[1:3]
FROM fleetsync.vehicle_state s JOIN public.vehicles v ON v.id = s.vehicle_id
GROUP BY hint HAVING count(*) > 1 AND coalesce(s.other_hint, s.id_hint) IS NOT NULL ORDER BY hint
"""

_RENUMBERED = """
SELECT coalesce(v.name, v.id::text), count(*), max(r.replaced_at)
FROM fleetsync.replaced_alarm r JOIN public.vehicles v ON v.id = r.vehicle_id
WHERE r.replaced_at > now() - interval '7 days' GROUP BY v.id, v.name ORDER BY 3 DESC LIMIT %s
"""


def swap(cursor: Cursor, first: RegisteredVehicle, second: RegisteredVehicle) -> None:
    """Exchange address, port and key of two vehicles; each keeps its name, history and watermark.

    Both are given as they were read before: raises CommandError if somebody has changed one since.
    Cycles and backfills that run store nothing more of what the old addresses answer.
    """
    if first.id == second.id:
        raise CommandError("these are the same vehicle: name two")
    cursor.execute(_MACHINES, ([str(first.id), str(second.id)],))
    machines = {UUID(key): machine for key, *machine in cursor.fetchall()}
    now = {vehicle.id: vehicle for vehicle in vehicles.read_registered(cursor, list(machines))}
    if _is_swapped(now, first, second):
        return  # by the first try of this transaction, whose answer was lost
    for vehicle in (first, second):
        vehicles.require_unchanged(now.get(vehicle.id), vehicle)
    try:
        cursor.execute(_STEP_ASIDE, (str(first.id),))
        cursor.execute(_MOVE_IN, (*machines[first.id], str(second.id)))
        cursor.execute(_MOVE_IN, (*machines[second.id], str(first.id)))
    except IntegrityError as error:
        raise CommandError(f"the table of vehicles refuses it: {first_line(error)}") from None
    cursor.execute(_SWAP_STATES, {"a": str(first.id), "b": str(second.id)})


def _is_swapped(
    now: dict[UUID, RegisteredVehicle], first: RegisteredVehicle, second: RegisteredVehicle
) -> bool:
    return len(now) == 2 and all(  # noqa: PLR2004  two vehicles
        (now[one.id].host, now[one.id].port, now[one.id].key) == (other.host, other.port, other.key)
        for one, other in ((first, second), (second, first))
    )


def accept(cursor: Cursor, vehicle_id: UUID) -> str | None:
    """Accept what a vehicle calls itself by now, and return it; None if that was nothing new."""
    cursor.execute(_ACCEPT, (str(vehicle_id),))
    row = cursor.fetchone()
    return None if row is None else str(row[0])


@dataclass(frozen=True, slots=True)
class HintOwner:
    """The vehicle that is known by what another one calls itself."""

    name: str
    answers_too: bool
    """It has answered by that name itself since the other one began to: these are two machines."""


def owner_of_hint(cursor: Cursor, vehicle_id: UUID, hint: str) -> HintOwner | None:
    """Return the other vehicle that is known by `hint`, if it is exactly one."""
    cursor.execute(_OWNERS, {"id": str(vehicle_id), "hint": hint})
    match cursor.fetchall():
        case [(name, True, answers_too)]:
            return HintOwner(sanitise(name), answers_too)
    return None


def findings(cursor: Cursor) -> list[Finding]:
    """Return what an operator should know about the machines that answer."""
    return [*_others(cursor), *_doubles(cursor), *_renumbered(cursor)]


def _others(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(_OTHERS)
    for key, name, known, other, since, owned in cursor.fetchall()[:NAMED]:
        changed = f"calls itself {sanitise(other)} instead of {sanitise(known)}"
        text = f"[{sanitise(name)}] {changed} since {utc_text(since)}"
        owner = owner_of_hint(cursor, UUID(key), other) if owned else None
        if owner is None or owner.answers_too:
            remedy = "if it is right `fleetsyncd vehicle accept`, else `fleetsyncd vehicle swap`"
            yield warning("machines", text, f"{remedy} or `set`")
        else:
            text = f"{text}, which is the machine of [{owner.name}]: nothing of it is stored"
            remedy = "`fleetsyncd vehicle swap`, or `vehicle set` with the right address"
            yield fault("machines", text, f"{remedy}; `vehicle accept` if only the name is wrong")


def _doubles(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(_DOUBLES)
    for hint, count, names in cursor.fetchall()[:NAMED]:
        named = ", ".join(f"[{sanitise(name)}]" for name in names)
        rest = " …" if count > len(names) else ""
        text = f"{count} vehicles call themselves {sanitise(hint)}: {named}{rest}"
        remedy = "if one machine is registered twice, remove one; else name the machines apart"
        yield warning("machines", text, remedy)


def _renumbered(cursor: Cursor) -> Iterator[Finding]:
    """Name vehicles that used numbers of alarms again within a week."""
    if not may_read(cursor, "fleetsync.replaced_alarm"):
        return
    cursor.execute(_RENUMBERED, (NAMED,))
    for name, count, last in cursor.fetchall():
        again = f"has used {count:,} alarm number(s) again, the last {utc_text(last)}"
        remedy = "if it is another machine, register it as a vehicle of its own; nothing is lost"
        yield warning("machines", f"[{sanitise(name)}] {again}", remedy)
