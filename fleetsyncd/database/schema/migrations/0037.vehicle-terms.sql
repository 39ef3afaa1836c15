-- Each vehicle's own terms: how often it is asked, how long an answer may take, how much one asks for.
-- depends: 0036.readers-functions

CREATE TABLE IF NOT EXISTS fleetsync.vehicle_terms (
    vehicle_id uuid PRIMARY KEY REFERENCES public.vehicles ON DELETE CASCADE,
    interval_sec double precision CHECK (interval_sec > 0 AND interval_sec <= 86400),
    timeout_sec double precision CHECK (timeout_sec > 0 AND timeout_sec <= 86400),
    window_sec double precision CHECK (window_sec >= 10 AND window_sec <= 3600),
    gap_kbit integer CHECK (gap_kbit > 0)
);

COMMENT ON TABLE fleetsync.vehicle_terms IS
    'What operators set for one vehicle in place of the settings; null: the setting';
COMMENT ON COLUMN fleetsync.vehicle_terms.interval_sec IS
    'It is asked so often, unless SYNC_INTERVAL_SEC is longer';
COMMENT ON COLUMN fleetsync.vehicle_terms.timeout_sec IS 'In place of PULL_TIMEOUT_SEC';
COMMENT ON COLUMN fleetsync.vehicle_terms.window_sec IS
    'One request asks for so much of its time at most; its first pull, for so much';
COMMENT ON COLUMN fleetsync.vehicle_terms.gap_kbit IS
    'Kilobits in a second that the pull of a gap may take of its link';

ALTER TABLE fleetsync.removed_vehicle
    ADD COLUMN IF NOT EXISTS interval_sec double precision,
    ADD COLUMN IF NOT EXISTS timeout_sec double precision,
    ADD COLUMN IF NOT EXISTS window_sec double precision,
    ADD COLUMN IF NOT EXISTS gap_kbit integer;

-- Whoever reads vehicle_state reads this in the same statements, before anybody grants anything; who
-- writes there is a daemon.
DO $$
DECLARE
    rights text;
    reader text;
BEGIN
    FOR rights, reader IN
        SELECT string_agg(DISTINCT a.privilege_type, ', '), CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'fleetsync.vehicle_state'::regclass AND a.grantee <> c.relowner
          AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        GROUP BY a.grantee
    LOOP
        EXECUTE format('GRANT %s ON fleetsync.vehicle_terms TO %s', rights, reader);
    END LOOP;
END
$$;

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

SELECT fleetsync.guard_table('fleetsync.vehicle_terms');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);
