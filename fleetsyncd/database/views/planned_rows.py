"""How many rows the planner expects of a query: here, or on the workers of a cluster."""

from typing import Any

from fleetsyncd.database.pool import Cursor

ROW_BYTES = 68
"""A measurement with its share of a page."""
_EXPLAIN_ALL = "SELECT set_config('citus.explain_all_tasks', 'on', true)"
# The result of a node that failed is why it did.
_ASK = """
SELECT bool_and(success), sum(CASE WHEN success THEN result::bigint END)
FROM run_command_on_all_nodes(%s)
"""
# Each node's own parts that were not analysed since they have rows: only their size is known.
_UNKNOWN = f"""
SELECT coalesce(sum(pg_relation_size(part) / {ROW_BYTES}), 0)::bigint
FROM (
    SELECT to_regclass(format('%s_%s', logicalrelid::regclass, shardid)) AS part
    FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
    JOIN pg_dist_local_group USING (groupid)
    WHERE logicalrelid = 'public.measurements'::regclass
       OR logicalrelid IN (SELECT relid FROM pg_partition_tree('public.measurements'))
) parts JOIN pg_class c ON c.oid = part
WHERE c.relkind = 'r' AND c.reltuples <= 0
"""  # noqa: S608  a constant


def planned(cursor: Cursor, query: str, values: dict[str, Any] | None = None) -> float:
    """Return how many rows the planner expects of a query, at least one."""
    return max(1.0, float(_explain(cursor, query, values)["Plan Rows"]))


def planned_on_workers(cursor: Cursor, query: str, values: dict[str, Any]) -> float:
    """Return how many rows the workers' planners expect of a query of measurements, together.

    Each is asked for its own vehicles, and unlike one server's it knows what the policies let see.
    """
    cursor.execute(_EXPLAIN_ALL)
    tasks = _explain(cursor, query, values)["Distributed Query"]["Job"]["Tasks"]
    return float(sum(task["Remote Plan"][0][0]["Plan"]["Plan Rows"] for task in tasks))


def unknown_on_workers(cursor: Cursor) -> float:
    """Return about how many measurements the workers have no statistics of; inf if one is mute."""
    cursor.execute(_ASK, (_UNKNOWN,))
    all_answer, rows = cursor.fetchall()[0]
    return float(rows) if all_answer else float("inf")


def _explain(cursor: Cursor, query: str, values: dict[str, Any] | None) -> dict[str, Any]:
    cursor.execute(f"EXPLAIN (FORMAT JSON) {query}", values)
    plan: dict[str, Any] = cursor.fetchall()[0][0][0]["Plan"]
    return plan
