-- Measurements may be kept in a hidden table behind a view, which can be a hypertable of TimescaleDB.
-- depends: 0027.minutes

-- Row level security and a columnstore exclude each other: the view has the policies for reading, this
-- trigger for writing. Statements on the view fire the statement triggers of the table below it.
CREATE OR REPLACE FUNCTION fleetsync.only_superusers_write() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF current_setting('app.user_role', true) IS DISTINCT FROM 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'measurements are written with app.user_role = superuser only';
    END IF;
    -- Else TimescaleDB refuses statements that touch many rows of compressed chunks.
    PERFORM set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true);
    RETURN NULL;
END
$function$;

-- The hidden table; null if measurements is a table itself.
CREATE OR REPLACE FUNCTION fleetsync.hidden_table() RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT to_regclass('fleetsync.samples') FROM pg_class
    WHERE oid = to_regclass('public.measurements') AND relkind = 'v'
$function$;

-- Where the functions of TimescaleDB are, if the hidden table is a hypertable; else null.
CREATE OR REPLACE FUNCTION fleetsync.timescale_schema() RETURNS name
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    extension_schema name;
BEGIN
    IF fleetsync.hidden_table() IS NOT NULL
       AND to_regclass('timescaledb_information.hypertables') IS NOT NULL THEN
        EXECUTE 'SELECT e.extnamespace::regnamespace::name FROM pg_extension e,'
            ' timescaledb_information.hypertables h WHERE e.extname = ''timescaledb'''
            ' AND h.hypertable_schema = ''fleetsync'' AND h.hypertable_name = ''samples'''
            INTO extension_schema;
    END IF;
    RETURN extension_schema;
END
$function$;

-- The parts of the hidden table: chunks, or the whole of a plain one. The rows are an estimate, of a
-- table that was never analysed with 68 bytes each.
CREATE OR REPLACE FUNCTION fleetsync.hidden_parts()
RETURNS TABLE (
    part text, begins timestamptz, ends timestamptz, is_compressed boolean, row_count bigint,
    table_bytes bigint, key_bytes bigint, late_bytes bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    extension_schema name := fleetsync.timescale_schema();
BEGIN
    IF extension_schema IS NULL THEN
        RETURN QUERY
        SELECT h::text, timestamptz '-infinity', timestamptz 'infinity', false,
            CASE WHEN c.reltuples >= 0 AND c.relpages > 0
                THEN c.reltuples * (pg_relation_size(h)
                     / current_setting('block_size')::integer) / c.relpages
                ELSE pg_relation_size(h) / 68 END::bigint,
            pg_table_size(h), pg_indexes_size(h), bigint '0'
        FROM fleetsync.hidden_table() h JOIN pg_class c ON c.oid = h;
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($query$
        SELECT format('%%I.%%I', c.chunk_schema, c.chunk_name), c.range_start, c.range_end,
            c.is_compressed,
            (coalesce(z.numrows_pre_compression, 0) + CASE
                WHEN c.is_compressed OR t.reltuples < 0 OR t.relpages = 0
                THEN pg_relation_size(t.oid) / 68
                ELSE t.reltuples * (pg_relation_size(t.oid)
                    / current_setting('block_size')::integer) / t.relpages END)::bigint,
            s.table_bytes + s.toast_bytes, s.index_bytes,
            CASE WHEN c.is_compressed THEN pg_relation_size(t.oid) ELSE 0 END
        FROM timescaledb_information.chunks c
        JOIN %I.chunks_detailed_size('fleetsync.samples') s USING (chunk_schema, chunk_name)
        JOIN pg_class t ON t.oid = format('%%I.%%I', c.chunk_schema, c.chunk_name)::regclass
        LEFT JOIN _timescaledb_catalog.chunk k
            ON k.schema_name = c.chunk_schema AND k.table_name = c.chunk_name
        LEFT JOIN _timescaledb_catalog.compression_chunk_size z ON z.chunk_id = k.id
        WHERE c.hypertable_schema = 'fleetsync' AND c.hypertable_name = 'samples'
        $query$, extension_schema);
END
$function$;

-- A later version returns more.
DROP FUNCTION IF EXISTS fleetsync.compress_chunk(integer);

-- Compresses the oldest chunk whose time ended so many days ago; again if late rows are a tenth of it.
-- Rewritten as a whole it holds no dead rows, so nothing has to be vacuumed. A chunk that somebody
-- reads or writes for long is passed over, and named.
CREATE OR REPLACE FUNCTION fleetsync.compress_chunk(
    after_days integer, OUT chunk text, OUT bytes_before bigint, OUT bytes_after bigint,
    OUT locked text
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
        EXCEPTION WHEN lock_not_available THEN
            locked := concat_ws(', ', locked, candidate.part);
        END;
    END LOOP;
END
$function$;

-- As before, and the chunks of a hypertable by the month in which they end.
CREATE OR REPLACE FUNCTION fleetsync.expired_months(keep_months integer, today date)
RETURNS TABLE (
    partition text, begins timestamptz, ends timestamptz, row_count bigint, bytes bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $function$
DECLARE
    present date := current_date;
    kept_from timestamptz;
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'months to keep must be 1 to 1200, not %', keep_months;
    END IF;
    IF today IS NULL OR today NOT BETWEEN present - 1 AND present + 1 THEN
        RAISE EXCEPTION 'the caller''s clock says %, the database''s %: nothing is dropped',
            today, present;
    END IF;
    kept_from := date_trunc('month', least(today, present)) - make_interval(months => keep_months);
    IF fleetsync.hidden_table() IS NOT NULL THEN
        RETURN QUERY
        SELECT to_char(m.month, '"measurements_"YYYY_MM'), min(p.begins), max(p.ends),
            sum(p.row_count)::bigint, sum(p.table_bytes + p.key_bytes)::bigint
        FROM fleetsync.hidden_parts() p,
            date_trunc('month', p.ends - interval '1 microsecond') m(month)
        WHERE p.ends <= kept_from
        GROUP BY m.month ORDER BY m.month;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT child.relname::text, r.begins, r.ends,
        -- Of a table that was never analysed: 68 bytes a row.
        coalesce(CASE WHEN child.reltuples >= 0 AND child.relpages > 0
                 THEN child.reltuples * (pg_relation_size(child.oid)
                      / current_setting('block_size')::integer) / child.relpages
                 ELSE pg_relation_size(child.oid) / 68 END, 0)::bigint,
        coalesce(pg_total_relation_size(child.oid), 0)
    FROM fleetsync.partition_ranges() r JOIN pg_class child ON child.oid = r.partition
    WHERE child.relkind = 'r' AND child.relnamespace = 'public'::regnamespace
      AND child.relname ~ '^measurements_[0-9]{4}_[0-9]{2}$' AND r.ends <= kept_from
    ORDER BY r.ends;
END
$function$;

-- As before; of a hypertable the chunks of the oldest expired month go.
CREATE OR REPLACE FUNCTION fleetsync.drop_expired_month(
    keep_months integer, today date, at_once boolean
)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $function$
DECLARE
    plan record;
BEGIN
    SELECT count(*)::integer AS months, coalesce(sum(row_count), 0)::bigint AS row_count,
        coalesce(sum(bytes), 0)::bigint AS bytes, min(begins) AS oldest, max(ends) AS before,
        min(ends) AS first_end, (array_agg(partition ORDER BY ends))[1] AS partition
    INTO plan FROM fleetsync.expired_months(keep_months, today);
    IF at_once IS NOT TRUE
       AND fleetsync.may_delete('measurements', keep_months, plan.months <= 1, plan.months,
                                plan.row_count, plan.bytes, plan.oldest, plan.before) IS NOT TRUE
       OR plan.months = 0 THEN
        RETURN NULL;
    END IF;
    IF fleetsync.hidden_table() IS NULL THEN
        EXECUTE format('DROP TABLE public.%I', plan.partition);
    ELSE
        EXECUTE format('SELECT %I.drop_chunks(''fleetsync.samples'', older_than => %L::timestamptz)',
                       fleetsync.timescale_schema(), plan.first_end);
    END IF;
    RETURN plan.partition;
END
$function$;

REVOKE ALL ON FUNCTION fleetsync.hidden_table() FROM PUBLIC;

REVOKE ALL ON FUNCTION fleetsync.timescale_schema() FROM PUBLIC;

REVOKE ALL ON FUNCTION fleetsync.hidden_parts() FROM PUBLIC;

REVOKE ALL ON FUNCTION fleetsync.compress_chunk(integer) FROM PUBLIC;
