"""The terms that operators set for vehicles, in place of the settings."""

from collections.abc import Collection, Mapping
from dataclasses import astuple
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import sync_interval
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import NO_TERMS, Terms, TermsChange

TERMS = "t.interval_sec, t.timeout_sec, t.window_sec, t.gap_kbit"
"""The columns of `Terms`, in order, of a row `t` that need not be there."""
JOIN_TERMS = "LEFT JOIN fleetsync.vehicle_terms t ON t.vehicle_id = v.id"
_READ = f"""
SELECT vehicle_id::text, {TERMS} FROM fleetsync.vehicle_terms t
WHERE vehicle_id = ANY (%s::uuid[])
"""  # noqa: S608  made of this project's own text
# As cycles do it, so that a removal is waited for.
_LOCK = """
SELECT id::text FROM public.vehicles WHERE id = ANY (%s::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""
_SET = """
INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec, timeout_sec, window_sec, gap_kbit)
SELECT * FROM unnest(%s::uuid[], %s::float8[], %s::float8[], %s::float8[], %s::integer[])
ON CONFLICT (vehicle_id) DO UPDATE SET interval_sec = excluded.interval_sec,
    timeout_sec = excluded.timeout_sec, window_sec = excluded.window_sec,
    gap_kbit = excluded.gap_kbit
"""
_CLEAR = "DELETE FROM fleetsync.vehicle_terms WHERE vehicle_id = ANY (%s::uuid[])"


def read_terms(cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, Terms]:
    """Return the terms of those of these vehicles that have any."""
    cursor.execute(_READ, ([str(vehicle_id) for vehicle_id in ids],))
    return {UUID(key): Terms(*values) for key, *values in cursor.fetchall()}


def change_terms(
    cursor: Cursor, vehicle_id: UUID, change: TermsChange, default_sync_interval_sec: float
) -> None:
    """Change a vehicle's terms; raise CommandError if it is gone, or they cannot go together.

    A running daemon's interval counts, if there is one.
    """
    if not change_terms_of(cursor, {vehicle_id: ""}, change, default_sync_interval_sec):
        raise CommandError("the vehicle was removed meanwhile")


def change_terms_of(
    cursor: Cursor,
    names: Mapping[UUID, str],
    change: TermsChange,
    default_sync_interval_sec: float,
) -> int:
    """Change the terms of vehicles (names by id, for errors), as `change_terms` those of one.

    Removed ones are left out; returns how many there are.
    """
    cursor.execute(_LOCK, ([str(key) for key in names],))
    registered = {UUID(key): names[UUID(key)] for (key,) in cursor.fetchall()}
    wanted = check_change(cursor, registered, change, default_sync_interval_sec)
    cleared = [str(key) for key, terms in wanted.items() if terms == NO_TERMS]
    if cleared:
        cursor.execute(_CLEAR, (cleared,))
    rows = [(str(key), *astuple(terms)) for key, terms in wanted.items() if terms != NO_TERMS]
    if rows:
        cursor.execute(_SET, [list(column) for column in zip(*rows, strict=True)])
    return len(registered)


def check_change(
    cursor: Cursor,
    names: Mapping[UUID, str],
    change: TermsChange,
    default_sync_interval_sec: float,
) -> dict[UUID, Terms]:
    """Return the new terms of the vehicles (names by id, for errors) that get others than now.

    Raises CommandError if those of one cannot go together.
    """
    known = read_terms(cursor, names)
    interval = sync_interval(cursor, default_sync_interval_sec)
    wanted: dict[UUID, Terms] = {}
    for key, name in names.items():
        before = known.get(key, NO_TERMS)
        terms = change.applied_to(before)
        if terms == before:
            continue
        try:
            change.check(terms, interval)
        except CommandError as error:
            raise CommandError(f"{name}: {error}" if name else str(error)) from None
        wanted[key] = terms
    return wanted
