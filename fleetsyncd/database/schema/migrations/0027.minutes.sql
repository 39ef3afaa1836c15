-- Minute aggregates of measurements, and what is known of how right they are.
-- depends: 0026.closed-months

CREATE TABLE IF NOT EXISTS public.measurements_minute (
    vehicle_id uuid NOT NULL,
    minute timestamptz NOT NULL,
    min double precision NOT NULL,
    max double precision NOT NULL,
    sum double precision,
    first double precision NOT NULL,
    last double precision NOT NULL,
    channel_id integer NOT NULL,
    count integer NOT NULL,
    PRIMARY KEY (vehicle_id, channel_id, minute)
) PARTITION BY RANGE (minute);

COMMENT ON TABLE public.measurements_minute IS
    'The finite values of each channel and minute; fleetsync.minute_values tells where to trust it';
COMMENT ON COLUMN public.measurements_minute.sum IS
    'Null if a value is so large that the sum may not be a number';

CREATE TABLE IF NOT EXISTS fleetsync.minute_state (
    vehicle_id uuid PRIMARY KEY REFERENCES public.vehicles ON DELETE CASCADE,
    minutes_from timestamptz NOT NULL,
    minutes_to timestamptz NOT NULL
);

COMMENT ON TABLE fleetsync.minute_state IS
    'Between which times a vehicle''s minutes are complete, but for those in minute_due';
COMMENT ON COLUMN fleetsync.minute_state.minutes_from IS
    'What is before may have been dropped, or was never computed';

CREATE TABLE IF NOT EXISTS fleetsync.minute_due (
    id bigint GENERATED ALWAYS AS IDENTITY,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    rebuild_to timestamptz,
    PRIMARY KEY (vehicle_id, id)
);

CREATE INDEX IF NOT EXISTS minute_due_vehicle ON fleetsync.minute_due (vehicle_id, to_at);

COMMENT ON TABLE fleetsync.minute_due IS
    'Intervals before minutes_to whose minutes are to be computed: history, and rows that came late';
COMMENT ON COLUMN fleetsync.minute_due.rebuild_to IS
    'Up to where an operator wants all computed again though it has as many rows; null: nobody does';

CREATE OR REPLACE FUNCTION fleetsync.guard_table(owned regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_policy WHERE polrelid = owned) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', owned);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', owned);
    EXECUTE format(
        'CREATE POLICY superuser ON %s'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''superuser'')', owned
    );
    EXECUTE format(
        'CREATE POLICY owner ON %s FOR SELECT'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''
        ' AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id'
        ' = nullif(current_setting(''app.user_id'', true), '''')::uuid))', owned
    );
END
$$;

SELECT fleetsync.guard_table('public.measurements_minute');

SELECT fleetsync.guard_table('fleetsync.minute_state');

SELECT fleetsync.guard_table('fleetsync.minute_due');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);

-- The one place that says what a minute is. NaN and infinities, which an adopted table may have, are
-- left out as in a plot. The sum of values above 1e290 may overflow, which is an error.
CREATE OR REPLACE FUNCTION fleetsync.raw_minutes(
    vehicle uuid, channel integer, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    minute timestamptz, count integer, min double precision, max double precision,
    sum double precision, first double precision, last double precision
)
LANGUAGE sql STABLE AS $function$
    SELECT r.minute, r.count, r.min, r.max,
        CASE WHEN r.min >= -1e290 AND r.max <= 1e290 THEN r.sum END, r.readings[1], r.readings[r.count]
    FROM (
        SELECT date_bin('1 minute', m.time, '2000-01-01 00:00+00') AS minute,
            count(*)::integer AS count, min(m.value::float8) AS min, max(m.value::float8) AS max,
            sum(m.value::float8) FILTER (WHERE m.value BETWEEN -1e290 AND 1e290) AS sum,
            array_agg(m.value::float8 ORDER BY m.time) AS readings
        FROM public.measurements m
        WHERE m.vehicle_id = vehicle AND m.channel_id = channel
          AND m.time >= from_at AND m.time < to_at
          AND m.value > '-Infinity' AND m.value < 'Infinity'
        GROUP BY 1
    ) r
$function$;

-- The channels that a vehicle has rows of between two times. Each step goes to the next channel in
-- the key; that is quick only if nearly all rows of these partitions are between the times.
CREATE OR REPLACE FUNCTION fleetsync.channels_between(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS SETOF integer
LANGUAGE sql STABLE AS $function$
    WITH RECURSIVE channels(id) AS (
        (SELECT m.channel_id FROM public.measurements m
         WHERE m.vehicle_id = vehicle AND m.time >= from_at AND m.time < to_at
         ORDER BY m.channel_id LIMIT 1)
        UNION ALL
        SELECT (SELECT m.channel_id FROM public.measurements m
                WHERE m.vehicle_id = vehicle AND m.channel_id > channels.id
                  AND m.time >= from_at AND m.time < to_at
                ORDER BY m.channel_id LIMIT 1)
        FROM channels WHERE channels.id IS NOT NULL
    )
    SELECT channels.id FROM channels WHERE channels.id IS NOT NULL
$function$;

-- The whole minutes that begin between two times, in parts: those that are complete, and those of
-- which the rows must be read. The planner must not take it apart: it would expect 200 parts, and
-- compile what reads them.
CREATE OR REPLACE FUNCTION fleetsync.minute_parts(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (is_kept boolean, begins timestamptz, ends timestamptz)
LANGUAGE sql STABLE ROWS 3 SET search_path = pg_catalog, pg_temp AS $function$
WITH asked AS (
    SELECT date_bin('1 minute', from_at + interval '59.999999 s', '2000-01-01 00:00+00') AS begins,
        date_bin('1 minute', to_at + interval '59.999999 s', '2000-01-01 00:00+00') AS ends
), span AS (
    SELECT tstzmultirange(tstzrange(begins, greatest(begins, ends))) AS asked,
        coalesce((SELECT tstzmultirange(tstzrange(s.minutes_from, s.minutes_to))
                  FROM fleetsync.minute_state s WHERE s.vehicle_id = vehicle), '{}')
        - coalesce((SELECT range_agg(tstzrange(d.from_at, d.to_at))
                    FROM fleetsync.minute_due d WHERE d.vehicle_id = vehicle), '{}') AS kept
    FROM asked
)
SELECT true, lower(part), upper(part) FROM span, unnest(asked * kept) part
UNION ALL
SELECT false, lower(part), upper(part) FROM span, unnest(asked - kept) part
$function$;

-- A vehicle's minutes that begin between two times: as stored where that is complete, from the rows
-- elsewhere. Where both are, as after a backfill into a month that was dropped, the one of more rows
-- is the better. It reads with the rights of whoever asks.
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
    FROM part, unnest(channels) channel, LATERAL fleetsync.raw_minutes(
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

-- As before; what is new is `mark`: rows before minutes_to make their minutes due, in the transaction
-- that stores them. Whoever moves minutes_to holds the vehicle's row, which each writer has locked.
CREATE OR REPLACE FUNCTION fleetsync.add_measurements(
    vehicle uuid, channels text, times text, readings text,
    newest timestamptz, head timestamptz,
    OUT added integer, OUT late integer, OUT oldest_late timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    c integer[] := channels;
    t timestamptz[] := times;
    v float8[] := readings;
    known timestamptz := coalesce(newest, 'infinity');
    target text := 'INSERT INTO ' || fleetsync.storage_table(vehicle)
        || ' (vehicle_id, channel_id, time, value)'
        || ' SELECT $1, r.c, r.t, r.v FROM unnest($2, $3, $4) r(c, t, v)';
    careful text := 'WITH new AS (' || target || ' WHERE r.t > $5 AND r.t <= $6'
        ' ON CONFLICT (vehicle_id, channel_id, time) DO NOTHING RETURNING time)'
        ' SELECT count(*)::integer, (count(*) FILTER (WHERE time < $7))::integer,'
        ' min(time) FILTER (WHERE time < $7) FROM new';
    more integer := 0;
    more_late integer := 0;
    more_oldest timestamptz;
    kept_from timestamptz;
    kept_to timestamptz;
BEGIN
    -- What the policies ask for, also where they do not bind the owner.
    IF current_setting('app.user_role', true) IS DISTINCT FROM 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'measurements are written with app.user_role = superuser only';
    END IF;
    added := 0;
    late := 0;
    IF t[1] <= known THEN
        EXECUTE careful INTO added, late, oldest_late
            USING vehicle, c, t, v, '-infinity'::timestamptz, known, head;
    END IF;
    IF t[cardinality(t)] > known THEN
        BEGIN
            EXECUTE target || ' WHERE r.t > $5' USING vehicle, c, t, v, known;
            GET DIAGNOSTICS more = ROW_COUNT;
            IF head > known THEN
                SELECT count(*), min(r.t) INTO more_late, more_oldest
                FROM unnest(t) r(t) WHERE r.t > known AND r.t < head;
            END IF;
        EXCEPTION WHEN unique_violation THEN
            EXECUTE careful INTO more, more_late, more_oldest
                USING vehicle, c, t, v, known, 'infinity'::timestamptz, head;
        END;
        added := added + more;
        late := late + more_late;
        oldest_late := least(oldest_late, more_oldest);
    END IF;
    IF added > 0 THEN
        SELECT s.minutes_from, s.minutes_to INTO kept_from, kept_to
        FROM fleetsync.minute_state s WHERE s.vehicle_id = vehicle;
        IF t[1] < kept_to AND t[cardinality(t)] >= kept_from THEN
            -- An hour at a time, so that a few rows of months do not make all between them due.
            INSERT INTO fleetsync.minute_due (vehicle_id, from_at, to_at)
            SELECT vehicle, h.from_at, h.to_at
            FROM (
                SELECT date_bin('1 minute', min(r.t), '2000-01-01 00:00+00') AS from_at,
                    date_bin('1 minute', max(r.t), '2000-01-01 00:00+00') + interval '1 minute'
                        AS to_at
                FROM unnest(t) r(t) WHERE r.t >= kept_from AND r.t < kept_to
                GROUP BY date_bin('1 hour', r.t, '2000-01-01 00:00+00')
            ) h
            WHERE NOT EXISTS (
                SELECT FROM fleetsync.minute_due d
                WHERE d.vehicle_id = vehicle AND d.from_at <= h.from_at AND d.to_at >= h.to_at
            );
        END IF;
    END IF;
END
$function$;

-- Makes a month of minutes unless there is a table of its name; returns whether it did.
CREATE OR REPLACE FUNCTION fleetsync.make_minute_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '3s'
AS $$
DECLARE
    partition_name text := to_char(month, '"measurements_minute_"YYYY_MM');
BEGIN
    IF month IS NULL OR month <> date_trunc('month', month)
       OR month < date '2000-01-01' OR month > now() + interval '1 year' THEN
        RAISE EXCEPTION 'not the first day of a month between 2000 and a year ahead: %', month;
    END IF;
    IF to_regclass('public.' || partition_name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('fleetsync.make_minute_month', 0));
    -- Somebody else may just have made it; to_regclass would still answer from its cache.
    IF EXISTS (
        SELECT FROM pg_class
        WHERE relname = partition_name AND relnamespace = 'public'::regnamespace
    ) THEN
        RETURN false;
    END IF;
    -- Made apart and then attached: PARTITION OF would lock every reader and writer out.
    EXECUTE format(
        'CREATE TABLE public.%I (LIKE public.measurements_minute'
        ' INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', partition_name
    );
    PERFORM fleetsync.pass_on_maintenance('public.measurements_minute', partition_name);
    EXECUTE format(
        'ALTER TABLE public.measurements_minute ATTACH PARTITION public.%I'
        ' FOR VALUES FROM (%L) TO (%L)',
        partition_name, month::timestamptz, (month + interval '1 month')::timestamptz
    );
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.make_minute_month(date) FROM PUBLIC;

ALTER TABLE fleetsync.retention DROP CONSTRAINT IF EXISTS retention_kind_check,
    ADD CONSTRAINT retention_kind_check
    CHECK (kind IN ('measurements', 'minutes', 'journal', 'quarantine', 'alarms'));

-- The months of minutes that ended `keep_months` before the month that both clocks agree on.
CREATE OR REPLACE FUNCTION fleetsync.expired_minutes(keep_months integer, today date)
RETURNS TABLE (
    partition text, begins timestamptz, ends timestamptz, row_count bigint, bytes bigint
)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    present date := current_date;
BEGIN
    IF keep_months IS NULL OR keep_months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'months to keep must be 1 to 1200, not %', keep_months;
    END IF;
    IF today IS NULL OR today NOT BETWEEN present - 1 AND present + 1 THEN
        RAISE EXCEPTION 'the caller''s clock says %, the database''s %: nothing is dropped',
            today, present;
    END IF;
    RETURN QUERY
    SELECT child.relname::text, m.month::timestamptz,
        (m.month + interval '1 month')::timestamptz,
        -- Of a table that was never analysed: 100 bytes a row.
        coalesce(CASE WHEN child.reltuples >= 0 AND child.relpages > 0
                 THEN child.reltuples * (pg_relation_size(child.oid)
                      / current_setting('block_size')::integer) / child.relpages
                 ELSE pg_relation_size(child.oid) / 100 END, 0)::bigint,
        coalesce(pg_total_relation_size(child.oid), 0)
    FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT to_date(right(child.relname, 7), 'YYYY_MM') AS month) m
    WHERE i.inhparent = 'public.measurements_minute'::regclass
      AND child.relkind = 'r' AND child.relnamespace = 'public'::regnamespace
      AND child.relname ~ '^measurements_minute_[0-9]{4}_[0-9]{2}$'
      AND m.month + interval '1 month' <= date_trunc('month', least(today, present))
                                          - make_interval(months => keep_months)
    ORDER BY m.month;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.expired_minutes(integer, date) FROM PUBLIC;

-- As before; minutes are months, and wait as measurements do: once those are dropped, minutes are
-- all that is left.
CREATE OR REPLACE FUNCTION fleetsync.may_delete(
    of_kind text, keep_for integer, is_usual boolean, month_count integer, about_rows bigint,
    about_bytes bigint, oldest timestamptz, before timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    a_day CONSTANT interval := '1 day';
    is_monthly boolean := of_kind IN ('measurements', 'minutes');
    waits_while_new boolean := of_kind IN ('measurements', 'minutes', 'alarms');
    outrun interval := CASE WHEN is_monthly THEN interval '32 days' ELSE interval '2 days' END;
    known fleetsync.retention;
BEGIN
    LOCK TABLE fleetsync.retention IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM fleetsync.retention r
    WHERE r.kind = of_kind AND r.keep <> keep_for
      AND (r.keep BETWEEN 1 AND keep_for OR r.seen_at < now() - a_day);
    INSERT INTO fleetsync.retention (kind, keep) VALUES (of_kind, keep_for)
    ON CONFLICT (kind, keep) DO UPDATE SET seen_at = now()
    RETURNING * INTO known;
    IF month_count = 0 AND about_rows = 0 OR is_usual AND NOT waits_while_new THEN
        UPDATE fleetsync.retention SET announced_at = NULL, due_at = NULL
        WHERE kind = of_kind AND keep = keep_for AND announced_at IS NOT NULL;
        RETURN true;
    END IF;
    IF known.announced_at IS NULL AND is_usual AND known.since <= now() - a_day THEN
        RETURN true;
    END IF;
    IF known.announced_at IS NULL OR before > known.before_at + outrun THEN
        known.announced_at := now();
        known.due_at := now() + a_day;
    END IF;
    UPDATE fleetsync.retention
    SET announced_at = known.announced_at, due_at = known.due_at, months = month_count,
        row_count = about_rows, bytes = about_bytes, oldest_at = oldest, before_at = before
    WHERE kind = of_kind AND keep = keep_for;
    RETURN known.due_at <= now();
END
$$;

-- Only the oldest expired month can go, and none before its time unless an operator wants it
-- `at_once`. Null means that nothing is to be done. From then on nobody trusts what was there.
CREATE OR REPLACE FUNCTION fleetsync.drop_expired_minutes(
    keep_months integer, today date, at_once boolean
)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '1s'
AS $$
DECLARE
    plan record;
BEGIN
    -- Without it no row of minute_state would be seen, and there would be no error either.
    IF current_setting('app.user_role', true) IS DISTINCT FROM 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'minutes are dropped with app.user_role = superuser only';
    END IF;
    SELECT count(*)::integer AS months, coalesce(sum(row_count), 0)::bigint AS row_count,
        coalesce(sum(bytes), 0)::bigint AS bytes, min(begins) AS oldest, max(ends) AS before,
        (array_agg(partition ORDER BY ends))[1] AS partition, min(ends) AS ends
    INTO plan FROM fleetsync.expired_minutes(keep_months, today);
    IF at_once IS NOT TRUE
       AND fleetsync.may_delete('minutes', keep_months, plan.months <= 1, plan.months,
                                plan.row_count, plan.bytes, plan.oldest, plan.before) IS NOT TRUE
       OR plan.months = 0 THEN
        RETURN NULL;
    END IF;
    EXECUTE format('DROP TABLE public.%I', plan.partition);
    UPDATE fleetsync.minute_state s SET minutes_from = plan.ends,
        minutes_to = greatest(s.minutes_to, plan.ends)
    WHERE s.minutes_from < plan.ends;
    RETURN plan.partition;
END
$$;

REVOKE ALL ON FUNCTION fleetsync.drop_expired_minutes(integer, date, boolean) FROM PUBLIC;
