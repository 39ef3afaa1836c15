"""What must be true before `migrate` changes anything; everything that is not is told at once."""

import logging
from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit, misfits
from fleetsyncd.database.schema.hidden import hypertable
from fleetsyncd.database.schema.needed_tables import COLUMNS
from fleetsyncd.database.schema.row_security import GUARDED, table_security
from fleetsyncd.errors import MigrationFailed

log = logging.getLogger("sync.migrate")

OLDEST_SERVER = 140_000
"""The first version with multiranges."""
WANTED_ENCODING = "UTF8"
_ENCODING = "SELECT getdatabaseencoding(), current_database()::text"
_RIGHTS = """
SELECT current_user::text, current_database()::text,
    to_regnamespace('fleetsync') IS NOT NULL
        OR has_database_privilege(current_database(), 'CREATE'),
    has_schema_privilege('public', 'CREATE')
        OR (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relname = ANY (%(tables)s)) = cardinality(%(tables)s),
    (SELECT nspowner::regrole::text FROM pg_namespace
     WHERE nspname = 'fleetsync' AND NOT pg_has_role(nspowner, 'USAGE'))
"""
_OTHERS_TABLES = """
SELECT array_agg('public.' || relname ORDER BY relname), relowner::regrole::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relname = ANY (%s) AND relkind IN ('r', 'p')
  AND NOT pg_has_role(relowner, 'USAGE')
GROUP BY relowner ORDER BY 1
"""
_ADOPTED = "SELECT to_regclass('fleetsync.migration') IS NOT NULL"
_ROLE = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)"


def require(app_role: str | None, pending: bool, cursor: Cursor) -> None:
    """Raise MigrationFailed with all that keeps the connected role from migrating this database.

    What does not fit in tables that were there before keeps a database from being adopted; in one
    that was adopted long ago it is only told. `pending`: there are migrations to apply.
    """
    if not _is_true(cursor, "SELECT to_regnamespace('public') IS NOT NULL"):
        raise MigrationFailed("there is no schema public", "CREATE SCHEMA public")
    obstacles = list(_obstacles(app_role, pending, cursor))
    differences = list(_differences(app_role, cursor))
    if _is_true(cursor, _ADOPTED):
        for difference in differences:
            log.warning("does not fit: %s", difference)
    else:
        obstacles += differences
    if obstacles:
        lines = "".join(f"\n  {obstacle}" for obstacle in obstacles)
        raise MigrationFailed(f"nothing was changed, first this must be put right:{lines}")


def _obstacles(app_role: str | None, pending: bool, cursor: Cursor) -> Iterator[Misfit]:
    if pending:
        yield from _old_server(cursor)
        yield from _missing_rights(cursor)
    if app_role is not None and not _is_true(cursor, _ROLE, app_role):
        quoted = _quoted(cursor, app_role)
        yield Misfit(f"there is no role {app_role}", f"CREATE ROLE {quoted} LOGIN PASSWORD '...'")


def _differences(app_role: str | None, cursor: Cursor) -> Iterator[Misfit]:
    yield from encoding_misfit(cursor)
    yield from misfits(cursor)
    yield from hypertable.adopted_misfits(cursor)
    yield from hidden_rows(cursor, app_role)


def encoding_misfit(cursor: Cursor) -> Iterator[Misfit]:
    """Yield that the database cannot store every text."""
    cursor.execute(_ENCODING)
    ((encoding, name),) = cursor.fetchall()
    if encoding != WANTED_ENCODING:
        yield Misfit(
            f"the encoding of {name} is {encoding}, which cannot hold every name and unit",
            "make a database with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and move"
            " to it",
        )


def _old_server(cursor: Cursor) -> Iterator[Misfit]:
    if cursor.connection.server_version < OLDEST_SERVER:
        cursor.execute("SHOW server_version")
        ((version,),) = cursor.fetchall()
        yield Misfit(f"PostgreSQL {version} is too old", "upgrade it to 14 or newer")


def _missing_rights(cursor: Cursor) -> Iterator[Misfit]:
    cursor.execute(_RIGHTS, {"tables": list(COLUMNS)})
    ((user, database, may_create_schema, may_create_tables, schema_owner),) = cursor.fetchall()
    role = _quoted(cursor, user)
    if not may_create_schema:
        text = f"{user} may not create the schema fleetsync"
        yield Misfit(text, f"GRANT CREATE ON DATABASE {_quoted(cursor, database)} TO {role}")
    if not may_create_tables:
        text = f"{user} may not create tables"
        yield Misfit(text, f"GRANT CREATE ON SCHEMA public TO {role}")
    if schema_owner is not None:
        text = f"the schema fleetsync belongs to {schema_owner}"
        yield Misfit(text, f"run `fleetsyncd migrate` with DB_USER={schema_owner}")
    cursor.execute(_OTHERS_TABLES, ([table for table in COLUMNS if table != "vehicle_access"],))
    for tables, owner in cursor.fetchall():
        belong = "belongs" if len(tables) == 1 else "belong"
        yield Misfit(
            f"{', '.join(tables)} {belong} to {owner}",
            f"run `fleetsyncd migrate` with DB_USER={owner}, or as a superuser"
            f" ALTER TABLE {tables[0]} OWNER TO {role}",
        )


def hidden_rows(cursor: Cursor, app_role: str | None) -> Iterator[Misfit]:
    """Yield the tables whose row level security keeps the daemon's role out.

    Without those that owners may read: a first migration adds their policies.
    """
    for table in table_security(cursor, app_role):
        if table.refused and table.table not in GUARDED:
            commands = ", ".join(table.refused)
            yield Misfit(f"no policy of {table.table} lets the daemon {commands}", table.remedy)


def _quoted(cursor: Cursor, name: str) -> str:
    """Return an identifier as it is written in SQL, in quotes only if they are needed."""
    cursor.execute("SELECT quote_ident(%s)", (name,))
    return str(cursor.fetchall()[0][0])


def _is_true(cursor: Cursor, query: str, *arguments: object) -> bool:
    cursor.execute(query, arguments)
    return bool(cursor.fetchall()[0][0])
