"""The hidden table `fleetsync.samples` and the view `public.measurements` over it.

The view is a plain one: with security_barrier the newest value of a channel takes seconds, and
whoever may run any SQL may also set app.user_role. Its WHERE has the policies of the table that it
replaces; for writing, the table's trigger asks for app.user_role = superuser.
"""

from fleetsyncd.database.pool import Cursor

VIEW = "public.measurements"
TABLE = "fleetsync.samples"
BEFORE = "fleetsync.measurements_before"
"""The table as it was before the conversion, kept until the operator drops it."""
TABLE_BEFORE = "fleetsync.samples_before"
"""The hidden table as it was before the way back."""
RETURNING = "fleetsync.measurements_back"
"""What becomes `public.measurements` again."""
COLUMNS = 'vehicle_id, channel_id, "time", value'
KEY = 'vehicle_id, channel_id, "time"'

_IS_HIDDEN = f"""
SELECT EXISTS (
    SELECT FROM pg_rewrite r JOIN pg_depend d
        ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass
    WHERE r.ev_class = to_regclass('{VIEW}') AND d.refobjid = to_regclass('{TABLE}'))
"""  # noqa: S608  made of this file's own text
_OPEN_TO = f"""
SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
FROM pg_class c, LATERAL (SELECT c.relacl UNION ALL SELECT attacl FROM pg_attribute
                          WHERE attrelid = c.oid) o(acl), aclexplode(o.acl) a
WHERE c.oid = to_regclass('{TABLE}') AND a.grantee <> c.relowner ORDER BY 1
"""  # noqa: S608  made of this file's own text
_IS_GUARDED = f"""
SELECT EXISTS (
    SELECT FROM pg_trigger WHERE tgrelid = to_regclass('{TABLE}') AND tgenabled <> 'D'
      AND tgname = 'only_superusers_write')
"""  # noqa: S608  made of this file's own text


def is_hidden(cursor: Cursor) -> bool:
    """Tell whether measurements are a view over the hidden table; needs no right on either."""
    cursor.execute(_IS_HIDDEN)
    return bool(cursor.fetchall()[0][0])


def open_to(cursor: Cursor) -> list[str]:
    """Return the roles with rights on the hidden table, beside its owner: there should be none."""
    cursor.execute(_OPEN_TO)
    return [str(role) for (role,) in cursor.fetchall()]


def is_guarded(cursor: Cursor) -> bool:
    """Tell whether the hidden table asks whoever writes for app.user_role = superuser."""
    cursor.execute(_IS_GUARDED)
    return bool(cursor.fetchall()[0][0])


def close(table: str) -> str:
    """Return SQL that takes a new table's rights from all but its owner.

    ALTER DEFAULT PRIVILEGES may have given them.
    """
    return f"""
DO $$
DECLARE
    granted text;
BEGIN
    FOR granted IN SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = '{table}'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON {table} FROM %s', granted);
    END LOOP;
END
$$;
"""  # noqa: S608  made of this file's own text


CREATE_TABLE = f"""
CREATE TABLE {TABLE} (LIKE {VIEW} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    CONSTRAINT samples_pkey PRIMARY KEY ({KEY}));
CREATE TRIGGER only_superusers_write BEFORE INSERT OR UPDATE OR DELETE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION fleetsync.only_superusers_write();
{close(TABLE)}
"""


def create_view(view: str, policies_of: str) -> str:
    """Return SQL that makes a view of the hidden table which shows what a table's policies do.

    They are in its WHERE: one of them must hold.
    """
    schema, _, table = policies_of.partition(".")
    return f"""
DO $$
DECLARE
    conditions text;
BEGIN
    SELECT string_agg(format('(%s)', p.qual), ' OR ' ORDER BY p.cmd, p.policyname) INTO conditions
    FROM pg_policies p
    WHERE p.schemaname = '{schema}' AND p.tablename = '{table}'
      AND p.roles = '{{public}}' AND p.cmd IN ('ALL', 'SELECT');
    -- Where a condition has a query in it, it names the table of its columns.
    EXECUTE 'CREATE VIEW {view} AS SELECT {COLUMNS} FROM {TABLE} AS {table} WHERE ' || conditions;
END
$$;
"""  # noqa: S608  made of this file's own text


CREATE_VIEW = f"""
{create_view(VIEW, BEFORE)}
COMMENT ON VIEW {VIEW} IS 'Measurements, which are in {TABLE}, as the policies let them be read';
"""


def move_rights(source: str, target: str) -> str:
    """Return SQL that gives everybody the rights on `target` that they have on `source`."""
    return f"""
{close(target)}
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT a.privilege_type || o.columns AS rights, a.is_grantable,
            CASE a.grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM (SELECT relowner, relacl, '' FROM pg_class WHERE oid = '{source}'::regclass
              UNION ALL SELECT c.relowner, t.attacl, format(' (%I)', t.attname)
              FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid
              WHERE c.oid = '{source}'::regclass) o(owner, acl, columns), aclexplode(o.acl) a
        WHERE a.grantee <> o.owner
    LOOP
        EXECUTE format('GRANT %s ON {target} TO %s%s', given.rights, given.grantee,
                       CASE WHEN given.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;
"""  # noqa: S608  made of this file's own text


def store_in(table: str) -> str:
    """Return SQL that makes the door of all rows write to a table."""
    return f"""
CREATE OR REPLACE FUNCTION fleetsync.storage_table(vehicle uuid) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT '{table}' $$;
"""
