"""Whether the row level security of the tables lets the daemon in."""

from dataclasses import dataclass

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.grants import TABLES

GUARDED = ("public.vehicles", "public.measurements", "public.alarms_log")
"""Tables whose rows owners of vehicles may read, but of their own vehicles only."""
_TABLES = """
SELECT u.name, c.relrowsecurity AND c.relforcerowsecurity, ARRAY(
    SELECT command FROM unnest(string_to_array(u.commands, ' ')) command
    WHERE c.relrowsecurity
      AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
      AND NOT EXISTS (
        SELECT FROM pg_policies p
        WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.permissive = 'PERMISSIVE'
          AND p.cmd IN ('ALL', command)
          AND EXISTS (SELECT FROM unnest(p.roles) granted
                      WHERE granted = 'public' OR pg_has_role(r.oid, granted, 'USAGE'))))
FROM unnest(%(tables)s, %(commands)s) u(name, commands)
JOIN pg_class c ON c.oid = to_regclass(u.name)
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles r ON r.rolname = coalesce(%(role)s, current_user)
WHERE NOT (r.rolsuper OR r.rolbypassrls) AND c.relkind IN ('r', 'p')
ORDER BY u.name
"""


@dataclass(frozen=True, slots=True)
class TableSecurity:
    """A table's row level security: whether it is forced, and the commands without any policy.

    Whether a policy lets the daemon in is not told here: only trying tells it.
    """

    table: str
    forced: bool
    refused: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """The statement with which the owner lets the daemon in."""
        name = self.table.partition(".")[2]
        return (
            f"CREATE POLICY {name}_superuser ON {self.table}"
            " USING ((SELECT current_setting('app.user_role', true)) = 'superuser')"
        )


def table_security(cursor: Cursor, role: str | None = None) -> list[TableSecurity]:
    """Return it of every table there is; `role` is that of the daemon, None the connected one.

    Nothing is returned for a role that no policy binds.
    """
    values = {
        "tables": list(TABLES),
        "commands": [" ".join(commands) for commands in TABLES.values()],
        "role": role,
    }
    cursor.execute(_TABLES, values)
    return [
        TableSecurity(table, forced, tuple(refused)) for table, forced, refused in cursor.fetchall()
    ]
