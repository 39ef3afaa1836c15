"""Doctor's check of backups: whether the connected role can read all that a dump contains."""

from fleetsyncd.database.pool import Cursor
from fleetsyncd.findings import Finding, ok

HOW = "PGOPTIONS='-c app.user_role=superuser' pg_dump --enable-row-security"
_UNREADABLE = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace IN ('public'::regnamespace, 'fleetsync'::regnamespace)
  AND (c.relkind IN ('r', 'p', 'm') AND NOT has_table_privilege(c.oid, 'SELECT')
       OR c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'SELECT'))
ORDER BY c.relkind = 'S', 1
"""


def check_backups(cursor: Cursor) -> Finding:
    """Say whether this role can dump everything; another one may be meant to."""
    cursor.execute(_UNREADABLE)
    unreadable = [name for (name,) in cursor.fetchall()]
    cursor.execute("SELECT current_user::text")
    user = cursor.fetchall()[0][0]
    if unreadable:
        advice = "run `fleetsyncd doctor` as the role that makes the dumps"
        return ok("backup", f"{user} cannot read {unreadable[0]}: {advice}")
    return ok("backup", f"{user} can dump everything: {HOW}")
