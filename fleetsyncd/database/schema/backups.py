"""Doctor's check of backups: whether the connected role can read all that a dump contains."""

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.grants import TABLES
from fleetsyncd.findings import Finding, ok, warning

HOW = "PGOPTIONS='-c app.user_role=superuser' pg_dump --enable-row-security"
_OTHERS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_UNREADABLE = f"""
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_OTHERS}
  AND (c.relkind IN ('r', 'p', 'm') AND NOT has_table_privilege(c.oid, 'SELECT')
       OR c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'SELECT'))
ORDER BY c.relkind = 'S', 1
"""  # noqa: S608  a constant
# Of tables that other programs have, nobody here knows what their policies ask for.
_HIDDEN = f"""
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles r ON r.rolname = current_user
WHERE {_OTHERS} AND c.relkind IN ('r', 'p') AND c.relrowsecurity
  AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
  AND NOT (r.rolsuper OR r.rolbypassrls) AND n.nspname || '.' || c.relname <> ALL (%s)
ORDER BY 1
"""  # noqa: S608  a constant


def check_backups(cursor: Cursor) -> Finding:
    """Say whether this role can dump everything; another one may be meant to."""
    cursor.execute("SELECT current_user::text")
    user = cursor.fetchall()[0][0]
    cursor.execute(_UNREADABLE)
    if unreadable := cursor.fetchall():
        advice = "run `fleetsyncd doctor` as the role that makes the dumps"
        return ok("backup", f"{user} cannot read {unreadable[0][0]}: {advice}")
    cursor.execute(_HIDDEN, (list(TABLES),))
    if hidden := [name for (name,) in cursor.fetchall()]:
        text = f"row level security may hide rows of {', '.join(hidden[:3])} from a dump by {user}"
        return warning("backup", text, "let a role dump that is a superuser or has BYPASSRLS")
    return ok("backup", f"{user} can dump everything: {HOW}")
