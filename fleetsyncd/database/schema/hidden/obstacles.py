"""What stands in the way of the conversion, each by name; nothing is changed.

What the view could not keep is refused: columns, policies, triggers, keys, and whatever else
depends on the table itself.
"""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.hidden import dependents, hypertable
from fleetsyncd.database.schema.hidden.layout import (
    BEFORE,
    COLUMNS,
    RETURNING,
    TABLE,
    TABLE_BEFORE,
    VIEW,
)
from fleetsyncd.database.schema.hidden.mirror import COPIED
from fleetsyncd.database.views.storage import USUAL_ROW_BYTES, storage
from fleetsyncd.text import size

_TREE = """(SELECT 'public.measurements'::regclass
    UNION SELECT relid FROM pg_partition_tree('public.measurements'))"""
# Each query returns what is to be told, and what mends it; TREE stands for the table and its parts.
_FOREIGN = {
    "columns": """
SELECT format('measurements has the column %I, which would be lost', attname),
    format('ALTER TABLE public.measurements DROP COLUMN %I', attname)
FROM pg_attribute
WHERE attrelid = 'public.measurements'::regclass AND attnum > 0 AND NOT attisdropped
  AND attname <> ALL ('{vehicle_id,channel_id,time,value}') ORDER BY attnum""",
    "nulls": """
SELECT format('the column %I of measurements may be null', attname),
    format('ALTER TABLE public.measurements ALTER COLUMN %I SET NOT NULL', attname)
FROM pg_attribute WHERE attrelid = 'public.measurements'::regclass AND NOT attnotnull
  AND attname IN ('vehicle_id', 'channel_id', 'time')""",
    "row level security": """
SELECT 'measurements has no row level security, which the view would have',
    'ALTER TABLE public.measurements ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY'
FROM pg_class WHERE oid = 'public.measurements'::regclass AND NOT relrowsecurity""",
    # A view has no policy for some roles, and what writes is bound by the trigger.
    "policies": """
SELECT format('the policy %I of measurements is %s', policyname, CASE
        WHEN permissive <> 'PERMISSIVE' THEN 'a restrictive one'
        WHEN roles <> '{public}' THEN 'for some roles only'
        WHEN cmd <> 'ALL' THEN format('for %s', cmd)
        ELSE 'for writing, and not for app.user_role = superuser' END),
    format('DROP POLICY %I ON public.measurements; the view lets those read whom a policy FOR'
           ' SELECT TO PUBLIC lets, and app.user_role = superuser write', policyname)
FROM pg_policies WHERE schemaname = 'public' AND tablename = 'measurements'
  AND policyname <> 'measurements_writer'
  AND NOT (permissive = 'PERMISSIVE' AND roles = '{public}'
           AND (cmd = 'SELECT' OR cmd = 'ALL' AND qual ~ 'app[.]user_role.*superuser'
                AND coalesce(with_check = qual, true)))
ORDER BY 1""",
    # It is what the daemon reads and writes by, through the view and on the way back.
    "no policy": """
SELECT 'measurements has no policy FOR ALL TO PUBLIC that lets app.user_role = superuser in',
    'CREATE POLICY measurements_superuser ON public.measurements'
    ' USING ((SELECT current_setting(''app.user_role'', true)) = ''superuser'')'
FROM pg_class WHERE oid = 'public.measurements'::regclass AND relrowsecurity AND NOT EXISTS (
    SELECT FROM pg_policies WHERE schemaname = 'public' AND tablename = 'measurements'
      AND permissive = 'PERMISSIVE' AND roles = '{public}' AND cmd = 'ALL'
      AND qual ~ 'app[.]user_role.*superuser' AND coalesce(with_check = qual, true))""",
    "triggers": """
SELECT format('measurements has the trigger %I', tgname),
    format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
FROM pg_trigger t WHERE tgrelid IN (TREE) AND NOT tgisinternal AND tgparentid = 0
  AND tgfoid <> coalesce(to_regproc('fleetsync.write_to_both'), 0) ORDER BY 1""",
    "keys": """
SELECT format('the foreign key %I ties measurements to %s', conname,
              CASE WHEN conrelid IN (TREE) THEN confrelid ELSE conrelid END::regclass),
    format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
  AND (conrelid IN (TREE) OR confrelid IN (TREE)) ORDER BY 1""",
    "indexes": """
SELECT format('measurements has the index %I, which would be lost', c.relname),
    format('ALTER TABLE public.measurements DROP CONSTRAINT IF EXISTS %1$I;'
           ' DROP INDEX IF EXISTS %2$s',
           c.relname, c.oid::regclass)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.measurements'::regclass AND NOT (i.indisunique AND (
    SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
    WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]))
        = '{channel_id,time,vehicle_id}') ORDER BY 1""",
    "dependents": dependents.DEPENDENTS,
    "rules": """
SELECT format('measurements has the rule %I', rulename),
    format('DROP RULE %I ON public.measurements', rulename)
FROM pg_rewrite
WHERE ev_class = 'public.measurements'::regclass AND rulename <> '_RETURN' ORDER BY 1""",
    "publications": dependents.PUBLICATIONS,
    "doors": """
SELECT format('the function %s belongs to %s, and measurements to %s', f.oid::regprocedure,
              f.proowner::regrole, t.relowner::regrole),
    format('as a superuser: ALTER FUNCTION %s OWNER TO %s', f.oid::regprocedure,
           t.relowner::regrole)
FROM pg_proc f, pg_class t
WHERE f.pronamespace = 'fleetsync'::regnamespace AND f.prosecdef
  AND t.oid = 'public.measurements'::regclass
  AND f.proowner <> t.relowner ORDER BY 1""",
}
# As those of a hypertable of others: whoever took them from it would lose sight of their rows.
_CHILDREN = """
SELECT count(*), min(inhrelid::regclass::text) FROM pg_inherits
JOIN pg_class p ON p.oid = inhparent
WHERE p.oid = 'public.measurements'::regclass AND p.relkind = 'r'
"""
_LEFTOVERS = """
SELECT format('there is %%s, which another conversion has left', t),
    format('DROP TABLE %%s, if nothing of it is wanted', t)
FROM unnest(%s) t WHERE to_regclass(t) IS NOT NULL
"""
_DISTRIBUTED = """
SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'public.measurements'::regclass)
"""
# They would have the names of the months that come back.
_DETACHED = f"""
SELECT format('there is %s, which is no part of measurements', c.oid::regclass),
    format('ALTER TABLE %s RENAME TO %I', c.oid::regclass, c.relname || '_detached')
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname ~ '^measurements_[0-9]{{4}}_[0-9]{{2}}$'
  AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid
                  AND i.inhparent = to_regclass('{RETURNING}'))
ORDER BY 1
"""  # noqa: S608  made of this project's own text
# Its WHERE becomes the policies of the table.
_OTHER_FORM = f"""
SELECT 'the view measurements has another form than the conversion gave it',
    'CREATE OR REPLACE VIEW {VIEW} AS SELECT {COLUMNS} FROM {TABLE} AS measurements_before WHERE,'
    ' and which rows it is to show'
FROM pg_class
WHERE oid = to_regclass('{VIEW}') AND relkind = 'v'
  AND pg_get_viewdef(oid) !~ ('^\\s*SELECT (measurements_before[.])?vehicle_id,'
    '\\s+(measurements_before[.])?channel_id,\\s+(measurements_before[.])?"time",'
    '\\s+(measurements_before[.])?value'
    '\\s+FROM (fleetsync[.])?samples measurements_before\\s+WHERE ')
"""  # noqa: S608  made of this project's own text
# Compressed rows come back as they were inserted.
_ROWS = "SELECT coalesce(sum(row_count), 0)::bigint FROM fleetsync.hidden_parts()"
_EXISTS = "SELECT to_regclass(%s) IS NOT NULL"
_SIZE = f"""
SELECT coalesce(sum(pg_total_relation_size(t)), 0)::bigint FROM {_TREE} tree(t)
"""  # noqa: S608  made of this file's own text


def of_a_hypertable(cursor: Cursor) -> list[Misfit]:
    """Return everything that keeps measurements from becoming a hidden hypertable."""
    return [*hypertable.misfits(cursor), *misfits(cursor, storage(cursor).free_bytes)]


def misfits(cursor: Cursor, free_bytes: int | None) -> Iterator[Misfit]:
    """Yield everything that keeps measurements from being put behind a view."""
    if exists(cursor, "pg_dist_partition") and _is_true(cursor, _DISTRIBUTED):
        yield Misfit("measurements is distributed over a Citus cluster", "use one of both")
        return
    cursor.execute(_CHILDREN)
    ((children, first),) = cursor.fetchall()
    if children:
        text = f"measurements is in {children} tables that inherit from it, such as {first}"
        yield Misfit(text, hypertable.AWAY)
        return
    for name in _FOREIGN:
        yield from _foreign(cursor, name)
    yield from _schema_publications(cursor)
    tables = [BEFORE, TABLE_BEFORE]
    if not exists(cursor, COPIED):
        tables += [TABLE, RETURNING]
    yield from _leftovers(cursor, tables)
    yield from _space(cursor, free_bytes)


def way_back(cursor: Cursor) -> list[Misfit]:
    """Return everything that keeps the view from becoming a table again."""
    return list(way_back_misfits(cursor, storage(cursor).free_bytes))


def way_back_misfits(cursor: Cursor, free_bytes: int | None) -> Iterator[Misfit]:
    """Yield everything that keeps the view from becoming a table again."""
    tables = [TABLE_BEFORE] if exists(cursor, COPIED) else [TABLE_BEFORE, RETURNING]
    yield from _foreign(cursor, "dependents")
    yield from _foreign(cursor, "rules")
    yield from _foreign(cursor, "publications")
    yield from _schema_publications(cursor)
    yield from _leftovers(cursor, tables)
    yield from _told(cursor, _DETACHED)
    yield from _told(cursor, _OTHER_FORM)
    if free_bytes is not None and not exists(cursor, COPIED):
        cursor.execute(_ROWS)
        needed = round(cursor.fetchall()[0][0] * USUAL_ROW_BYTES)
        yield from _too_little(f"measurements as a table need {size(needed)}", needed, free_bytes)


def _foreign(cursor: Cursor, name: str) -> Iterator[Misfit]:
    """Yield what others have made of one kind."""
    return _told(cursor, _FOREIGN[name].replace("(TREE)", _TREE))


def _schema_publications(cursor: Cursor) -> Iterator[Misfit]:
    """Yield the publications of all that is in the schemas between which tables are moved."""
    if exists(cursor, "pg_publication_namespace"):
        yield from _told(cursor, dependents.SCHEMA_PUBLICATIONS)


def _leftovers(cursor: Cursor, tables: list[str]) -> Iterator[Misfit]:
    """Yield those of the tables that are there."""
    return _told(cursor, _LEFTOVERS, tables)


def _told(cursor: Cursor, query: str, *arguments: object) -> Iterator[Misfit]:
    """Yield what a query finds: what is to be told, and the owner's remedy."""
    cursor.execute(query, arguments or None)
    yield from (Misfit(text, f"as owner: {remedy}") for text, remedy in cursor.fetchall())


def _space(cursor: Cursor, free_bytes: int | None) -> Iterator[Misfit]:
    if exists(cursor, COPIED) or free_bytes is None:
        return
    cursor.execute(_SIZE)
    ((needed,),) = cursor.fetchall()
    yield from _too_little(
        f"a second copy of measurements needs {size(needed)}", needed, free_bytes
    )


def _too_little(what: str, needed: int, free_bytes: int) -> Iterator[Misfit]:
    if needed > free_bytes:
        text = f"{what}, and {size(free_bytes)} are left"
        yield Misfit(text, "make room on the database's disk")


def exists(cursor: Cursor, table: str) -> bool:
    """Tell whether there is a table."""
    cursor.execute(_EXISTS, (table,))
    return bool(cursor.fetchall()[0][0])


def _is_true(cursor: Cursor, query: str) -> bool:
    cursor.execute(query)
    return bool(cursor.fetchall()[0][0])
