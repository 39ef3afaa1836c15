"""Views over measurements: whether they can be made on workers, and anew on the way back.

Those that read tables of the coordinator, too, stay there. On the way back Citus makes all anew.
"""

from collections.abc import Iterator

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.adoption import Misfit
from fleetsyncd.database.schema.distribution import nodes, policies

RELATIONS = """
WITH RECURSIVE tree (oid) AS (
    SELECT 'public.measurements'::regclass::oid
    UNION SELECT relid FROM pg_partition_tree('public.measurements')
), reads AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS oid
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid <> r.ev_class
), known (oid) AS (
    SELECT oid FROM tree UNION SELECT r.view FROM reads r JOIN known USING (oid)
), of_coordinator (oid) AS (
    SELECT r.view FROM reads r JOIN pg_class c USING (oid)
    WHERE c.relkind <> 'v' AND c.relnamespace <> 'pg_catalog'::regnamespace
      AND c.oid NOT IN (SELECT oid FROM tree)
    UNION SELECT r.view FROM reads r JOIN of_coordinator USING (oid)
), views AS (
    SELECT c.oid, c.relkind, c.relowner, c.relnamespace, c.relacl, c.reloptions,
        c.relispopulated, c.oid::regclass AS name,
        CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'MATERIALIZED VIEW' END AS kind,
        c.relkind = 'v' AND c.oid NOT IN (SELECT oid FROM of_coordinator) AS is_spread
    FROM known JOIN pg_class c USING (oid) WHERE c.relkind IN ('v', 'm')
)
"""
"""`views` are those that read measurements, also through others; `tree` the table and its parts."""
_FOREIGN = f"""{RELATIONS}
SELECT format('%%s, which reads measurements, belongs to %%s, and Citus cannot make it anew',
              v.name, v.relowner::regrole),
    format('keep what SELECT pg_get_viewdef(%%L) returns, DROP %%s %%s, and make it again'
           ' afterwards', v.name::text, v.kind, v.name)
FROM views v JOIN pg_class t ON t.oid = 'public.measurements'::regclass
WHERE (v.is_spread OR %(back)s) AND NOT pg_has_role(t.relowner, v.relowner, 'MEMBER')
UNION ALL
SELECT format('%%s, which reads measurements, is in a schema in which %%s may make nothing', v.name,
              maker::regrole),
    format('as a superuser: GRANT CREATE ON SCHEMA %%s TO %%s', v.relnamespace::regnamespace,
           maker::regrole)
FROM views v JOIN pg_class t ON t.oid = 'public.measurements'::regclass,
    LATERAL (SELECT t.relowner UNION SELECT v.relowner) m(maker)
WHERE (v.is_spread OR %(back)s) AND pg_has_role(t.relowner, v.relowner, 'MEMBER')
  AND NOT has_schema_privilege(maker, v.relnamespace, 'CREATE')
ORDER BY 1
"""  # noqa: S608  made of this file's own text
# Roles that read measurements are made known to the workers with their policy.
_UNKNOWN_ROLES = f"""{RELATIONS}
SELECT format('%%s, which reads measurements, is granted to %%s, which the workers do not know yet'
              ' and only a superuser could tell them: grant it again afterwards', v.name,
              s.refobjid::regrole),
    format('as owner: REVOKE ALL ON %%s FROM %%s', v.name, s.refobjid::regrole)
FROM views v JOIN pg_shdepend s ON s.objid = v.oid AND s.classid = 'pg_class'::regclass
JOIN pg_roles r ON r.oid = s.refobjid
WHERE v.is_spread AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.refclassid = 'pg_authid'::regclass AND s.deptype = 'a' AND r.rolname <> ALL (%(known)s)
  AND r.oid <> ALL (%(spread)s::oid[])
GROUP BY v.name, s.refobjid ORDER BY 1
"""  # noqa: S608  made of this file's own text
# Citus gives objects to workers after all that they need: here each needs the other.
_CIRCULAR = f"""{RELATIONS}
SELECT DISTINCT format('%s, which reads measurements, calls %s, which takes or returns its rows:'
                       ' Citus can give neither to the workers first', v.name,
                       f.objid::regprocedure),
    format('keep what SELECT pg_get_viewdef(%L) returns, DROP %s %s, and make it again afterwards',
           v.name::text, v.kind, v.name)
FROM views v JOIN pg_rewrite r ON r.ev_class = v.oid
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_proc'::regclass
JOIN pg_depend f ON f.classid = 'pg_proc'::regclass AND f.objid = d.refobjid
    AND f.refclassid = 'pg_type'::regclass
JOIN pg_type t ON t.oid = f.refobjid
WHERE v.is_spread AND t.typrelid IN (SELECT oid FROM tree UNION SELECT oid FROM views) ORDER BY 1
"""  # noqa: S608  made of this file's own text
# They would be dropped with the table without a word, and a column with its values.
_DEPENDENTS = f"""{RELATIONS}
, made (oid) AS (SELECT oid FROM tree UNION SELECT oid FROM views)
SELECT DISTINCT format('%s needs %s, and would be dropped with it',
                       pg_describe_object(d.classid, d.objid, d.objsubid),
                       m.oid::regclass),
    'keep its definition, and the values of a column; drop it, and make it again afterwards'
FROM made m JOIN pg_class c USING (oid) LEFT JOIN pg_type t ON t.oid = c.reltype
JOIN pg_depend d ON d.deptype = 'n' AND (
    d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
    OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray))
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
WHERE CASE d.classid
    WHEN 'pg_proc'::regclass THEN true
    WHEN 'pg_type'::regclass THEN true
    WHEN 'pg_class'::regclass THEN d.objid NOT IN (SELECT oid FROM made)
    WHEN 'pg_rewrite'::regclass THEN r.ev_class NOT IN (SELECT oid FROM made)
    WHEN 'pg_policy'::regclass THEN p.polrelid NOT IN (SELECT oid FROM made)
    ELSE false END
ORDER BY 1
"""  # noqa: S608  made of this file's own text
_SPREAD_ROLES = "SELECT objid FROM pg_dist_object WHERE classid = 'pg_authid'::regclass"


def misfits_there(cursor: Cursor) -> Iterator[Misfit]:
    """Yield views that the tables' owner cannot give to the workers."""
    yield from _told(cursor, _FOREIGN, {"back": False})
    yield from _told(cursor, _CIRCULAR)
    spread: list[int] = []
    if nodes.has_citus(cursor):
        cursor.execute(_SPREAD_ROLES)
        spread = [oid for (oid,) in cursor.fetchall()]
    known = policies.readers(cursor)
    names = [*known.everything, *known.granted]
    yield from _told(cursor, _UNKNOWN_ROLES, {"known": names, "spread": spread})


def misfits_back(cursor: Cursor) -> Iterator[Misfit]:
    """Yield what would be dropped for good, and views that the owner cannot make anew."""
    yield from misfits_online(cursor)
    yield from _told(cursor, _DEPENDENTS)


def misfits_online(cursor: Cursor) -> Iterator[Misfit]:
    """Yield views that the tables' owner cannot make anew."""
    yield from _told(cursor, _FOREIGN, {"back": True})


def _told(
    cursor: Cursor, query: str, arguments: dict[str, object] | None = None
) -> Iterator[Misfit]:
    cursor.execute(query, arguments)
    yield from (Misfit(text, remedy) for text, remedy in cursor.fetchall())
