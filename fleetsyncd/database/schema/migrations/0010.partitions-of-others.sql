-- Months are made only where nothing else holds the time: what somebody else has made, in parts of
-- any length and under any name, is left alone, and so is a month that was detached.
-- depends: 0009.alarms-without-channel

-- A default partition holds all time. One that is being detached holds none any more.
CREATE OR REPLACE FUNCTION fleetsync.partition_ranges()
RETURNS TABLE (partition regclass, begins timestamptz, ends timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET quote_all_identifiers = off
AS $$
    SELECT child.oid::regclass,
        coalesce((regexp_match(bound, 'FROM [(]''([^'']+)'''))[1]::timestamptz, '-infinity'),
        coalesce((regexp_match(bound, 'TO [(]''([^'']+)'''))[1]::timestamptz, 'infinity')
    FROM pg_partitioned_table p
    JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
    JOIN pg_inherits i ON i.inhparent = p.partrelid
    JOIN pg_class child ON child.oid = i.inhrelid
    CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) bound
    WHERE p.partrelid = 'public.measurements'::regclass
      AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = 'time'
      AND (to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
$$;

-- What is to be done about a month: `covered` and `foreign` (somebody else's parts are near, and are
-- continued by whoever makes them) need nothing, `taken` is a table of that name which is no
-- partition, `missing` is to be made over the range that is returned with it.
CREATE OR REPLACE FUNCTION fleetsync.month_plan(
    month date, OUT verdict text, OUT first_moment timestamptz, OUT end_moment timestamptz
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    covered interval;
    is_monthly boolean;
BEGIN
    IF month IS NULL OR month <> date_trunc('month', month)
       OR month < date '2000-01-01' OR month > now() + interval '1 year' THEN
        RAISE EXCEPTION 'not the first day of a month between 2000 and a year ahead: %', month;
    END IF;
    first_moment := month;
    end_moment := month + interval '1 month';
    IF (SELECT relkind FROM pg_class WHERE oid = 'public.measurements'::regclass) <> 'p' THEN
        verdict := 'covered';
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_partitioned_table p
        JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
        WHERE p.partrelid = 'public.measurements'::regclass
          AND p.partstrat = 'r' AND p.partnatts = 1 AND a.attname = 'time'
    ) THEN
        verdict := 'foreign';
        RETURN;
    END IF;
    -- Months that another service cut at its local midnight are continued without a gap.
    SELECT coalesce(max(ends), first_moment) INTO first_moment FROM fleetsync.partition_ranges()
        WHERE ends BETWEEN first_moment - interval '1 day' AND first_moment + interval '1 day';
    SELECT coalesce(min(begins), end_moment) INTO end_moment FROM fleetsync.partition_ranges()
        WHERE begins BETWEEN end_moment - interval '1 day' AND end_moment + interval '1 day';
    SELECT coalesce(sum(least(ends, end_moment) - greatest(begins, first_moment)), '0')
        INTO covered FROM fleetsync.partition_ranges()
        WHERE begins < end_moment AND ends > first_moment;
    SELECT ends - begins BETWEEN interval '27 days' AND interval '32 days' INTO is_monthly
        FROM fleetsync.partition_ranges() WHERE isfinite(begins) AND isfinite(ends)
        ORDER BY greatest(begins - end_moment, first_moment - ends), begins LIMIT 1;
    verdict := CASE
        WHEN covered >= end_moment - first_moment THEN 'covered'
        WHEN covered > interval '0' OR NOT coalesce(is_monthly, true) THEN 'foreign'
        WHEN EXISTS (SELECT FROM pg_class
                     WHERE relname = to_char(month, '"measurements_"YYYY_MM')
                       AND relnamespace = 'public'::regnamespace) THEN 'taken'
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
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition_name
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
