"""What others have made of measurements that a distributed table cannot have."""

from collections.abc import Iterator
from typing import cast

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import columns, policies, views

_TREE = """(SELECT 'public.measurements'::regclass
    UNION SELECT relid FROM pg_partition_tree('public.measurements'))"""
# Those of somebody's that let in; others only keep out. Of a part, none is asked through the table.
_POLICIES = """
SELECT quote_ident(polname), polrelid::regclass::text,
    polqual::text LIKE '%%{SUBLINK%%' OR polwithcheck::text LIKE '%%{SUBLINK%%',
    is_whole AND polroles = '{0}'
FROM pg_policy, LATERAL (SELECT polrelid = 'public.measurements'::regclass AS is_whole) t
WHERE polrelid IN (TREE) AND NOT (is_whole AND polname = ANY (%s))
  AND (polqual::text LIKE '%%{SUBLINK%%' OR polwithcheck::text LIKE '%%{SUBLINK%%'
       OR is_whole AND polpermissive) ORDER BY NOT is_whole, 2, 1
"""
_PARTS = """
SELECT format('%s belongs to %s, and measurements to %s', c.oid::regclass, c.relowner::regrole,
              t.relowner::regrole),
    format('as a superuser: ALTER TABLE %s OWNER TO %s', c.oid::regclass, t.relowner::regrole)
FROM pg_class c JOIN pg_class t ON t.oid = 'public.measurements'::regclass
WHERE c.oid IN (TREE) AND c.relowner <> t.relowner
UNION ALL
SELECT format('%s is in a schema in which %s may make nothing', c.oid::regclass,
              t.relowner::regrole),
    format('as a superuser: GRANT CREATE ON SCHEMA %s TO %s', c.relnamespace::regnamespace,
           t.relowner::regrole)
FROM pg_class c JOIN pg_class t ON t.oid = 'public.measurements'::regclass
WHERE c.oid IN (TREE) AND NOT has_schema_privilege(t.relowner, c.relnamespace, 'CREATE') ORDER BY 1
"""
# Citus makes them anew as their owner, which the tables' owner is not.
_STATISTICS = """
SELECT format('the extended statistics %I of measurements belong to %s', s.stxname,
              s.stxowner::regrole),
    format('as a superuser: ALTER STATISTICS %I.%I OWNER TO %s', n.nspname, s.stxname,
           t.relowner::regrole)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
JOIN pg_class t ON t.oid = 'public.measurements'::regclass
WHERE s.stxrelid IN (TREE) AND s.stxowner <> t.relowner ORDER BY 1
"""
_IS_FORCED_AS_A_WHOLE = """
SELECT relkind = 'r' AND relrowsecurity AND relforcerowsecurity
FROM pg_class WHERE oid = 'public.measurements'::regclass
"""
# Each returns what is to be told, and what mends it; TREE stands for the table and its parts.
_QUERIES = {
    "triggers": """
SELECT format('measurements has the trigger %I', tgname),
    format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass)
FROM pg_trigger WHERE tgrelid IN (TREE) AND NOT tgisinternal AND tgparentid = 0 ORDER BY 1""",
    "foreign keys": """
SELECT format('the foreign key %I ties measurements to %s', conname,
              CASE WHEN conrelid IN (TREE) THEN confrelid ELSE conrelid END::regclass),
    format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
  AND (conrelid IN (TREE) OR confrelid IN (TREE)) ORDER BY 1""",
    "unique keys": """
SELECT format('the unique key %I of %s does not contain vehicle_id', c.relname,
              i.indrelid::regclass),
    format('ALTER TABLE %1$s DROP CONSTRAINT IF EXISTS %2$I; DROP INDEX IF EXISTS %3$s',
           i.indrelid::regclass, c.relname, c.oid::regclass)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid IN (TREE) AND NOT c.relispartition AND (i.indisunique OR i.indisexclusion)
  AND NOT EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
                    AND a.attname = 'vehicle_id') ORDER BY 1""",
    "rules": """
SELECT format('%s has the rule %I', ev_class::regclass, rulename),
    format('DROP RULE %I ON %s', rulename, ev_class::regclass)
FROM pg_rewrite WHERE ev_class IN (TREE) AND rulename <> '_RETURN' ORDER BY 1""",
    "forced": """
SELECT format('%s has row level security of its own, which is forced: it would take no row',
              c.oid::regclass),
    format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', c.oid::regclass)
FROM pg_class c WHERE c.oid IN (TREE) AND c.relispartition AND c.relrowsecurity
  AND c.relforcerowsecurity ORDER BY 1""",
    "partitions": """
SELECT format('%s is %s', t.relid::regclass,
        CASE WHEN c.relkind = 'f' THEN 'on another server' ELSE 'a partition with partitions' END),
    format('ALTER TABLE %s DETACH PARTITION %s', t.parentrelid, t.relid::regclass)
FROM pg_partition_tree('public.measurements') t JOIN pg_class c ON c.oid = t.relid
WHERE c.relkind = 'f' OR c.relkind = 'p' AND t.level > 0 ORDER BY 1""",
    "children": """
SELECT format('%s inherits from measurements', inhrelid::regclass),
    format('ALTER TABLE %s NO INHERIT public.measurements', inhrelid::regclass)
FROM pg_inherits JOIN pg_class p ON p.oid = inhparent
WHERE p.oid = 'public.measurements'::regclass AND p.relkind = 'r' ORDER BY 1""",
    "everybody": """
SELECT 'PUBLIC may read measurements, so that no policy can tell roles apart',
    'REVOKE ALL ON public.measurements FROM PUBLIC, and GRANT SELECT to the roles that read'
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.oid = 'public.measurements'::regclass AND a.grantee = 0 LIMIT 1""",
    "vehicle_access": """
SELECT format('vehicle_access belongs to %s: its changes cannot be copied to the workers',
              relowner::regrole),
    format('as a superuser: ALTER TABLE public.vehicle_access OWNER TO %I', current_user)
FROM pg_class WHERE oid = 'public.vehicle_access'::regclass
  AND NOT pg_has_role(relowner, 'USAGE')""",
    "doors": """
SELECT format('the function %s belongs to %s, and measurements to %s', f.oid::regprocedure,
              f.proowner::regrole, t.relowner::regrole),
    format('as a superuser: ALTER FUNCTION %s OWNER TO %s', f.oid::regprocedure,
           t.relowner::regrole)
FROM pg_proc f, pg_class t
WHERE f.pronamespace = 'fleetsync'::regnamespace AND f.prosecdef
  AND t.oid = 'public.measurements'::regclass
  AND f.proowner <> t.relowner""",
}


def misfits(cursor: Cursor) -> Iterator[Misfit]:
    """Yield all of it, each with what mends it."""
    yield from _policies(cursor)
    for query in _QUERIES.values():
        yield from _found(cursor, query)
    yield from columns.misfits(cursor)
    yield from views.misfits_there(cursor)
    yield from _found(cursor, _PARTS)
    yield from _found(cursor, _STATISTICS)


def misfits_back(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what stands in the way back, too: what Citus makes anew, and the owner could not."""
    yield from _found(cursor, _PARTS)
    yield from _found(cursor, _STATISTICS)
    yield from views.misfits_back(cursor)


def is_forced_as_a_whole(cursor: Cursor) -> bool:
    """Tell whether the table has no partitions, so that forced policies are those of its shards."""
    cursor.execute(_IS_FORCED_AS_A_WHOLE)
    return bool(cursor.fetchall() == [(True,)])


def policies_for_everybody(cursor: Cursor) -> list[str]:
    """Return the names of somebody's policies that let PUBLIC in, as SQL has them."""
    return [name for name, _, _, is_for_everybody in _stored(cursor) if is_for_everybody]


def _policies(cursor: Cursor) -> Iterator[Misfit]:
    """Yield policies that no worker can evaluate, or that would be asked beside those by role."""
    stored = _stored(cursor)
    # Whoever drops one must not shut the daemon out until the table is distributed.
    first = policies.missing_usual(cursor) if stored else ""
    for name, table, has_query, _ in stored:
        text = f"the policy {name} of {table} "
        text += (
            "has a sub-select, which no worker can evaluate"
            if has_query
            else "is somebody's: beside those by role it would be asked for each row"
        )
        yield Misfit(text, f"as owner: {first}DROP POLICY {name} ON {table}")
        first = ""


def _stored(cursor: Cursor) -> list[tuple[str, str, bool, bool]]:
    cursor.execute(_POLICIES.replace("(TREE)", _TREE), (list(policies.OWN),))
    return cast("list[tuple[str, str, bool, bool]]", cursor.fetchall())


def _found(cursor: Cursor, query: str) -> Iterator[Misfit]:
    cursor.execute(query.replace("(TREE)", _TREE))
    for text, remedy in cursor.fetchall():
        yield Misfit(text, remedy if remedy.startswith("as a ") else f"as owner: {remedy}")
