"""What others have made of measurements that a distributed table cannot have."""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import columns, policies, views

_TREE = """(SELECT 'public.measurements'::regclass
    UNION SELECT relid FROM pg_partition_tree('public.measurements'))"""
# Those of somebody's that let in; others only keep out.
_POLICIES = """
SELECT quote_ident(polname), polqual::text LIKE '%%{SUBLINK%%' OR polwithcheck::text LIKE
    '%%{SUBLINK%%', polroles = '{0}'
FROM pg_policy WHERE polrelid = 'public.measurements'::regclass AND polname <> ALL (%s)
  AND (polpermissive OR polqual::text LIKE '%%{SUBLINK%%'
       OR polwithcheck::text LIKE '%%{SUBLINK%%') ORDER BY 1
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
SELECT format('the unique key %I of measurements does not contain vehicle_id', c.relname),
    format('ALTER TABLE public.measurements DROP CONSTRAINT IF EXISTS %1$I;'
           ' DROP INDEX IF EXISTS %2$s', c.relname, c.oid::regclass)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'public.measurements'::regclass AND (i.indisunique OR i.indisexclusion)
  AND NOT EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
                    AND a.attname = 'vehicle_id') ORDER BY 1""",
    "rules": """
SELECT format('measurements has the rule %I', rulename),
    format('DROP RULE %I ON public.measurements', rulename)
FROM pg_rewrite
WHERE ev_class = 'public.measurements'::regclass AND rulename <> '_RETURN' ORDER BY 1""",
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
    yield from _found(cursor, _STATISTICS)


def misfits_back(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what stands in the way back, too: what Citus makes anew, and the owner could not."""
    yield from _found(cursor, _STATISTICS)
    yield from views.misfits_back(cursor)


def policies_for_everybody(cursor: Cursor) -> list[str]:
    """Return the names of somebody's policies that let PUBLIC in, as SQL has them."""
    cursor.execute(_POLICIES, (list(policies.OWN),))
    return [name for name, _, is_for_everybody in cursor.fetchall() if is_for_everybody]


def _policies(cursor: Cursor) -> Iterator[Misfit]:
    """Yield policies that no worker can evaluate, or that would be asked beside those by role."""
    cursor.execute(_POLICIES, (list(policies.OWN),))
    stored = cursor.fetchall()
    # Whoever drops one must not shut the daemon out until the table is distributed.
    first = policies.missing_usual(cursor) if stored else ""
    for name, has_query, _ in stored:
        text = f"the policy {name} of measurements "
        text += (
            "has a sub-select, which no worker can evaluate"
            if has_query
            else "is somebody's: beside those by role it would be asked for each row"
        )
        yield Misfit(text, f"as owner: {first}DROP POLICY {name} ON public.measurements")
        first = ""


def _found(cursor: Cursor, query: str) -> Iterator[Misfit]:
    cursor.execute(query.replace("(TREE)", _TREE))
    for text, remedy in cursor.fetchall():
        yield Misfit(text, remedy if remedy.startswith("as a ") else f"as owner: {remedy}")
