"""Removal of vehicles from the fleet, with their rows in all tables."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psycopg2
from psycopg2 import errorcodes

from fleetsyncd.database import store, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import CommandError, FleetsyncError

REMOVAL_SEC = 3600
"""The longest statement: a vehicle's measurements may be a hundred million rows."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed with a vehicle; `measurements_left` tells whether it has rows left."""

    measurements_removed: int
    measurements_left: bool


def remove_vehicles(
    database: Database, ids: Sequence[UUID], *, with_measurements: bool
) -> list[Removal]:
    """Remove vehicles, all of them or none; they are paused first.

    Otherwise each of their cycles would wait for the locked rows and hold a connection meanwhile.
    """

    def pause(cursor: Cursor) -> set[UUID]:
        running = set(ids) - store.paused_vehicles(cursor)
        _pause(running, True, cursor)
        return running

    def remove(cursor: Cursor) -> list[Removal]:
        # In one order, so that two removals at the same time do not deadlock.
        return [
            remove_vehicle(cursor, key, with_measurements=with_measurements) for key in sorted(ids)
        ]

    running = database.run(pause)
    try:
        return database.run(remove)
    except BaseException:
        # Also when the operator interrupts the removal.
        with suppress(FleetsyncError):
            database.run(partial(_pause, running, False))
        raise


def _pause(ids: Collection[UUID], paused: bool, cursor: Cursor) -> None:
    for key in ids:
        vehicles.set_paused(cursor, key, paused)


def remove_vehicle(cursor: Cursor, vehicle_id: UUID, *, with_measurements: bool) -> Removal:
    """Remove a vehicle with its journal, alarms and channels, and its measurements if wanted."""
    key = (str(vehicle_id),)
    cursor.execute(f"SET LOCAL statement_timeout = '{REMOVAL_SEC}s'")
    removed = 0
    if with_measurements:
        # The lock keeps daemons from adding rows after the deletion.
        cursor.execute("SELECT 1 FROM public.vehicles WHERE id = %s::uuid FOR UPDATE", key)
        cursor.execute("DELETE FROM public.measurements WHERE vehicle_id = %s::uuid", key)
        removed = cursor.rowcount
    for table in ("alarms_log", "channel_config", "sync_journal"):
        cursor.execute(f"DELETE FROM public.{table} WHERE vehicle_id = %s::uuid", key)  # noqa: S608  constants
    try:
        cursor.execute("DELETE FROM public.vehicles WHERE id = %s::uuid", key)
    except psycopg2.IntegrityError as error:
        if error.pgcode != errorcodes.FOREIGN_KEY_VIOLATION:
            raise
        raise CommandError(
            _foreign_key_hint(str(error.diag.table_name), with_measurements)
        ) from None
    cursor.execute(
        "SELECT EXISTS (SELECT FROM public.measurements WHERE vehicle_id = %s::uuid)", key
    )
    row = cursor.fetchone()
    return Removal(removed, row is not None and bool(row[0]))


def _foreign_key_hint(table: str, with_measurements: bool) -> str:
    if table.startswith("measurements") and not with_measurements:
        return "this database ties measurements to their vehicle: add --with-measurements"
    return f"the vehicle cannot be removed while rows of {table} refer to it"
