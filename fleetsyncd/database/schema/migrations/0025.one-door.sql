-- One door for measurements: a function of the owner's writes them, and another names the table.
-- depends: 0024.coverage

-- The only line that tells where measurements are kept.
CREATE OR REPLACE FUNCTION fleetsync.storage_table(vehicle uuid) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $function$
    SELECT 'public.measurements'
$function$;

-- Arrays come as texts, which are the quickest for who sends them. They are ordered by time, so that
-- writers never deadlock. ON CONFLICT costs as much again as the insert itself: only rows up to
-- `newest`, which may be stored, pay for it, or all of them if another writer was faster.
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
END
$function$;

REVOKE ALL ON FUNCTION fleetsync.storage_table(uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION fleetsync.add_measurements(
    uuid, text, text, text, timestamptz, timestamptz) FROM PUBLIC;

-- The policies of an adopted table may name the roles that they are for, and not the owner.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_class c WHERE c.oid = 'public.measurements'::regclass
            AND c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
    ) AND (
        SELECT count(DISTINCT command) < 2
        FROM pg_policies p, unnest(ARRAY['INSERT', 'SELECT']) command
        WHERE p.schemaname = 'public' AND p.tablename = 'measurements'
            AND p.permissive = 'PERMISSIVE' AND p.cmd IN ('ALL', command)
            AND EXISTS (SELECT FROM unnest(p.roles) r WHERE r = 'public' OR pg_has_role(r, 'USAGE'))
    ) AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) THEN
        CREATE POLICY measurements_writer ON public.measurements TO CURRENT_USER
            USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
    END IF;
END
$$;

ALTER TABLE fleetsync.replica ADD COLUMN IF NOT EXISTS migration text;

COMMENT ON COLUMN fleetsync.replica.migration IS
    'The newest migration that this daemon knows; null: one of an older version';
