"""Whether nodes have room for the rows that are to come to them, and for the WAL of these."""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import nodes
from fleetsyncd.database.schema.distribution.functions import TABLE
from fleetsyncd.text import size

# A table without partitions is none of its own tree.
_LEAVES = f"""FROM (
    SELECT relid FROM pg_partition_tree('{TABLE}') WHERE isleaf
    UNION SELECT oid FROM pg_class WHERE oid = '{TABLE}'::regclass AND relkind = 'r'
) leaf"""  # noqa: S608  made of this package's own text
_HERE = f"SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint {_LEAVES}"
_ON_WORKERS = f"SELECT coalesce(sum(citus_total_relation_size(relid, false)), 0)::bigint {_LEAVES}"
_ROOM = """
SELECT available_disk_size || ' ' || pg_size_bytes(current_setting('max_wal_size'))
FROM pg_catalog.citus_local_disk_space_stats()
"""


def misfits_there(cursor: Cursor) -> Iterator[Misfit]:
    """Yield workers without room for their share of the rows."""
    workers = {node.address for node in nodes.nodes(cursor) if node.has_shards}
    share = _bytes(cursor, _HERE) // max(1, len(workers))
    for node, left, wal in _without_room(cursor, workers, share):
        text = f"the worker {node} has {left} left, and its share of the rows takes {size(share)}"
        yield Misfit(f"{text} and {wal} of WAL", "make room on its disk, or add a worker")


def misfits_back(cursor: Cursor) -> Iterator[Misfit]:
    """Yield the coordinator, if it has no room for all the rows of the workers."""
    coordinator = {node.address for node in nodes.nodes(cursor) if node.is_coordinator}
    rows = _bytes(cursor, _ON_WORKERS)
    for node, left, wal in _without_room(cursor, coordinator, rows):
        text = f"the coordinator {node} has {left} left, and the rows take {size(rows)}"
        yield Misfit(f"{text} and {wal} of WAL", "make room on its disk")


def _without_room(
    cursor: Cursor, addresses: set[str], needed: int
) -> Iterator[tuple[str, str, str]]:
    """Yield nodes with what is left on their disks, and what WAL takes.

    A server that cannot write its WAL stops. More than max_wal_size of it is seldom kept.
    """
    for reply in nodes.ask(cursor, _ROOM):
        if reply.node in addresses and reply.success and reply.text:
            left, most_wal = map(int, reply.text.split())
            wal = min(needed, most_wal)
            if left < needed + wal:
                yield reply.node, size(left), size(wal)


def _bytes(cursor: Cursor, query: str) -> int:
    cursor.execute(query)
    return int(cursor.fetchall()[0][0])
