-- Months are made only where nothing else holds the time: what somebody else has made, in parts of
-- any length and under any name, is left alone, and so is a month that was detached.
-- depends: 0009.alarms-without-channel

-- One that is being detached holds nothing any more. A default partition holds all time.
CREATE OR REPLACE FUNCTION fleetsync.partition_ranges()
RETURNS TABLE (partition regclass, begins timestamptz, ends timestamptz, is_default boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET quote_all_identifiers = off
AS $$
    SELECT child.oid::regclass,
        coalesce((regexp_match(bound, 'FROM [(]''([^'']+)'''))[1]::timestamptz, '-infinity'),
        coalesce((regexp_match(bound, 'TO [(]''([^'']+)'''))[1]::timestamptz, 'infinity'),
        bound = 'DEFAULT'
    FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    JOIN pg_inherits i ON i.inhparent = p.partrelid
    JOIN pg_class child ON child.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) bound
    WHERE p.partrelid = 'public.measurements'::regclass
      AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = 'time'
      AND (to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
$$;

-- Whether somebody makes the partitions around this time in a length of his own: two of the three
-- nearest adjoin and are of one length, and none of the three is a month. A single one of any length
-- is no series: what was there before may lie in it.
CREATE OR REPLACE FUNCTION fleetsync.is_foreign_series(
    first_moment timestamptz, end_moment timestamptz
)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH nearest AS (
        SELECT begins, ends, extract(epoch FROM ends - begins) AS seconds,
            ends - begins BETWEEN interval '27 days' AND interval '32 days' AS is_month
        FROM fleetsync.partition_ranges() WHERE isfinite(begins) AND isfinite(ends)
        ORDER BY greatest(begins - end_moment, first_moment - ends, interval '0'), begins DESC
        LIMIT 3
    )
    SELECT NOT EXISTS (SELECT FROM nearest WHERE is_month) AND EXISTS (
        SELECT FROM nearest one JOIN nearest other ON other.begins = one.ends
        WHERE abs(one.seconds - other.seconds) <= least(one.seconds / 10, 3 * 86400)
    )
$$;

-- What is to be done about a month: `covered` and `foreign` (somebody else's parts are continued by
-- whoever makes them) need nothing, `taken` is a table of that name which is no partition, `missing`
-- is to be made over the range that is returned with it.
CREATE OR REPLACE FUNCTION fleetsync.month_plan(
    month date, OUT verdict text, OUT first_moment timestamptz, OUT end_moment timestamptz
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    parent regclass := 'public.measurements';
    of_its_name regclass := to_regclass(to_char(month, '"public.measurements_"YYYY_MM'));
    hole record;
BEGIN
    IF month IS NULL OR month <> date_trunc('month', month)
       OR month < date '2000-01-01' OR month > now() + interval '1 year' THEN
        RAISE EXCEPTION 'not the first day of a month between 2000 and a year ahead: %', month;
    END IF;
    first_moment := month;
    end_moment := month + interval '1 month';
    IF (SELECT relkind FROM pg_class WHERE oid = parent) <> 'p' THEN
        verdict := 'covered';
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_partitioned_table p
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        WHERE p.partrelid = parent AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = 'time'
    ) THEN
        verdict := 'foreign';
        RETURN;
    END IF;
    -- Months that another service cut at its local midnight are continued without a gap.
    SELECT coalesce(max(ends), first_moment) INTO first_moment FROM fleetsync.partition_ranges()
        WHERE ends BETWEEN first_moment - interval '1 day' AND first_moment + interval '1 day';
    SELECT coalesce(min(begins), end_moment) INTO end_moment FROM fleetsync.partition_ranges()
        WHERE begins BETWEEN end_moment - interval '1 day' AND end_moment + interval '1 day';
    -- The largest part of the month that nothing holds: what is left of a begun month is made, too.
    SELECT greatest(hole_from, first_moment) AS begins, least(hole_to, end_moment) AS ends INTO hole
    FROM (SELECT max(ends) OVER (ORDER BY begins, ends) AS hole_from,
                 lead(begins) OVER (ORDER BY begins, ends) AS hole_to
          FROM (SELECT begins, ends FROM fleetsync.partition_ranges() WHERE NOT is_default
                UNION ALL SELECT '-infinity', '-infinity'
                UNION ALL SELECT 'infinity', 'infinity') ranges) holes
    WHERE hole_from < hole_to AND hole_from < end_moment AND hole_to > first_moment
    ORDER BY least(hole_to, end_moment) - greatest(hole_from, first_moment) DESC LIMIT 1;
    -- Beside a default partition that may hold rows of the month it could not be attached.
    IF hole IS NULL
       OR EXISTS (SELECT FROM fleetsync.partition_ranges() r WHERE r.partition = of_its_name)
       OR EXISTS (SELECT FROM fleetsync.partition_ranges() r JOIN pg_class c ON c.oid = r.partition
                  WHERE r.is_default AND (c.relkind <> 'r' OR pg_relation_size(c.oid) > 0)) THEN
        verdict := 'covered';
        RETURN;
    END IF;
    first_moment := hole.begins;
    end_moment := hole.ends;
    verdict := CASE
        WHEN fleetsync.is_foreign_series(first_moment, end_moment) THEN 'foreign'
        WHEN of_its_name IS NOT NULL THEN 'taken'
        ELSE 'missing' END;
END
$$;

-- Makes the month if it is missing; returns `made` then, else what was found.
CREATE OR REPLACE FUNCTION fleetsync.make_month(month date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '3s'
AS $$
DECLARE
    partition_name text := to_char(month, '"measurements_"YYYY_MM');
    plan record;
BEGIN
    plan := fleetsync.month_plan(month);
    IF plan.verdict <> 'missing' THEN
        RETURN plan.verdict;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('fleetsync.ensure_month', 0));
    -- Somebody else may just have made it.
    plan := fleetsync.month_plan(month);
    IF plan.verdict <> 'missing' THEN
        RETURN plan.verdict;
    END IF;
    -- Made apart and then attached: PARTITION OF would lock every reader and writer out.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.measurements'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING GENERATED)',
        partition_name
    );
    EXECUTE format(
        'ALTER TABLE public.measurements ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition_name, plan.first_moment, plan.end_moment
    );
    RETURN 'made';
END
$$;

-- For daemons of the version before.
CREATE OR REPLACE FUNCTION fleetsync.ensure_month(month date) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT fleetsync.make_month(month) = 'made'
$$;

REVOKE ALL ON FUNCTION fleetsync.make_month(date) FROM PUBLIC;
