-- One chunk that cannot be compressed keeps no other from it; only TimescaleDB's own functions are
-- called.
-- depends: 0028.hidden-table

-- As before; with the owner's rights nothing is called that others have put beside the extension's
-- functions, to be taken for one of them.
CREATE OR REPLACE FUNCTION fleetsync.timescale_schema() RETURNS name
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    extension_schema name;
    foreign_function regprocedure;
BEGIN
    IF fleetsync.hidden_table() IS NOT NULL
       AND to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
        EXECUTE 'SELECT e.extnamespace::regnamespace::name FROM pg_extension e,'
            ' timescaledb_information.hypertables h WHERE e.extname = ''timescaledb'''
            ' AND h.hypertable_schema = ''fleetsync'' AND h.hypertable_name = ''samples'''
            INTO extension_schema;
    END IF;
    SELECT min(p.oid) INTO foreign_function
    FROM pg_extension e
    JOIN pg_proc p ON p.pronamespace = e.extnamespace
    WHERE e.extname = 'timescaledb' AND extension_schema IS NOT NULL
      AND p.proname IN ('compress_chunk', 'decompress_chunk', 'drop_chunks',
                        'chunks_detailed_size', 'set_chunk_time_interval')
      AND NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
          AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e');
    IF foreign_function IS NOT NULL THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('%s stands beside TimescaleDB''s function of its name and is not its own',
                             foreign_function),
            HINT = format('DROP FUNCTION %s, and REVOKE CREATE ON SCHEMA %I FROM PUBLIC',
                          foreign_function, extension_schema);
    END IF;
    RETURN extension_schema;
END
$function$;

DROP FUNCTION IF EXISTS fleetsync.compress_chunk(integer);

-- As before; a chunk that cannot be compressed is named with the reason, and passed over.
CREATE OR REPLACE FUNCTION fleetsync.compress_chunk(
    after_days integer, OUT chunk text, OUT bytes_before bigint, OUT bytes_after bigint,
    OUT locked text, OUT failed text
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $function$
DECLARE
    extension_schema name := fleetsync.timescale_schema();
    candidate record;
BEGIN
    IF after_days IS NULL OR after_days NOT BETWEEN 1 AND 36500 THEN
        RAISE EXCEPTION 'days before compression must be 1 to 36500, not %', after_days;
    END IF;
    IF extension_schema IS NULL
       OR NOT pg_try_advisory_xact_lock(hashtextextended('fleetsync.compress_chunk', 0)) THEN
        RETURN;
    END IF;
    FOR candidate IN
        SELECT p.* FROM fleetsync.hidden_parts() p
        WHERE p.ends <= now() - make_interval(days => after_days)
          AND (NOT p.is_compressed OR p.late_bytes * 10 > p.table_bytes)
        ORDER BY p.begins
    LOOP
        BEGIN
            IF candidate.is_compressed THEN
                EXECUTE format('SELECT %I.decompress_chunk(%L)', extension_schema, candidate.part);
            END IF;
            EXECUTE format('SELECT %I.compress_chunk(%L)', extension_schema, candidate.part);
            chunk := candidate.part;
            bytes_before := candidate.table_bytes + candidate.key_bytes;
            SELECT p.table_bytes + p.key_bytes INTO bytes_after
            FROM fleetsync.hidden_parts() p WHERE p.part = candidate.part;
            RETURN;
        EXCEPTION
            WHEN lock_not_available THEN
                locked := concat_ws(', ', locked, candidate.part);
            WHEN OTHERS THEN
                failed := concat_ws('; ', failed, candidate.part || ': ' || SQLERRM);
        END;
    END LOOP;
END
$function$;

REVOKE ALL ON FUNCTION fleetsync.compress_chunk(integer) FROM PUBLIC;
