"""What Citus loses of the table and the views over it: noted before, and made again.

On the way back, and with `--online`, it drops them and makes them anew: without comments, and views
without their rights, indexes, triggers, and without the rows of those that have any.
"""

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.schema.distribution.views import RELATIONS

# The order counts: of two views that have rows the newer one may read the other, and an owner that
# has taken rights from itself needs them until the end.
_AGAIN = f"""{RELATIONS}
, made AS (
    SELECT oid, relowner, relnamespace, relacl, true AS is_view FROM views
    UNION ALL
    SELECT oid, relowner, relnamespace, relacl, false FROM tree JOIN pg_class USING (oid)
), by_default AS (
    SELECT DISTINCT m.oid, a.grantee
    FROM made m JOIN pg_default_acl d ON d.defaclrole = m.relowner AND d.defaclobjtype = 'r'
        AND d.defaclnamespace IN (0, m.relnamespace), aclexplode(d.defaclacl) a
    WHERE a.grantee <> m.relowner
), rights AS (
    SELECT m.oid, m.is_view, '' AS columns, a.* FROM made m, aclexplode(m.relacl) a
    UNION ALL
    SELECT m.oid, m.is_view, format(' (%I)', t.attname), a.*
    FROM made m JOIN pg_attribute t ON t.attrelid = m.oid, aclexplode(t.attacl) a
), statements (number, oid, text) AS (
    SELECT 1, d.objoid, format('COMMENT ON %s %s IS %L', coalesce(v.kind, 'TABLE'),
                               d.objoid::regclass, d.description)
    FROM pg_description d LEFT JOIN views v ON v.oid = d.objoid
    WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0
      AND (v.oid IS NOT NULL OR d.objoid IN (SELECT oid FROM tree))
    UNION ALL
    SELECT 1, d.objoid, format('COMMENT ON COLUMN %s.%I IS %L', d.objoid::regclass, a.attname,
                               d.description)
    FROM pg_description d JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
    WHERE d.classoid = 'pg_class'::regclass AND d.objsubid > 0
      AND d.objoid IN (SELECT oid FROM tree UNION SELECT oid FROM views)
    UNION ALL
    SELECT 1, c.conrelid, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname,
                                 c.conrelid::regclass, d.description)
    FROM pg_description d JOIN pg_constraint c ON c.oid = d.objoid
    WHERE d.classoid = 'pg_constraint'::regclass AND c.conrelid IN (SELECT oid FROM tree)
    UNION ALL
    SELECT 2, v.oid, format('ALTER MATERIALIZED VIEW %s SET (%s)', v.name, (
        SELECT string_agg(format('%s = %L', option_name, option_value), ', ')
        FROM pg_options_to_table(v.reloptions)))
    FROM views v WHERE v.relkind = 'm' AND v.reloptions IS NOT NULL
    UNION ALL
    SELECT 2, v.oid, format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET STATISTICS %s', v.name,
                     a.attname, a.attstattarget)
    FROM views v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
    WHERE v.relkind = 'm' AND a.attstattarget >= 0
    UNION ALL
    SELECT 3, v.oid, pg_get_indexdef(i.indexrelid)
    FROM views v JOIN pg_index i ON i.indrelid = v.oid
    UNION ALL
    SELECT 3, v.oid, pg_get_statisticsobjdef(s.oid)
    FROM views v JOIN pg_statistic_ext s ON s.stxrelid = v.oid
    UNION ALL
    SELECT 3, v.oid, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', v.name, a.attname,
                     pg_get_expr(d.adbin, d.adrelid))
    FROM views v JOIN pg_attrdef d ON d.adrelid = v.oid
    JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum = d.adnum
    UNION ALL
    SELECT 3, v.oid, pg_get_triggerdef(t.oid)
    FROM views v JOIN pg_trigger t ON t.tgrelid = v.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 3, v.oid, rtrim(pg_get_ruledef(r.oid), ';')
    FROM views v JOIN pg_rewrite r ON r.ev_class = v.oid AND r.rulename <> '_RETURN'
    UNION ALL
    SELECT 4, v.oid, format('REFRESH MATERIALIZED VIEW %s%s', v.name,
                            CASE WHEN NOT v.relispopulated THEN ' WITH NO DATA' END)
    FROM views v WHERE v.relkind = 'm'
    UNION ALL
    SELECT 5, v.oid, format('REVOKE ALL ON %s FROM %s', v.name, v.relowner::regrole)
    FROM views v WHERE v.relacl IS NOT NULL
    UNION ALL
    SELECT 5, d.oid, format('REVOKE ALL ON %s FROM %s', d.oid::regclass,
                     CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE d.grantee::regrole::text END)
    FROM by_default d
    UNION ALL
    SELECT 6, r.oid, format('GRANT %s%s ON %s TO %s%s', r.privilege_type, r.columns,
                     r.oid::regclass,
                     CASE r.grantee WHEN 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END,
                     CASE WHEN r.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM rights r LEFT JOIN by_default d ON d.oid = r.oid AND d.grantee = r.grantee
    WHERE r.is_view OR d.oid IS NOT NULL
)
SELECT text FROM statements ORDER BY number, oid, text
"""  # noqa: S608  made of this package's own text


# Each gets a text of its own, since workers are sent the whole text of what is meant for them, too.
# What the workers have of views nobody reads, and Citus does not allow all of it there.
_BLOCK = """
SELECT format('; DO $again$ BEGIN PERFORM'
              ' set_config(''citus.enable_ddl_propagation'', ''off'', true); %%s END $again$',
              string_agg(format('EXECUTE %%L;', text), ' ' ORDER BY number))
FROM unnest(%s::text[]) WITH ORDINALITY u (text, number) HAVING count(*) > 0
"""


def made_again(cursor: Cursor) -> str:
    """Return SQL that makes it again, to be added to what drops it, in the same transaction."""
    cursor.execute(_AGAIN)
    cursor.execute(_BLOCK, ([text for (text,) in cursor.fetchall()],))
    return "".join(text for (text,) in cursor.fetchall())
