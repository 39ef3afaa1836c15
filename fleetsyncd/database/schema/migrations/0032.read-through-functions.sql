-- What reads measurements together with other tables does it through functions: a Citus cluster cannot
-- join rows of its workers with tables of the coordinator, but each of these asks for one vehicle.
-- depends: 0031.rows-stored-apart

-- `fleetsyncd migrate --distribute` gives these three another form.
CREATE OR REPLACE FUNCTION fleetsync.measured_channels(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS SETOF integer
LANGUAGE sql STABLE AS $function$
    SELECT c FROM fleetsync.channels_between(vehicle, from_at, to_at) c
$function$;

CREATE OR REPLACE FUNCTION fleetsync.measured_minutes(
    vehicle uuid, channel integer, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    minute timestamptz, count integer, min double precision, max double precision,
    sum double precision, first double precision, last double precision
)
LANGUAGE sql STABLE AS $function$
    SELECT r.minute, r.count, r.min, r.max, r.sum, r.first, r.last
    FROM fleetsync.raw_minutes(vehicle, channel, from_at, to_at) r
$function$;

-- What a part of measurements takes: its rows, all of the table, its indexes.
CREATE OR REPLACE FUNCTION fleetsync.part_bytes(
    part regclass, OUT row_bytes bigint, OUT table_bytes bigint, OUT index_bytes bigint
)
LANGUAGE sql STABLE AS $function$
    SELECT pg_relation_size(part), pg_table_size(part), pg_indexes_size(part)
$function$;

-- Who may call what these are called by, or are in place of, may call them, too: new functions need
-- not be for everybody.
DO $$
DECLARE
    called text;
    reader text;
BEGIN
    FOR called, reader IN
        SELECT DISTINCT c.called, CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM (VALUES
            ('measured_channels(uuid, timestamptz, timestamptz)',
             'channels_between(uuid, timestamptz, timestamptz)'),
            ('measured_minutes(uuid, integer, timestamptz, timestamptz)',
             'raw_minutes(uuid, integer, timestamptz, timestamptz)'),
            ('part_bytes(regclass)', 'expired_months(integer, date)')
        ) c(called, caller)
        JOIN pg_proc p ON p.oid = to_regprocedure('fleetsync.' || c.caller)
        CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION fleetsync.%s TO %s', called, reader);
    END LOOP;
END
$$;

-- As before, through measured_minutes.
CREATE OR REPLACE FUNCTION fleetsync.minute_values(
    vehicle uuid, channels integer[], from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    channel_id integer, minute timestamptz, count integer, min double precision,
    max double precision, sum double precision, first double precision, last double precision
)
LANGUAGE sql STABLE AS $function$
WITH part AS MATERIALIZED (
    SELECT p.is_kept, p.begins, p.ends FROM fleetsync.minute_parts(vehicle, from_at, to_at) p
), stored AS (
    SELECT part.is_kept, m.channel_id, m.minute, m.count, m.min, m.max, m.sum, m.first, m.last
    -- OFFSET lets the planner look up each part, and not join all minutes of the channel with them.
    FROM part, unnest(channels) channel, LATERAL (
        SELECT * FROM public.measurements_minute k
        WHERE k.vehicle_id = vehicle AND k.channel_id = channel
          AND k.minute >= part.begins AND k.minute < part.ends
        OFFSET 0
    ) m
), raw AS (
    SELECT channel AS channel_id, r.*
    FROM part, unnest(channels) channel, LATERAL fleetsync.measured_minutes(
        vehicle, channel, part.begins, part.ends
    ) r
    WHERE NOT part.is_kept
)
SELECT s.channel_id, s.minute, s.count, s.min, s.max, s.sum, s.first, s.last
FROM stored s WHERE s.is_kept
UNION ALL
(SELECT DISTINCT ON (u.channel_id, u.minute)
    u.channel_id, u.minute, u.count, u.min, u.max, u.sum, u.first, u.last
 FROM (
    SELECT r.channel_id, r.minute, r.count, r.min, r.max, r.sum, r.first, r.last FROM raw r
    UNION ALL
    SELECT s.channel_id, s.minute, s.count, s.min, s.max, s.sum, s.first, s.last
    FROM stored s WHERE NOT s.is_kept
 ) u ORDER BY u.channel_id, u.minute, u.count DESC)
$function$;

-- As before, with the bytes of a part wherever it is.
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
        -- Of a table that was never analysed, or is on workers: 68 bytes a row.
        coalesce(CASE WHEN child.reltuples >= 0 AND child.relpages > 0
                 THEN child.reltuples * (s.row_bytes
                      / current_setting('block_size')::integer) / child.relpages
                 ELSE s.row_bytes / 68 END, 0)::bigint,
        coalesce(s.table_bytes + s.index_bytes, 0)
    FROM fleetsync.partition_ranges() r JOIN pg_class child ON child.oid = r.partition
    CROSS JOIN LATERAL fleetsync.part_bytes(r.partition) s
    WHERE child.relkind = 'r' AND child.relnamespace = 'public'::regnamespace
      AND child.relname ~ '^measurements_[0-9]{4}_[0-9]{2}$' AND r.ends <= kept_from
    ORDER BY r.ends;
END
$function$;
