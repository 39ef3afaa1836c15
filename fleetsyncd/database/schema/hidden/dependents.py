"""Whatever others have made that goes with the table measurements itself, not with its name.

After a conversion it would read the table as it was before, and after the way back it would keep
the view from being dropped.
"""

DEPENDENTS = """
WITH tree(oid) AS (TREE), kept(class, oid) AS (
    SELECT 'pg_class'::regclass, t.oid FROM tree t
    UNION ALL
    SELECT 'pg_type'::regclass, y.oid FROM pg_type y LEFT JOIN pg_type e ON e.oid = y.typelem
    WHERE coalesce(nullif(y.typrelid, 0), e.typrelid) IN (SELECT t.oid FROM tree t)
)
SELECT DISTINCT
    CASE WHEN r.oid IS NOT NULL THEN format('%s reads measurements', r.ev_class::regclass)
        ELSE format('the %s depends on measurements',
                    pg_describe_object(d.classid, d.objid, d.objsubid)) END,
    CASE WHEN r.oid IS NOT NULL
        THEN format('drop it, and make it again afterwards: SELECT pg_get_viewdef(%L)',
                    r.ev_class::regclass::text)
    WHEN f.oid IS NOT NULL
        THEN format('DROP ROUTINE %s, and make it again afterwards: SELECT'
                    ' pg_get_functiondef(%L::regprocedure)',
                    f.oid::regprocedure, f.oid::regprocedure::text)
    WHEN p.oid IS NOT NULL
        THEN format('DROP POLICY %I ON %s, and make it again afterwards', p.polname,
                    p.polrelid::regclass)
    WHEN c.relkind IN ('r', 'p') THEN format('ALTER TABLE %s DROP COLUMN %I', c.oid::regclass,
        (SELECT a.attname FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum = d.objsubid))
    ELSE 'drop it, and make it again afterwards' END
FROM pg_depend d JOIN kept k ON k.class = d.refclassid AND k.oid = d.refobjid
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND d.objsubid > 0
WHERE d.deptype = 'n' AND (f.oid IS NOT NULL OR d.classid = 'pg_type'::regclass
    OR c.relkind IN ('r', 'p', 'f', 'c')
    OR coalesce(r.ev_class, p.polrelid) NOT IN (SELECT t.oid FROM tree t))
ORDER BY 1"""
PUBLICATIONS = """
SELECT format('the publication %I has measurements', pubname),
    format('ALTER PUBLICATION %I DROP TABLE %s', pubname, prrelid::regclass)
FROM pg_publication_rel JOIN pg_publication p ON p.oid = prpubid
WHERE prrelid IN (TREE) OR prrelid = to_regclass('fleetsync.samples')
UNION ALL
SELECT format('the publication %I is one of all tables, of the hidden one and of copies, too',
              pubname),
    format('DROP PUBLICATION %I, and make it again afterwards for the tables that are wanted',
           pubname)
FROM pg_publication WHERE puballtables
ORDER BY 1"""
# The hidden table and the table of before are in fleetsync, the months of both in public.
SCHEMA_PUBLICATIONS = """
SELECT format('the publication %I is one of all tables of the schema %s, where measurements are'
              ' moved to or from', pubname, pnnspid::regnamespace),
    format('ALTER PUBLICATION %I DROP TABLES IN SCHEMA %s, and ADD TABLE each that is wanted',
           pubname, pnnspid::regnamespace)
FROM pg_publication_namespace JOIN pg_publication p ON p.oid = pnpubid
WHERE pnnspid IN ('public'::regnamespace, 'fleetsync'::regnamespace) ORDER BY 1"""
"""For servers that have pg_publication_namespace, from version 15 on."""
