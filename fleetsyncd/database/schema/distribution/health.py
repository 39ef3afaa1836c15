"""Doctor's check of a cluster: all that reads and writes of the daemon rest on. Changes nothing."""

from collections.abc import Iterator

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
SELECT (inet_client_addr() IS NOT NULL
    AND NOT inet_client_addr() <<= ANY ('{127.0.0.0/8,::1}'::inet[])
    AND NOT (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()))::text
"""
_NAMES_SHARDS = "SELECT (prosrc LIKE '%lock_shard_metadata%')::text FROM pg_proc WHERE oid = {name}"
_PREPARED = f"""
SELECT count(*) FROM pg_prepared_xacts
WHERE database = current_database() AND prepared < now() - interval '{STALE_SEC} s'
"""  # noqa: S608  made of this file's own text
_MAY_COMPARE = f"SELECT has_table_privilege(to_regclass('{access.COPY}'), 'SELECT') IS TRUE"


def check_cluster(cursor: Cursor) -> Iterator[Finding]:
    """Yield what is wrong with the cluster, if measurements are distributed over one.

    Before they are, whether the daemon reaches its nodes.
    """
    if not nodes.is_distributed(cursor):
        if nodes.has_citus(cursor) and any(not n.is_coordinator for n in nodes.nodes(cursor)):
            yield from _nodes(cursor)
        return
    faults = [*_nodes(cursor), *_functions(cursor), *_policies(cursor), *_access(cursor)]
    yield from faults
    known = nodes.nodes(cursor)
    if not faults:
        workers = sum(node.has_shards for node in known)
        yield ok(CHECK, f"measurements are on {workers} worker(s), and all nodes are as needed")


def _nodes(cursor: Cursor) -> Iterator[Finding]:
    for node in nodes.nodes(cursor):
        if not node.is_synced:
            arguments = f"'{node.host}', {node.port}"
            text = f"the node {node.address} is not active, or does not know where rows are"
            remedy = f"as a superuser: SELECT citus_activate_node({arguments})"
            yield fault(CHECK, text, remedy)
    for reply in nodes.ask(cursor, _PREPARED):
        if not reply.success:
            text = f"the daemon gets no answer of the node {reply.node}: {reply.text}"
            yield fault(CHECK, text, "start it, and let the role log in from the coordinator")
        elif reply.text != "0":
            text = f"{reply.text} prepared transaction(s) are left over on {reply.node}"
            remedy = "as a superuser, on the coordinator: SELECT recover_prepared_transactions()"
            yield warning(CHECK, text, remedy)
    yield from _connections(cursor)


def _connections(cursor: Cursor) -> Iterator[Finding]:
    """Yield what is wrong with the coordinator's connections to the workers."""
    cursor.execute(_CONNINFO)
    shown = [str(setting) for (setting,) in cursor.fetchall()]
    wants_none = any("sslmode=disable" in setting for setting in shown)
    for reply in nodes.ask(cursor, _IS_OPEN):
        if reply.success and reply.text == "true" and not wants_none:
            text = f"data cross the network between coordinator and {reply.node} unencrypted"
            remedy = "there ssl = on, and citus.node_conninfo with sslmode=require or verify-full"
            yield warning(CHECK, text, f"{remedy} on every node")
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
    cursor.execute("SELECT quote_literal(%s) || '::regprocedure'", (functions.NAMING,))
    for reply in nodes.ask(cursor, _NAMES_SHARDS.format(name=cursor.fetchall()[0][0])):
        if reply.success and reply.text != "true":
            text = f"fleetsync.storage_table of the node {reply.node} does not name shards"
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
    cursor.execute(_MAY_COMPARE)
    if cursor.fetchall() != [(True,)]:
        return
    cursor.execute(access.DIFFERENCES)
    ((differences,),) = cursor.fetchall()
    if differences:
        text = f"the workers' copy of vehicle_access differs from it in {differences} row(s)"
        yield fault(CHECK, text, AGAIN)
