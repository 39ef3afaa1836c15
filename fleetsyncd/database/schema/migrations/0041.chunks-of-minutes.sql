-- Minutes of a hypertable look at the chunks of their time only.
-- depends: 0040.months-closed

-- The times of the chunks, if the hidden table is a hypertable; else nothing.
CREATE OR REPLACE FUNCTION fleetsync.hidden_ranges()
RETURNS TABLE (begins timestamptz, ends timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF fleetsync.timescale_schema() IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE
        'SELECT _timescaledb_functions.to_timestamp(s.range_start),'
        ' _timescaledb_functions.to_timestamp(s.range_end)'
        ' FROM _timescaledb_catalog.hypertable h'
        ' JOIN _timescaledb_catalog.dimension d ON d.hypertable_id = h.id'
        ' JOIN _timescaledb_catalog.dimension_slice s ON s.dimension_id = d.id'
        ' WHERE h.schema_name = ''fleetsync'' AND h.table_name = ''samples''';
END
$function$;

REVOKE ALL ON FUNCTION fleetsync.hidden_ranges() FROM PUBLIC;

-- Who may ask for the chunks may ask for their times.
DO $$
DECLARE
    asking text;
BEGIN
    FOR asking IN
        SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee))
        FROM pg_proc p, aclexplode(p.proacl) a
        WHERE p.oid = to_regprocedure('fleetsync.hidden_parts()')
          AND a.privilege_type = 'EXECUTE' AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION fleetsync.hidden_ranges() TO ' || asking;
    END LOOP;
END
$$;
