"""What the pool has to know of a Citus cluster: whether it is one, and whose an error is.

The daemon speaks to the coordinator only. Settings of a transaction reach the workers only if they
are told to, and a worker that cannot be reached leaves the coordinator's connection open.
"""

import re
from collections.abc import Mapping
from uuid import UUID

import psycopg2
from psycopg2 import extensions

from fleetsyncd.database.connections import Connection

ROLE_UNKNOWN = "FS001"
"""SQLSTATE of the policies on a worker that was not told of app.user_role."""
HAS_CITUS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')"
# Citus' own messages are not translated.
_NODE = re.compile(
    r"(?:remote node|connections to the node|executing command on|connect to node|connect to) "
    r"\"?(?:\S+@)?([^\s\"]+?:\d+)"
)
_KEEPER = """
SELECT n.nodename || ':' || n.nodeport
FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid)
WHERE n.noderole = 'primary' AND p.shardid = (
    SELECT get_shard_id_for_distribution_column(logicalrelid, %s::uuid) FROM pg_dist_partition
    WHERE logicalrelid = 'public.measurements'::regclass AND partmethod = 'h')
"""
_MUTE = re.compile(r" after \d+ ms$")
_CAUSE = "failed with the following error: "
_LOST = ("08", "57P")
"""Classes of SQLSTATE that tell of a connection, here of the coordinator's to a worker."""


def is_on_cluster(connection: Connection) -> bool:
    """Ask whether a connection's database has Citus."""
    with connection.cursor() as cursor:
        cursor.execute(HAS_CITUS)
        return cursor.fetchall() == [(True,)]


def runs_on_cluster(cursor: extensions.cursor) -> bool:
    """Tell whether a transaction's cursor speaks to a cluster.

    Costs nothing but in the first transaction of all, whose commit would ask it.
    """
    connection = cursor.connection
    if not isinstance(connection, Connection):
        return False
    if connection.on_cluster is None:
        connection.on_cluster = is_on_cluster(connection)
    return connection.on_cluster


def is_distributed(cursor: extensions.cursor) -> bool:
    """Tell whether measurements are on workers; costs a round trip on a cluster only."""
    if not runs_on_cluster(cursor):
        return False
    cursor.execute("SELECT fleetsync.is_distributed()")
    return cursor.fetchall() == [(True,)]


def value_of(cursor: extensions.cursor, query: str, values: Mapping[str, object]) -> str:
    """Return SQL for the one text that a query returns, to stand in a statement with arguments.

    It is the query itself, but on a cluster its value, asked for beforehand: there, no statement
    can read rows of the workers together with tables of the coordinator.
    """
    if not runs_on_cluster(cursor):
        return f"({query})"
    cursor.execute(query, values)
    found: bytes = cursor.mogrify("%s", cursor.fetchall()[0])
    return found.decode().replace("%", "%%")


def node_of(error: psycopg2.Error) -> str | None:
    """Return host and port of the node that an error came from, if the coordinator names one."""
    told = f"{error.diag.message_primary or ''}\n{error.diag.context or ''}"
    found = _NODE.search(told)
    return found[1] if found else None


def lost_worker(error: psycopg2.Error) -> str | None:
    """Return host and port of the worker that the coordinator could not reach; None for others."""
    return node_of(error) if (error.pgcode or "").startswith(_LOST) else None


def keeper(cursor: extensions.cursor, vehicle_id: UUID | None) -> str | None:
    """Return host and port of the node that has a vehicle's rows; None if none is known to.

    Without a vehicle it only finds out whether the coordinator answers.
    """
    if vehicle_id is None:
        cursor.execute("SELECT 1")
        return None
    cursor.execute(_KEEPER, (str(vehicle_id),))
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def was_mute(error: psycopg2.Error) -> bool:
    """Tell whether a lost worker was waited for until citus.node_connection_timeout."""
    return _MUTE.search(error.diag.message_primary or "") is not None


def cause(error: psycopg2.Error) -> str:
    """Return why the worker could not be reached, as the coordinator was told in one line."""
    told = (error.diag.message_primary or "").partition(_CAUSE)
    lines = (told[2] or told[0]).strip().splitlines()
    return lines[0] if lines else "the connection to it broke"
