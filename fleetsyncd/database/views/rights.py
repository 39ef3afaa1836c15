"""Whether the connected role may read a table that is newer than the role's rights."""

from fleetsyncd.database.pool import Cursor

_MAY_READ = "SELECT coalesce(has_table_privilege(to_regclass(%s), 'SELECT'), false)"


def may_read(cursor: Cursor, table: str) -> bool:
    """Tell whether the role may read a table; False if there is none.

    A role that only looks may have been given its rights before there was this table.
    """
    cursor.execute(_MAY_READ, (table,))
    return bool(cursor.fetchall()[0][0])
