"""The terms that operators set for single vehicles, in place of the settings."""

from collections.abc import Collection
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.replicas import sync_interval
from fleetsyncd.database.statements import TERMS
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import NO_TERMS, Terms, TermsChange

_READ = f"""
SELECT vehicle_id::text, {TERMS} FROM fleetsync.vehicle_terms t
WHERE vehicle_id = ANY (%s::uuid[])
"""  # noqa: S608  made of this project's own text
# As cycles do it, so that a removal is waited for.
_LOCK = "SELECT name FROM public.vehicles WHERE id = %s::uuid FOR NO KEY UPDATE"
_SET = """
INSERT INTO fleetsync.vehicle_terms (vehicle_id, interval_sec, timeout_sec, window_sec, gap_kbit)
VALUES (%s::uuid, %s, %s, %s, %s)
ON CONFLICT (vehicle_id) DO UPDATE SET interval_sec = excluded.interval_sec,
    timeout_sec = excluded.timeout_sec, window_sec = excluded.window_sec,
    gap_kbit = excluded.gap_kbit
"""
_CLEAR = "DELETE FROM fleetsync.vehicle_terms WHERE vehicle_id = %s::uuid"


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
    cursor.execute(_LOCK, (str(vehicle_id),))
    row = cursor.fetchone()
    if row is None:
        raise CommandError("the vehicle was removed meanwhile")
    known = read_terms(cursor, [vehicle_id]).get(vehicle_id, NO_TERMS)
    terms = change.applied_to(known)
    if terms == known:
        return
    terms.check(sync_interval(cursor, default_sync_interval_sec))
    if terms == NO_TERMS:
        cursor.execute(_CLEAR, (str(vehicle_id),))
        return
    values = (terms.interval_sec, terms.timeout_sec, terms.window_sec, terms.gap_kbit)
    cursor.execute(_SET, (str(vehicle_id), *values))
