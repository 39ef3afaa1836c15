"""Doctor's check of a cluster: all that reads and writes of the daemon rest on. Changes nothing."""

from collections.abc import Iterator, Sequence

import msgspec

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.distribution import access, functions, nodes, policies
from fleetsyncd.database.schema.distribution.nodes import Node
from fleetsyncd.findings import Finding, fault, ok, warning

CHECK = "cluster"
AGAIN = "as the tables' owner: `fleetsyncd migrate --distribute`, which does what is missing"
LONGEST_CONNECT_MS = 5_000
"""A dead worker holds a connection of the pool for so long."""
STALE_SEC = 60
"""A transaction that was prepared before is not one that is being committed."""
_CONNECT_MS = "SELECT setting::int FROM pg_settings WHERE name = 'citus.node_connection_timeout'"
# None where it is not to be seen: for superusers, and members of pg_read_all_settings.
_CONNINFO = "SELECT setting FROM pg_settings WHERE name = 'citus.node_conninfo'"
_HERE = ("localhost", "127.0.0.1", "::1")
_IS_OPEN = """
SELECT inet_client_addr() IS NOT NULL
    AND NOT inet_client_addr() <<= ANY ('{127.0.0.0/8,::1}'::inet[])
    AND NOT (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())
"""
_NAMES_SHARDS = f"""
SELECT prosrc LIKE '%lock_shard_metadata%' FROM pg_proc
WHERE oid = to_regprocedure('{functions.NAMING}')
"""  # noqa: S608  made of this package's own text
_PREPARED = f"""
SELECT count(*) FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < now() - interval '{STALE_SEC} s'
"""  # noqa: S608  made of this file's own text
# A dead node is waited for by each question: it is asked one.
_ALL = """
SELECT json_build_object('left_over', ({prepared}), 'is_open', ({is_open}),
    'names_shards', ({names_shards}))
"""
_WORKERS = f"""
SELECT count(DISTINCT p.groupid) FROM pg_dist_placement p JOIN pg_dist_shard s USING (shardid)
WHERE s.logicalrelid = '{functions.TABLE}'::regclass
"""  # noqa: S608  made of this package's own text


class _Said(msgspec.Struct):
    """What a node says of itself."""

    left_over: int
    """Transactions that were prepared and not ended."""
    is_open: bool
    """Whether the coordinator's connection to it crosses a network unencrypted."""
    names_shards: bool | None
    """Whether its function names shards; None: it has none."""


def check_cluster(cursor: Cursor) -> Iterator[Finding]:
    """Yield what is wrong with the cluster, if measurements are distributed over one.

    Before they are, whether the daemon reaches its nodes.
    """
    if not nodes.is_distributed(cursor):
        if nodes.has_citus(cursor) and any(not n.is_coordinator for n in nodes.nodes(cursor)):
            yield from _nodes(cursor, is_distributed=False)
        return
    faults = [
        *_nodes(cursor, is_distributed=True),
        *_functions(cursor),
        *_policies(cursor),
        *_access(cursor),
    ]
    yield from faults
    if not faults:
        cursor.execute(_WORKERS)
        workers = cursor.fetchall()[0][0]
        yield ok(CHECK, f"measurements are on {workers} worker(s), and all nodes are as needed")


def _nodes(cursor: Cursor, *, is_distributed: bool) -> Iterator[Finding]:
    for node in nodes.nodes(cursor):
        if not node.is_synced:
            arguments = f"'{node.host}', {node.port}"
            text = f"the node {node.address} is not active, or does not know where rows are"
            remedy = f"as a superuser: SELECT citus_activate_node({arguments})"
            yield fault(CHECK, text, remedy)
    cursor.execute(_CONNINFO)
    shown = [str(setting) for (setting,) in cursor.fetchall()]
    wants_none = any("sslmode=disable" in setting for setting in shown)
    query = _ALL.format(prepared=_PREPARED, is_open=_IS_OPEN, names_shards=_NAMES_SHARDS)
    for reply in nodes.ask(cursor, query):
        if not reply.success:
            text = f"the daemon gets no answer of the node {reply.node}: {reply.text}"
            yield fault(CHECK, text, "start it, and let the role log in from the coordinator")
            continue
        said = msgspec.json.decode(reply.text, type=_Said)
        yield from _of_node(reply.node, said, is_distributed, wants_none)
    yield from _connections(cursor, shown)


def _of_node(
    node: str, said: _Said, is_distributed: bool, wants_no_encryption: bool
) -> Iterator[Finding]:
    if said.left_over:
        text = f"{said.left_over} prepared transaction(s) are left over on {node}"
        remedy = "as a superuser, on the coordinator: SELECT recover_prepared_transactions()"
        yield warning(CHECK, text, remedy)
    if said.is_open and not wants_no_encryption:
        text = f"data cross the network between coordinator and {node} unencrypted"
        remedy = "there ssl = on, and citus.node_conninfo with sslmode=require or verify-full"
        yield warning(CHECK, text, f"{remedy} on every node")
    if is_distributed and not said.names_shards:
        text = f"fleetsync.storage_table of the node {node} does not name shards"
        yield fault(CHECK, text, AGAIN)


def _connections(cursor: Cursor, shown: Sequence[str]) -> Iterator[Finding]:
    """Yield what is wrong with the coordinator's connections to the workers."""
    remote = [node for node in nodes.nodes(cursor) if not _is_here(node)]
    if remote and any("tcp_user_timeout" not in setting for setting in shown):
        text = "a worker whose machine vanishes is not noticed for minutes"
        remedy = "add tcp_user_timeout=8000 keepalives_idle=15 keepalives_interval=5"
        yield warning(CHECK, text, f"{remedy} to citus.node_conninfo, and SELECT pg_reload_conf()")
    cursor.execute(_CONNECT_MS)
    for (milliseconds,) in cursor.fetchall():
        if milliseconds > LONGEST_CONNECT_MS:
            text = f"a dead worker holds a connection for {milliseconds / 1000:g} s at a time"
            remedy = "ALTER SYSTEM SET citus.node_connection_timeout = '4s'"
            yield warning(CHECK, text, f"{remedy}; SELECT pg_reload_conf()")


def _is_here(node: Node) -> bool:
    return node.is_coordinator or node.host.startswith("/") or node.host in _HERE


def _functions(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(functions.IS_DELEGATED)
    if cursor.fetchall() != [(True,)]:
        text = "the writing function is not delegated: rows go through the coordinator"
        yield warning(CHECK, text, AGAIN)
    cursor.execute(functions.ARE_OF_CLUSTER)
    if cursor.fetchall() != [(True,)]:
        text = "functions that read measurements are those of one server: minutes cannot be kept"
        yield fault(CHECK, text, AGAIN)


def _policies(cursor: Cursor) -> Iterator[Finding]:
    wanted = policies.readers(cursor)
    if not policies.are_by_role(cursor, wanted):
        readers = ", ".join((*wanted.everything, *wanted.granted))
        text = f"the policies of measurements are not those that its readers need: {readers}"
        yield warning(CHECK, text, AGAIN)


def _access(cursor: Cursor) -> Iterator[Finding]:
    cursor.execute(access.IS_KEPT)
    if cursor.fetchall() != [(True,)]:
        text = "changes of vehicle_access are not copied to the workers"
        yield fault(CHECK, text, AGAIN)
        return
    if not access.may_read(cursor, None):
        text = (
            "whether the workers' copy of vehicle_access is true is not known: it may not be read"
        )
        yield warning(CHECK, text, AGAIN)
        return
    cursor.execute(access.DIFFERENCES)
    ((differences,),) = cursor.fetchall()
    if differences:
        text = f"the workers' copy of vehicle_access differs from it in {differences} row(s)"
        yield fault(CHECK, text, AGAIN)
