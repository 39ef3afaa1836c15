-- New months are closed to everybody but their owner, whatever default privileges give: they have no
-- policies of their own.
-- depends: 0039.daemons-and-targets

-- Gives a new part of a table the rights that it is to have. Default privileges may have given some to
-- others, who would read it by its name around the table's policies. Who may tidy the table may tidy
-- each part of it: the right is not inherited. Servers before version 17 do not know it. Runs with
-- the rights of the functions that make months.
CREATE OR REPLACE FUNCTION fleetsync.pass_on_maintenance(parent regclass, partition_name text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part regclass := format('public.%I', partition_name)::regclass;
    granted text;
BEGIN
    FOR granted IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                        ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = part AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', part, granted);
    END LOOP;
    FOR granted IN
        SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                        ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = parent AND a.privilege_type = 'MAINTAIN'
    LOOP
        EXECUTE format('GRANT MAINTAIN ON %s TO %s', part, granted);
    END LOOP;
END
$$;
