-- The functions that let a daemon make months of a table that it does not own, and drop expired ones.
-- depends: 0003.operators-view

CREATE OR REPLACE FUNCTION fleetsync.ensure_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '3s'
AS $$
DECLARE
    partition_name text := to_char(month, '"measurements_"YYYY_MM');
    first_moment timestamptz := month;
    end_moment timestamptz := month + interval '1 month';
    neighbour timestamptz;
BEGIN
    IF month IS NULL OR month <> date_trunc('month', month)
       OR month < date '2000-01-01' OR month > now() + interval '1 year' THEN
        RAISE EXCEPTION 'not the first day of a month between 2000 and a year ahead: %', month;
    END IF;
    IF (SELECT relkind FROM pg_class WHERE oid = 'public.measurements'::regclass) <> 'p'
       OR to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('fleetsync.ensure_month', 0));
    -- Somebody else may just have made it; to_regclass would still answer from its cache.
    IF EXISTS (
        SELECT FROM pg_class
        WHERE relname = partition_name AND relnamespace = 'public'::regnamespace
    ) THEN
        RETURN false;
    END IF;
    -- Months that another service cut at its local midnight are continued without a gap.
    SELECT max(bound[2]::timestamptz) INTO neighbour FROM fleetsync.month_bounds() bound
        WHERE bound[2]::timestamptz BETWEEN first_moment - interval '1 day'
                                        AND first_moment + interval '1 day';
    first_moment := coalesce(neighbour, first_moment);
    SELECT min(bound[1]::timestamptz) INTO neighbour FROM fleetsync.month_bounds() bound
        WHERE bound[1]::timestamptz BETWEEN end_moment - interval '1 day'
                                        AND end_moment + interval '1 day';
    end_moment := coalesce(neighbour, end_moment);
    -- Made apart and then attached: PARTITION OF would lock every reader and writer out.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.measurements'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition_name
    );
    EXECUTE format(
        'ALTER TABLE public.measurements ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition_name, first_moment, end_moment
    );
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION fleetsync.month_bounds() RETURNS SETOF text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT regexp_match(
        pg_get_expr(child.relpartbound, child.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)'
    )
    FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent = 'public.measurements'::regclass
$$;

-- There is no month to name: whatever a caller says, only the oldest one can go, and only once it
-- ended `keep_months` before the month that both clocks agree on.
CREATE OR REPLACE FUNCTION fleetsync.drop_expired_month(keep_months integer, today date)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $$
DECLARE
    present date := current_date;
    oldest text;
    ended timestamptz;
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'months to keep must be 1 to 1200, not %', keep_months;
    END IF;
    IF today IS NULL OR today NOT BETWEEN present - 1 AND present + 1 THEN
        RAISE EXCEPTION 'the caller''s clock says %, the database''s %: nothing is dropped',
            today, present;
    END IF;
    SELECT child.relname, bound[1]::timestamptz INTO oldest, ended
    FROM pg_inherits
    JOIN pg_class child ON child.oid = inhrelid
    CROSS JOIN LATERAL regexp_match(
        pg_get_expr(child.relpartbound, child.oid), 'TO \(''([^'']+)''\)'
    ) bound
    WHERE inhparent = 'public.measurements'::regclass AND child.relkind = 'r'
      AND child.relnamespace = 'public'::regnamespace
      AND child.relname ~ '^measurements_[0-9]{4}_[0-9]{2}$' AND bound IS NOT NULL
    ORDER BY bound[1]::timestamptz LIMIT 1;
    IF oldest IS NULL
       OR ended > date_trunc('month', least(today, present)) - make_interval(months => keep_months)
    THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE public.%I', oldest);
    RETURN oldest;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.ensure_month(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.month_bounds() FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.drop_expired_month(integer, date) FROM PUBLIC;
