-- fleetsyncd's own tables, and the one function that lets a daemon make partitions of a table
-- that it does not own. May run twice: an end between a migration and its record is survived.
-- depends: 0001.fleet-tables

CREATE TABLE IF NOT EXISTS fleetsync.vehicle_state (
    vehicle_id uuid PRIMARY KEY REFERENCES public.vehicles ON DELETE CASCADE,
    paused boolean NOT NULL DEFAULT false,
    sync_requested_at timestamptz,
    alarm_watermark timestamptz,
    newest_measurement_at timestamptz,
    asked_to timestamptz,
    clock_skew_ms bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    catching_up_from timestamptz,
    catching_up_to timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

COMMENT ON COLUMN fleetsync.vehicle_state.asked_to IS
    'End of the last question while the vehicle''s clock was behind the watermark, else null';
COMMENT ON COLUMN fleetsync.vehicle_state.clock_skew_ms IS
    'The vehicle''s clock minus the central one at the last good pull';

CREATE INDEX IF NOT EXISTS vehicle_state_requested ON fleetsync.vehicle_state (sync_requested_at)
    WHERE sync_requested_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS fleetsync.replica (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    interval_sec double precision NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now(),
    cycle_sec double precision,
    vehicles integer
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS fleetsync.quarantine (
    id bigserial,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    digest uuid NOT NULL,
    call text NOT NULL,
    raw text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, digest)
);

COMMENT ON COLUMN fleetsync.quarantine.digest IS
    'md5 of call and raw: a bad row met again in the next window''s overlap is kept once';

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

REVOKE ALL ON FUNCTION fleetsync.ensure_month(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION fleetsync.month_bounds() FROM PUBLIC;
