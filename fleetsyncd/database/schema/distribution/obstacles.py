"""What stands in the way of the distribution, each by name; nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import foreign, members, nodes, policies, room, views
from fleetsyncd.database.schema.distribution.nodes import Node
from fleetsyncd.database.schema.hidden.layout import is_hidden

SHARDS = 32
"""Parts of the table; as many workers at most can ever have one."""
KNOWS_CLUSTERS = "0031.rows-stored-apart"
"""The first migration of those versions whose daemons can be on a cluster."""
OLDEST_VERSION = (12, 0)
"""Older ones are not tried; this program was tried with 13.2."""
_AVAILABLE = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citus')"
_VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'citus'"
_IS_COORDINATOR = "SELECT groupid = 0 FROM pg_dist_local_group"
_REPLICATION = "SELECT current_setting('citus.shard_replication_factor') = '1'"
_LOGIN = "SELECT rolcanlogin::text FROM pg_roles WHERE rolname = {role}"


@dataclass(frozen=True, slots=True)
class Order:
    """What an operator asks for; `online`: writers are never kept waiting for long."""

    app_role: str | None
    shards: int | None = None
    """None: as many as usual, or as there are."""
    online: bool = False


def of_distribution(cursor: Cursor, order: Order) -> list[Misfit]:
    """Return everything that keeps measurements from being distributed as it is asked for."""
    found = list(_extension(cursor))
    if found:
        return found
    found += _cluster(cursor)
    found += _shards(cursor, order) if nodes.is_known(cursor) else _table(cursor)
    if order.app_role is None:
        text = "DB_APP_ROLE is not set: whose policies are to let the daemon in is not known"
        found.append(Misfit(text, "set it to the role of the daemon"))
    else:
        found += _roles(cursor, order.app_role)
    if order.online:
        found += _logical(cursor)
        found += [] if nodes.is_known(cursor) else _not_online(cursor)
    found += _older_daemons(cursor)
    return list(dict.fromkeys(found))


def of_the_way_back(cursor: Cursor) -> list[Misfit]:
    """Return everything that keeps the rows from coming back to the coordinator."""
    if not nodes.is_known(cursor):
        return []
    silent = [
        Misfit(f"the node {reply.node} does not answer: {reply.text}", "start it")
        for reply in nodes.ask(cursor, "SELECT 1")
        if not reply.success
    ]
    if silent or not nodes.is_distributed(cursor):
        return [*silent, *foreign.misfits_back(cursor)]
    return [*foreign.misfits_back(cursor), *room.misfits_back(cursor)]


def _extension(cursor: Cursor) -> Iterator[Misfit]:
    if not _is_true(cursor, _AVAILABLE):
        text = "the server has no Citus"
        remedy = "install its package on every machine and set shared_preload_libraries = 'citus'"
        yield Misfit(text, remedy)
    elif not nodes.has_citus(cursor):
        text = "this database lacks the extension citus"
        yield Misfit(
            text, "on every node, in this database, as a superuser: CREATE EXTENSION citus"
        )
    elif not _is_true(cursor, _IS_COORDINATOR):
        yield Misfit("this server is a worker", "set DATABASE_URL to the coordinator")


def _cluster(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what is wrong with the nodes."""
    known = nodes.nodes(cursor)
    if not any(node.is_coordinator for node in known):
        text = "the coordinator is not in its own metadata"
        yield Misfit(text, "as a superuser: SELECT citus_set_coordinator_host('HOST', PORT)")
    if not any(node.has_shards for node in known):
        text = "no worker is there to take rows"
        yield Misfit(text, "as a superuser: SELECT citus_add_node('HOST', PORT)")
    if not _is_true(cursor, _REPLICATION):
        text = "citus.shard_replication_factor is not 1"
        yield Misfit(text, "ALTER SYSTEM RESET citus.shard_replication_factor on every node")
    for node in known:
        if not node.is_synced:
            yield _unsynced(node)
    if known:
        yield from _versions(cursor)


def _unsynced(node: Node) -> Misfit:
    arguments = f"'{node.host}', {node.port}"
    return Misfit(
        f"the node {node.address} is not active, or does not know where rows are",
        f"as a superuser: SELECT citus_activate_node({arguments}), and if that is not enough"
        f" SELECT start_metadata_sync_to_node({arguments})",
    )


def _versions(cursor: Cursor) -> Iterator[Misfit]:
    """Yield nodes that refuse the owner's login, and those with another version of Citus."""
    cursor.execute(_VERSION)
    own = str(cursor.fetchall()[0][0])
    if tuple(int(part) for part in own.split("-", maxsplit=1)[0].split(".")) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield Misfit(f"Citus {own} is older than {oldest}", "upgrade it on every node")
    for reply in nodes.ask(cursor, _VERSION):
        if not reply.success:
            text = f"the tables' owner gets no answer of the node {reply.node}: {reply.text}"
            yield Misfit(
                text, "start it, and let the role log in from the coordinator (pg_hba.conf)"
            )
        elif reply.text != own:
            text = f"the node {reply.node} has Citus {reply.text or '-'}, this one {own}"
            yield Misfit(text, "install one version everywhere, then ALTER EXTENSION citus UPDATE")


def _shards(cursor: Cursor, order: Order) -> Iterator[Misfit]:
    """Yield that another number of parts is asked for than there are."""
    if order.shards is None or not nodes.is_distributed(cursor):
        return
    if (count := nodes.shards(cursor)) != order.shards:
        text = f"measurements are in {count} shards already, and --shards asks for {order.shards}"
        yield Misfit(
            text,
            "leave --shards out; or take them back with `fleetsyncd migrate --undistribute`, and"
            f" distribute them again with --shards {order.shards}",
        )


def _table(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what others have made of the table that a distributed one cannot have."""
    if is_hidden(cursor):
        text = "measurements are in TimescaleDB's hidden table"
        yield Misfit(text, "take them back: `fleetsyncd migrate --timescale --undo`")
        return
    yield from foreign.misfits(cursor)
    yield from room.misfits_there(cursor)


def _roles(cursor: Cursor, app_role: str) -> Iterator[Misfit]:
    """Yield roles that a node does not know, and those that two policies would be for."""
    cursor.execute("SELECT quote_ident(%s), quote_literal(%s)", (app_role, app_role))
    quoted, literal = cursor.fetchall()[0]
    for reply in nodes.ask(cursor, _LOGIN.format(role=literal)):
        if reply.success and reply.text != "true":
            text = f"{app_role} cannot log in to the node {reply.node}"
            yield Misfit(text, f"there, as a superuser: CREATE ROLE {quoted} LOGIN")
    # An owner that is no member cannot try it: doctor does, as the daemon.
    for reply in nodes.ask_as(cursor, app_role, "SELECT 1") or ():
        if not reply.success:
            text = f"{app_role} gets no answer of the node {reply.node}: {reply.text}"
            yield Misfit(text, "let the role log in from the coordinator (pg_hba.conf)")
    yield from members.misfits(cursor, policies.readers(cursor, app_role))


def _older_daemons(cursor: Cursor) -> Iterator[Misfit]:
    """Yield daemons that would not tell the workers of their role, and so store nothing."""
    for host in replicas.older_daemons(cursor, KNOWS_CLUSTERS):
        text = f"a daemon of an older version runs on {host}"
        yield Misfit(text, "upgrade it, and restart it")


def _logical(cursor: Cursor) -> Iterator[Misfit]:
    """Yield nodes that cannot copy rows while they are written to."""
    for reply in nodes.ask(cursor, "SHOW wal_level"):
        if reply.success and reply.text != "logical":
            text = f"wal_level of the node {reply.node} is {reply.text}, which --online needs"
            yield Misfit(text, "ALTER SYSTEM SET wal_level = 'logical', and restart it")


def _not_online(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what can be distributed, but not while others use it."""
    yield from views.misfits_online(cursor)
    if foreign.is_forced_as_a_whole(cursor):
        text = (
            "measurements has no partitions, but forced row level security, which --online cannot"
        )
        yield Misfit(f"{text} copy", "leave --online out: who reads or writes waits for the copy")


def _is_true(cursor: Cursor, query: str) -> bool:
    cursor.execute(query)
    return cursor.fetchall() == [(True,)]
