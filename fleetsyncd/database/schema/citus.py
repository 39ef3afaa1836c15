"""Distribute the tables over a Citus cluster by vehicle: `fleetsyncd migrate --distribute`.

All rows of a vehicle are on one machine, so everything that a cycle writes stays there. The fleet
itself is small and read by every statement: each machine holds a copy. The list of replicas and the
migration history stay on the coordinator.
"""

import logging
from functools import partial

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import CommandError, MigrationFailed

log = logging.getLogger("sync.migrate")

KEY = "vehicle_id"
REFERENCE = (
    "public.vehicles",
    "public.vehicle_access",
    "fleetsync.mute",
    "fleetsync.action_log",
)
"""Copied to every machine before the tables that refer to them are distributed."""
DISTRIBUTED = (
    "public.measurements",
    "public.channel_config",
    "public.alarms_log",
    "public.sync_journal",
    "fleetsync.vehicle_state",
    "fleetsync.quarantine",
    "fleetsync.backfill",
    "fleetsync.lost_interval",
    "fleetsync.audit",
    "fleetsync.verified",
    "fleetsync.removed_vehicle",
    "fleetsync.replaced_alarm",
    "fleetsync.channel_change",
    "public.measurements_minute",
    "fleetsync.minute_state",
    "fleetsync.minute_due",
)
"""Distributed by vehicle; the others are colocated with the first one."""
# One machine alone can enforce a unique key only if the key contains the vehicle.
_UNFIT_KEYS = """
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text
FROM pg_index i
WHERE i.indisunique AND i.indrelid = ANY (%s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::smallint[])
                    AND a.attname = %s)
ORDER BY 1, 2
"""
_IS_CITUS = "SELECT to_regproc('create_distributed_table') IS NOT NULL"
_IS_DISTRIBUTED = "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass)"
_NO_TIMEOUT = "SELECT set_config('statement_timeout', '0', true)"


def require_citus(database: Database) -> None:
    """Raise CommandError unless the database has the citus extension."""
    if not database.run(lambda cursor: _is_true(cursor, _IS_CITUS)):
        raise CommandError(
            f"{database.where} lacks the citus extension: install Citus on every machine of the"
            " cluster and run CREATE EXTENSION citus in this database, as a superuser"
        )


def distribute(database: Database) -> list[str]:
    """Distribute every table that is not distributed yet; return the names of those.

    To be run as the tables' owner, on the coordinator, with the schema up to date. Each table has a
    transaction of its own, so it can be repeated after a failure. Raises CommandError without the
    extension, MigrationFailed if a key cannot be distributed.
    """
    require_citus(database)
    unfit = database.run(unfit_keys)
    if unfit:
        named = ", ".join(f"{index} of {table}" for table, index in unfit)
        raise MigrationFailed(
            f"unique keys without {KEY} cannot be distributed: {named}; replace or drop them"
        )
    return [
        table for table in (*REFERENCE, *DISTRIBUTED) if database.run(partial(_distribute, table))
    ]


def unfit_keys(cursor: Cursor) -> list[tuple[str, str]]:
    """Return table and index of every unique key that does not contain the vehicle."""
    cursor.execute(_UNFIT_KEYS, (list(DISTRIBUTED), KEY))
    return [(str(table), str(index)) for table, index in cursor.fetchall()]


def _distribute(table: str, cursor: Cursor) -> bool:
    """Distribute one table with its rows; return False if it was distributed already."""
    if _is_true(cursor, _IS_DISTRIBUTED, table):
        return False
    cursor.execute(_NO_TIMEOUT)
    if table in REFERENCE:
        cursor.execute("SELECT create_reference_table(%s)", (table,))
    else:
        colocated_with = "default" if table == DISTRIBUTED[0] else DISTRIBUTED[0]
        cursor.execute(
            "SELECT create_distributed_table(%s, %s, colocate_with => %s)",
            (table, KEY, colocated_with),
        )
    log.info("%s is distributed over the cluster", table)
    return True


def _is_true(cursor: Cursor, query: str, *arguments: str) -> bool:
    cursor.execute(query, arguments)
    row = cursor.fetchone()
    return row is not None and bool(row[0])
