"""The nodes of a Citus cluster, as the coordinator knows them, and what each of them says."""

from dataclasses import dataclass

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.distribution.functions import TABLE

_HAS_CITUS = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"
_METHOD = f"""
SELECT partmethod::text FROM pg_dist_partition WHERE logicalrelid = to_regclass('{TABLE}')
"""  # noqa: S608  made of this package's own text
_HASH = "h"
_SHARDS = f"SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = '{TABLE}'::regclass"  # noqa: S608  made of this package's own text
_NODES = """
SELECT nodename || ':' || nodeport, groupid = 0, shouldhaveshards,
    isactive AND hasmetadata AND metadatasynced, nodename, nodeport
FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid
"""
_MAY_BE = "SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = %s"
_BE = "SELECT set_config('role', %s, true)"
_ASK = """
SELECT n.nodename || ':' || n.nodeport, r.success, r.result
FROM run_command_on_all_nodes(%s) r JOIN pg_dist_node n USING (nodeid) ORDER BY n.groupid
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A server of the cluster; `address` is its host and port."""

    address: str
    is_coordinator: bool
    has_shards: bool
    """Whether rows are to be kept on it."""
    is_synced: bool
    """Whether it knows where the rows are."""
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a node says; `text` is the reason if it did not do what it was asked for."""

    node: str
    success: bool
    text: str


def has_citus(cursor: Cursor) -> bool:
    """Tell whether the database has the extension."""
    cursor.execute(_HAS_CITUS)
    return cursor.fetchall() == [(True,)]


def is_distributed(cursor: Cursor) -> bool:
    """Tell whether measurements are distributed; needs no extension."""
    return has_citus(cursor) and _method(cursor) == _HASH


def is_known(cursor: Cursor) -> bool:
    """Tell whether Citus knows the table at all, as it does in the middle of `--online`, too."""
    return has_citus(cursor) and _method(cursor) is not None


def _method(cursor: Cursor) -> str | None:
    cursor.execute(_METHOD)
    row = cursor.fetchone()
    return None if row is None else str(row[0])


def shards(cursor: Cursor) -> int:
    """Return in how many parts the distributed table is."""
    cursor.execute(_SHARDS)
    return int(cursor.fetchall()[0][0])


def nodes(cursor: Cursor) -> list[Node]:
    """Return the nodes, the coordinator first."""
    cursor.execute(_NODES)
    return [Node(*row) for row in cursor.fetchall()]


def ask(cursor: Cursor, query: str) -> list[Reply]:
    """Run a query of one value on every node as the connected role, and return what they say."""
    cursor.execute(_ASK, (query,))
    return [Reply(node, success, (text or "").strip()) for node, success, text in cursor.fetchall()]


def may_be(cursor: Cursor, role: str) -> bool:
    """Tell whether the connected role may become another one; False if there is none."""
    cursor.execute(_MAY_BE, (role,))
    return bool(cursor.fetchall() == [(True,)])


def ask_as(cursor: Cursor, role: str, query: str) -> list[Reply] | None:
    """Do so as another role; None if the connected one may not become it."""
    if not may_be(cursor, role):
        return None
    cursor.execute(_BE, (role,))
    replies = ask(cursor, query)
    cursor.execute(_BE, ("none",))
    return replies
