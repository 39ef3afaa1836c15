"""Spread the tables over a Citus cluster, by vehicle: `fleetsyncd migrate --distribute`.

All rows of a vehicle lie together on one machine, so everything a cycle writes stays there. The
fleet itself is small and read by every statement: each machine holds a copy. fleetsyncd's own list
of replicas and its migration history stay on the coordinator.
"""

import logging
from functools import partial

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import CommandError, MigrationFailed

log = logging.getLogger("sync.migrate")

KEY = "vehicle_id"
REFERENCE = ("public.vehicles", "public.vehicle_access")
"""Copied to every machine, before anything is distributed that refers to them."""
DISTRIBUTED = (
    "public.measurements",
    "public.channel_config",
    "public.alarms_log",
    "public.sync_journal",
    "fleetsync.vehicle_state",
    "fleetsync.quarantine",
    "fleetsync.backfill",
)
"""Spread by vehicle; the first one says where a vehicle goes."""
# Only a unique key that contains the vehicle can be kept by one machine alone.
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
_IS_SPREAD = "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass)"
_NO_HURRY = "SELECT set_config('statement_timeout', '0', true)"


def require_citus(database: Database) -> None:
    """Raise CommandError, naming the remedy, unless the database knows the citus extension."""
    if not database.run(lambda cursor: _tells(cursor, _IS_CITUS)):
        raise CommandError(
            f"{database.where} lacks the citus extension: install Citus on every machine of the"
            " cluster and run CREATE EXTENSION citus in this database, as a superuser"
        )


def distribute(database: Database) -> list[str]:
    """Spread every table that is not yet; return the names of those that were.

    As the tables' owner, on the coordinator, with the schema up to date. Each table is spread in a
    transaction of its own, so that it can be run again after a failure. Raises CommandError without
    the extension, MigrationFailed if a key stands in the way.
    """
    require_citus(database)
    unfit = database.run(unfit_keys)
    if unfit:
        named = ", ".join(f"{index} of {table}" for table, index in unfit)
        raise MigrationFailed(
            f"unique keys without {KEY} cannot be distributed: {named}; replace or drop them"
        )
    return [table for table in (*REFERENCE, *DISTRIBUTED) if database.run(partial(_spread, table))]


def unfit_keys(cursor: Cursor) -> list[tuple[str, str]]:
    """Return table and index of every unique key that does not contain the vehicle."""
    cursor.execute(_UNFIT_KEYS, (list(DISTRIBUTED), KEY))
    return [(str(table), str(index)) for table, index in cursor.fetchall()]


def _spread(table: str, cursor: Cursor) -> bool:
    """Spread one table, with the rows it has; tell whether that was still to be done."""
    if _tells(cursor, _IS_SPREAD, table):
        return False
    cursor.execute(_NO_HURRY)
    if table in REFERENCE:
        cursor.execute("SELECT create_reference_table(%s)", (table,))
    else:
        beside = "default" if table == DISTRIBUTED[0] else DISTRIBUTED[0]
        cursor.execute(
            "SELECT create_distributed_table(%s, %s, colocate_with => %s)", (table, KEY, beside)
        )
    log.info("%s is spread over the cluster", table)
    return True


def _tells(cursor: Cursor, question: str, *arguments: str) -> bool:
    cursor.execute(question, arguments)
    row = cursor.fetchone()
    return row is not None and bool(row[0])
