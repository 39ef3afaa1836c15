"""What each worker of a cluster has of the measurements, as far as the workers answer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleetsyncd.database.cluster import is_distributed
from fleetsyncd.database.pool import Cursor

_KEEPERS = """
SELECT n.nodeid, n.nodename || ':' || n.nodeport, count(*)
FROM pg_dist_node n JOIN pg_dist_placement p USING (groupid) JOIN pg_dist_shard s USING (shardid)
WHERE n.noderole = 'primary' AND s.logicalrelid = 'public.measurements'::regclass
GROUP BY 1, 2 ORDER BY 2
"""
# Citus's own functions for the size of a table fail if one worker is away.
_ASK = "SELECT nodeid, result FROM run_command_on_all_nodes(%s) WHERE success"
_SHARDS = """
SELECT coalesce(json_agg(t), '[]') FROM (
    SELECT format('%I.%I', c.relnamespace::regnamespace::name, c.relname) AS name,
        coalesce(sum(pg_relation_size(r.shard)), 0) AS row_bytes,
        coalesce(sum(pg_table_size(r.shard)), 0) AS table_bytes,
        coalesce(sum(pg_indexes_size(r.shard)), 0) AS index_bytes
    FROM pg_dist_partition m
    JOIN pg_dist_partition d ON d.colocationid = m.colocationid
    JOIN pg_class c ON c.oid = d.logicalrelid
    JOIN pg_dist_shard s ON s.logicalrelid = d.logicalrelid
    JOIN pg_dist_placement p ON p.shardid = s.shardid
    CROSS JOIN LATERAL to_regclass(shard_name(s.logicalrelid, s.shardid)) r(shard)
    WHERE m.logicalrelid = 'public.measurements'::regclass
      AND p.groupid = (SELECT groupid FROM pg_dist_local_group)
    GROUP BY c.oid
) t
"""
SHARD_BYTES = """
CROSS JOIN LATERAL (
    SELECT sum(row_bytes)::bigint, sum(table_bytes)::bigint, sum(index_bytes)::bigint
    FROM json_to_recordset(%(shards)s::json)
        k(name text, row_bytes bigint, table_bytes bigint, index_bytes bigint)
    WHERE k.name = format('%%I.%%I', c.relnamespace::regnamespace::name, c.relname)
) k(row_bytes, table_bytes, index_bytes)
CROSS JOIN LATERAL (
    SELECT coalesce(k.row_bytes, pg_relation_size(c.oid)),
        coalesce(k.table_bytes, pg_table_size(c.oid)),
        coalesce(k.index_bytes, pg_indexes_size(c.oid))
) s(row_bytes, table_bytes, index_bytes)
""".strip()
"""SQL that finds the bytes `s` of a table `c` of pg_class, those on workers from `shards`."""


@dataclass(frozen=True, slots=True)
class StoringNode:
    """A worker of a cluster, with its part of the measurements."""

    address: str
    shards: int
    bytes: int
    """0 if it is out of reach."""
    is_reachable: bool = True


@dataclass(frozen=True, slots=True)
class Workers:
    """All workers that have measurements; `shards` are the tables' bytes on them, as JSON."""

    nodes: tuple[StoringNode, ...] = ()
    shards: str = "[]"


def read_workers(cursor: Cursor) -> Workers:
    """Return what the workers have; none where measurements are not distributed."""
    if not is_distributed(cursor):
        return Workers()
    cursor.execute(_KEEPERS)
    keepers = cursor.fetchall()
    cursor.execute(_ASK, (_SHARDS,))
    told = {node: json.loads(text) for node, text in cursor.fetchall()}
    nodes = (
        StoringNode(address, shards, _bytes(told.get(node, [])), is_reachable=node in told)
        for node, address, shards in keepers
    )
    return Workers(tuple(nodes), json.dumps([part for parts in told.values() for part in parts]))


def _bytes(parts: Sequence[dict[str, Any]]) -> int:
    return sum(int(part["table_bytes"]) + int(part["index_bytes"]) for part in parts)
