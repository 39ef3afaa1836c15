"""What an error of a statement means: how often to try the transaction, and what then to raise."""

import psycopg2

from fleetsyncd.database import cluster
from fleetsyncd.database.hints import first_line, is_disk_full, reason_and_hint
from fleetsyncd.errors import (
    DatabaseError,
    DatabaseFull,
    DatabaseLost,
    DatabaseReadOnly,
    PartitionMissing,
    SchemaOutdated,
    WorkerLost,
)
from fleetsyncd.text import sanitise

ATTEMPTS = 4
WORKER_ATTEMPTS = 2
"""The first may have met a connection of before its restart; each holds a slot meanwhile."""
LOST_CONNECTION = "lost connection"
NOT_WRITABLE = "server or role is read-only"
LOST_WORKER = "lost worker"
CHANGED_SCHEMA = "schema changed under way"
SCHEMA_ATTEMPTS = 2
"""An owner's command may have renamed or dropped what the first one had looked up a moment ago."""
_OUTDATED = {"42P01", "42703", "42883", "3F000"}
"""Undefined table, column, function, schema."""
_RETRIED = {
    **dict.fromkeys(_OUTDATED, CHANGED_SCHEMA),
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "lock not available",
    # It was made before the database became one of a cluster: another one knows it.
    cluster.ROLE_UNKNOWN: "connection of before the distribution",
    # After a failover: another connection may find the server that can be written.
    "25006": NOT_WRITABLE,
}
_TOLD_ALONE = (LOST_CONNECTION, NOT_WRITABLE, LOST_WORKER, CHANGED_SCHEMA)
"""Reasons that say all, whatever was done when the error came."""
ALL_AFFECTED = (LOST_CONNECTION, NOT_WRITABLE, _RETRIED[cluster.ROLE_UNKNOWN])
"""Reasons for which the other connections are probably no better."""
CANCELLED = "57014"
"""SQLSTATE of a statement that took too long, or that somebody cancelled."""


def retry_reason(error: psycopg2.Error) -> str | None:
    """Say why a failed transaction may succeed when it is repeated; None if it will not."""
    if error.pgcode in _RETRIED:
        return _RETRIED[error.pgcode]
    if cluster.lost_worker(error) is not None:
        return LOST_WORKER
    # A terminated connection carries no SQLSTATE, or that of the administrator's command.
    lost = error.pgcode is None or error.pgcode.startswith(("08", "57P"))
    return LOST_CONNECTION if lost and isinstance(error, psycopg2.OperationalError) else None


def attempts(error: psycopg2.Error, reason: str) -> int:
    """Return how often a transaction is tried that fails for this reason."""
    if reason == LOST_WORKER:
        return 1 if cluster.was_mute(error) else WORKER_ATTEMPTS
    return SCHEMA_ATTEMPTS if reason == CHANGED_SCHEMA else ATTEMPTS


def final_error(error: psycopg2.Error, reason: str) -> DatabaseError:
    """Return what a transaction came to that failed for this reason each time."""
    if reason == NOT_WRITABLE:
        return DatabaseReadOnly(*reason_and_hint(error))
    if reason == CHANGED_SCHEMA:
        return SchemaOutdated(
            f"the database schema does not fit ({first_line(error)})", "run `fleetsyncd migrate`"
        )
    if reason == LOST_WORKER:
        worker, said = cluster.lost_worker(error), sanitise(cluster.cause(error), 200)
        return WorkerLost(
            f"the cluster's worker {worker} does not answer: {said}",
            "start it, or look at the network; its vehicles then go on by themselves",
        )
    kind = DatabaseLost if reason == LOST_CONNECTION else DatabaseError
    return kind(f"{reason}: {first_line(error)}")


def to_database_error(error: psycopg2.Error) -> DatabaseError:
    """Return the `DatabaseError` that stands for one of the driver's."""
    if (reason := retry_reason(error)) in _TOLD_ALONE:
        return final_error(error, reason)
    if error.pgcode is None and isinstance(error, psycopg2.InterfaceError):
        return DatabaseLost(f"{LOST_CONNECTION}: {first_line(error)}")
    # The key of a partitioned table has no other constraint without a name.
    if error.pgcode == "23514" and error.diag.constraint_name is None:
        return PartitionMissing(*reason_and_hint(error))
    kind = DatabaseFull if is_disk_full(error) else DatabaseError
    return kind(*reason_and_hint(error))
