"""Who stands in the way of a statement that waits for a lock, told to operators."""

from collections.abc import Collection, Sequence
from typing import Any

from fleetsyncd.database.pool import Cursor
from fleetsyncd.text import age, sanitise

# Without a right to see more, of other roles' sessions only pid, program and role are there. The
# server's own processes, as one that vacuums, have no role.
SESSIONS = """
SELECT a.pid, CASE WHEN a.usename IS NULL THEN a.backend_type ELSE a.application_name END,
    a.usename::text, extract(epoch FROM now() - a.xact_start)::float8
FROM pg_stat_activity a
"""
BLOCKING = f"{SESSIONS} WHERE a.pid = ANY (pg_blocking_pids(%s)) ORDER BY a.xact_start LIMIT 3"
"""For which sessions that of a process id waits."""
_HOLDING = f"""
SELECT DISTINCT l.virtualtransaction, a.* FROM ({SESSIONS}) a(pid, program, role, seconds)
JOIN pg_locks l ON l.pid = a.pid
WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation IN (SELECT %(table)s::regclass::oid
                     UNION ALL SELECT relid FROM pg_partition_tree(%(table)s::regclass))
"""  # noqa: S608  made of this file's own text
Holders = Collection[tuple[Any, ...]]


def holders(cursor: Cursor, table: str) -> Holders:
    """Return whose transactions have locks on a table or its partitions now."""
    cursor.execute(_HOLDING, {"table": table})
    return cursor.fetchall()


def stayed(before: Holders, after: Holders) -> str:
    """Return as text who held a lock before and after, in the same transaction; "" if nobody."""
    known = {transaction for transaction, *_ in before}
    return named([tuple(session) for transaction, *session in after if transaction in known])


def named(sessions: Sequence[tuple[Any, ...]]) -> str:
    """Return rows of `SESSIONS` as text; "" if there are none."""
    known = [each for each in sessions if each[-1] is not None]
    return ", ".join(_named(*session) for session in known or sessions)


def _named(pid: int, program: str | None, role: str | None, seconds: float | None) -> str:
    told = [f"pid {pid}"]
    if role is not None:
        told.append(f"role {sanitise(role)}")
    if seconds is not None:
        told.append(f"for {age(seconds)}")
    return f"{sanitise(program or '') or 'a session'} ({', '.join(told)})"
