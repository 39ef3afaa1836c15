-- Who did what: the actions of operators, and what the daemon does in their place.
-- depends: 0029.compressed-chunks

CREATE TABLE IF NOT EXISTS fleetsync.action_log (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    login text NOT NULL,
    address text,
    role text NOT NULL DEFAULT current_user,
    action text NOT NULL,
    vehicle_id uuid,
    vehicle text,
    before jsonb,
    after jsonb
);

COMMENT ON TABLE fleetsync.action_log IS
    'What operators did, a row for each vehicle that an action has changed; kept as the journal';

COMMENT ON COLUMN fleetsync.action_log.login IS
    'Who called sudo, else the login name on the host of the command; daemon on HOST';

COMMENT ON COLUMN fleetsync.action_log.address IS
    'From where they had logged in by SSH; null: not known';

COMMENT ON COLUMN fleetsync.action_log.vehicle_id IS
    'No foreign key: the row stays when the vehicle is removed; null: no single vehicle''s';

COMMENT ON COLUMN fleetsync.action_log.before IS
    'What has changed, as it was; null: there was nothing. Never a key';

CREATE INDEX IF NOT EXISTS action_log_at ON fleetsync.action_log (at DESC, id DESC);

CREATE INDEX IF NOT EXISTS action_log_vehicle ON fleetsync.action_log (vehicle_id, at DESC);

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

SELECT fleetsync.guard_table('fleetsync.action_log');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);
