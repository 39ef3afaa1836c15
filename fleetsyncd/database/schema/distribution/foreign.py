"""What others have made of measurements that a distributed table cannot have."""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit

_TREE = """(SELECT 'public.measurements'::regclass
    UNION SELECT relid FROM pg_partition_tree('public.measurements'))"""
# Each returns what is to be told, and what mends it; TREE stands for the table and its parts.
_QUERIES = {
    "policies": """
SELECT format('the policy %I of measurements has a sub-select, which no worker can evaluate',
              polname),
    format('DROP POLICY %I ON public.measurements', polname)
FROM pg_policy WHERE polrelid = 'public.measurements'::regclass AND polname <> ALL (
    '{measurements_superuser,measurements_owner,measurements_writer}')
  AND (polqual::text LIKE '%{SUBLINK%' OR polwithcheck::text LIKE '%{SUBLINK%') ORDER BY 1""",
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
    for query in _QUERIES.values():
        cursor.execute(query.replace("(TREE)", _TREE))
        yield from (Misfit(text, f"as owner: {remedy}") for text, remedy in cursor.fetchall())
