"""Whether the connected role may read a table or call a function that is newer than its rights."""

from fleetsyncd.database.pool import Cursor

_MAY_READ = "SELECT coalesce(has_table_privilege(to_regclass(%s), 'SELECT'), false)"

_MAY_CALL = "SELECT coalesce(has_function_privilege(to_regprocedure(%s), 'EXECUTE'), false)"


def may_read(cursor: Cursor, table: str) -> bool:
    """Tell whether the role may read a table; False if there is none.

    A role that only looks may have been given its rights before there was this table.
    """
    cursor.execute(_MAY_READ, (table,))
    return bool(cursor.fetchall()[0][0])


def may_call(cursor: Cursor, function: str) -> bool:
    """Tell whether the role may call a function; False if there is none."""
    cursor.execute(_MAY_CALL, (function,))
    return bool(cursor.fetchall()[0][0])
