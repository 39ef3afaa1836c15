-- Minutes look up a vehicle's channels by the chunks of a hypertable, as they do by months.
-- depends: 0039.daemons-and-targets

-- Between which times the rows of each part of measurements are: partitions, chunks of a hypertable, be
-- it hidden or an adopted one, or a table that is whole.
CREATE OR REPLACE FUNCTION fleetsync.part_ranges()
RETURNS TABLE (begins timestamptz, ends timestamptz)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF to_regclass('timescaledb_information.chunks') IS NOT NULL THEN
        RETURN QUERY EXECUTE
            'SELECT DISTINCT k.range_start, k.range_end'
            ' FROM pg_class c JOIN timescaledb_information.chunks k'
            ' ON k.hypertable_schema = CASE c.relkind WHEN ''v'' THEN ''fleetsync'' ELSE ''public'' END'
            ' AND k.hypertable_name = CASE c.relkind WHEN ''v'' THEN ''samples'' ELSE c.relname END'
            ' WHERE c.oid = ''public.measurements''::regclass';
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    RETURN QUERY SELECT r.begins, r.ends FROM fleetsync.partition_ranges() r;
    IF NOT FOUND THEN
        RETURN QUERY SELECT timestamptz '-infinity', timestamptz 'infinity';
    END IF;
END
$function$;

-- Who may call what this is in place of may call it, too: new functions need not be for everybody.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_proc p
        CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.oid = 'fleetsync.partition_ranges()'::regprocedure
          AND a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION fleetsync.part_ranges() TO %s', reader);
    END LOOP;
END
$$;
