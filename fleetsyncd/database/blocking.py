"""Who stands in the way of a statement that waits for a lock, told to operators."""

from collections.abc import Sequence
from typing import Any

from fleetsyncd.text import age, sanitise

# Without a right to see more, only these columns of other roles' sessions are there.
SESSIONS = """
SELECT a.pid, a.application_name, a.usename::text, extract(epoch FROM now() - a.xact_start)::float8
FROM pg_stat_activity a
"""
BLOCKING = f"{SESSIONS} WHERE a.pid = ANY (pg_blocking_pids(%s)) ORDER BY a.xact_start LIMIT 3"
"""For which sessions that of a process id waits."""


def named(sessions: Sequence[tuple[Any, ...]]) -> str:
    """Return rows of `SESSIONS` as text; "" if there are none."""
    known = [each for each in sessions if each[-1] is not None]
    return ", ".join(
        f"{sanitise(program) or 'a session'} (pid {pid}, role {sanitise(role)}"
        + (")" if seconds is None else f", for {age(seconds)})")
        for pid, program, role, seconds in known or sessions
    )
