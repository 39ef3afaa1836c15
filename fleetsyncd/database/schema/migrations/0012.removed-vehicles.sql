-- What is known of vehicles that were removed: measurements may stay behind them, to be given back
-- to the vehicle or deleted. An API key is not kept.
-- depends: 0011.retention-announcements

CREATE TABLE IF NOT EXISTS fleetsync.removed_vehicle (
    vehicle_id uuid PRIMARY KEY,
    name text,
    vpn_ip inet,
    api_port integer,
    created_at timestamptz,
    last_sync_at timestamptz,
    newest_measurement_at timestamptz,
    id_hint text,
    had_own_key boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    granted_to uuid[] NOT NULL DEFAULT '{}',
    removed_at timestamptz,
    purged_until timestamptz
);

COMMENT ON COLUMN fleetsync.removed_vehicle.id_hint IS
    'What the vehicle called itself, so that another machine in its place is noticed at its return';
COMMENT ON COLUMN fleetsync.removed_vehicle.granted_to IS
    'The users that vehicle_access let see it';
COMMENT ON COLUMN fleetsync.removed_vehicle.removed_at IS
    'Null: not known, a version that kept no record removed it';
COMMENT ON COLUMN fleetsync.removed_vehicle.purged_until IS
    'Measurements before it are deleted; null: all of them are kept';

-- Names and addresses are as secret as those of vehicles.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_policy WHERE polrelid = 'fleetsync.removed_vehicle'::regclass
    ) THEN
        ALTER TABLE fleetsync.removed_vehicle ENABLE ROW LEVEL SECURITY;
        ALTER TABLE fleetsync.removed_vehicle FORCE ROW LEVEL SECURITY;
        CREATE POLICY superuser ON fleetsync.removed_vehicle
            USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
    END IF;
END
$$;
