-- Rows are stored by a function of its own, which a Citus cluster runs on the worker that has the
-- vehicle's rows; what belongs to it stays where the vehicles are.
-- depends: 0028.hidden-table

-- Whether measurements are distributed over a Citus cluster. `fleetsyncd migrate --distribute` gives
-- it another form.
CREATE OR REPLACE FUNCTION fleetsync.is_distributed() RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT false
$function$;

-- Arrays come as texts, which are the quickest for who sends them. They are ordered by time, so that
-- writers never deadlock. ON CONFLICT costs as much again as the insert itself: only rows up to
-- `newest`, which may be stored, pay for it, or all of them if another writer was faster.
CREATE OR REPLACE FUNCTION fleetsync.store_measurements(
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
    target text;
    careful text;
    more integer := 0;
    more_late integer := 0;
    more_oldest timestamptz;
BEGIN
    -- What the policies ask for, also where they do not bind the owner.
    IF coalesce(current_setting('app.user_role', true), '') = ''
       AND current_setting('application_name') LIKE 'citus_internal%' THEN
        RAISE EXCEPTION USING ERRCODE = 'FS001',
            MESSAGE = 'this worker was not told of app.user_role',
            HINT = 'SET citus.propagate_set_commands = ''local'', and in each transaction'
                ' SET LOCAL app.user_role as a statement of its own';
    END IF;
    IF current_setting('app.user_role', true) IS DISTINCT FROM 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'measurements are written with app.user_role = superuser only';
    END IF;
    -- On a worker that was added later everybody may call this: Citus takes no right from PUBLIC.
    IF fleetsync.is_distributed() AND NOT EXISTS (
        SELECT FROM pg_proc p, aclexplode(p.proacl) a
        WHERE p.oid = to_regprocedure('fleetsync.store_measurements('
                'uuid, text, text, text, timestamptz, timestamptz)')
          AND a.grantee <> 0 AND pg_has_role(session_user, a.grantee, 'MEMBER')
    ) THEN
        RAISE insufficient_privilege
            USING MESSAGE = format('%s may not write measurements', session_user);
    END IF;
    target := fleetsync.storage_table(vehicle);
    IF fleetsync.is_distributed() AND target = 'public.measurements' THEN
        -- Rows that the coordinator spreads are copied to the workers without a conflict clause, which
        -- row level security does not allow.
        known := 'infinity';
    END IF;
    target := 'INSERT INTO ' || target
        || ' (vehicle_id, channel_id, time, value)'
        || ' SELECT $1, r.c, r.t, r.v FROM unnest($2, $3, $4) r(c, t, v)';
    careful := 'WITH new AS (' || target || ' WHERE r.t > $5 AND r.t <= $6'
        ' ON CONFLICT (vehicle_id, channel_id, time) DO NOTHING RETURNING time)'
        ' SELECT count(*)::integer, (count(*) FILTER (WHERE time < $7))::integer,'
        ' min(time) FILTER (WHERE time < $7) FROM new';
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
END
$function$;

-- Makes the minutes of rows that were stored due, if they are before minutes_to. Whoever moves that
-- holds the vehicle's row, which each writer has locked.
CREATE OR REPLACE FUNCTION fleetsync.mark_minutes(vehicle uuid, times text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    t timestamptz[];
    kept_from timestamptz;
    kept_to timestamptz;
BEGIN
    SELECT s.minutes_from, s.minutes_to INTO kept_from, kept_to
    FROM fleetsync.minute_state s WHERE s.vehicle_id = vehicle;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    t := times;
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
END
$function$;

REVOKE ALL ON FUNCTION fleetsync.store_measurements(
    uuid, text, text, text, timestamptz, timestamptz) FROM PUBLIC;

REVOKE ALL ON FUNCTION fleetsync.mark_minutes(uuid, text) FROM PUBLIC;

-- Who may write goes on to write, before anybody grants anything.
DO $$
DECLARE
    writer text;
BEGIN
    FOR writer IN
        SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee))
        FROM pg_proc p, aclexplode(p.proacl) a
        WHERE p.oid = to_regprocedure('fleetsync.add_measurements('
                'uuid, text, text, text, timestamptz, timestamptz)')
          AND a.privilege_type = 'EXECUTE' AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE 'GRANT EXECUTE ON FUNCTION fleetsync.store_measurements('
            'uuid, text, text, text, timestamptz, timestamptz),'
            ' fleetsync.mark_minutes(uuid, text), fleetsync.is_distributed() TO ' || writer;
    END LOOP;
END
$$;

-- As before, in parts. A cluster gives the call to a worker only if its arguments are literals. It runs
-- with the rights of whoever calls, as whom the worker is then asked to read, too.
CREATE OR REPLACE FUNCTION fleetsync.add_measurements(
    vehicle uuid, channels text, times text, readings text,
    newest timestamptz, head timestamptz,
    OUT added integer, OUT late integer, OUT oldest_late timestamptz
)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    IF current_setting('app.user_role', true) IS DISTINCT FROM 'superuser' THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'measurements are written with app.user_role = superuser only';
    END IF;
    IF fleetsync.is_distributed() THEN
        EXECUTE format('SELECT s.added, s.late, s.oldest_late FROM fleetsync.store_measurements('
            '%L::uuid, %L::text, %L::text, %L::text, %L::timestamptz, %L::timestamptz) s',
            vehicle, channels, times, readings, newest, head)
            INTO added, late, oldest_late;
    ELSE
        SELECT s.added, s.late, s.oldest_late INTO added, late, oldest_late
        FROM fleetsync.store_measurements(vehicle, channels, times, readings, newest, head) s;
    END IF;
    IF added > 0 THEN
        PERFORM fleetsync.mark_minutes(vehicle, times);
    END IF;
END
$function$;
