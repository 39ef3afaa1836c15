-- An installation that was there before fleetsyncd: other names, other keys, rows of its own.
-- Months are cut at midnight of the connection's time zone.

CREATE TABLE vehicles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    vpn_ip inet NOT NULL UNIQUE,
    api_port integer DEFAULT 8001,
    api_key text,
    last_seen_at timestamptz,
    last_sync_at timestamptz,
    sync_status text DEFAULT 'unknown'
        CONSTRAINT known_status CHECK (sync_status IN ('ok', 'timeout', 'error', 'unknown')),
    software_version text,
    created_at timestamptz DEFAULT now(),
    depot text
);

CREATE TABLE vehicle_access (
    user_id uuid NOT NULL,
    vehicle_id uuid NOT NULL REFERENCES vehicles (id),
    UNIQUE (user_id, vehicle_id)
);

CREATE TABLE channel_config (
    vehicle_id uuid NOT NULL REFERENCES vehicles (id),
    channel_id integer NOT NULL,
    name text,
    unit text,
    min_value double precision,
    max_value double precision,
    synced_at timestamptz,
    CONSTRAINT one_channel UNIQUE (vehicle_id, channel_id)
);

CREATE TABLE measurements (
    id bigserial,
    vehicle_id uuid NOT NULL REFERENCES vehicles (id),
    channel_id integer NOT NULL,
    time timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (id, time),
    CONSTRAINT one_measurement UNIQUE (vehicle_id, channel_id, time)
) PARTITION BY RANGE (time);

CREATE TABLE measurements_2026_01 PARTITION OF measurements
    FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE measurements_2026_02 PARTITION OF measurements
    FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');

CREATE TABLE alarms_log (
    vehicle_id uuid NOT NULL REFERENCES vehicles (id),
    alarm_id bigint NOT NULL,
    channel_id integer,
    severity text,
    message text NOT NULL,
    triggered_at timestamptz NOT NULL,
    resolved_at timestamptz,
    synced_at timestamptz DEFAULT now(),
    CONSTRAINT one_alarm UNIQUE (vehicle_id, alarm_id)
);

CREATE TABLE sync_journal (
    id bigserial PRIMARY KEY,
    vehicle_id uuid REFERENCES vehicles (id),
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    status text CHECK (status IN ('ok', 'timeout', 'error')),
    rows_written integer DEFAULT 0,
    error_msg text
);

CREATE INDEX journal_by_vehicle ON sync_journal (vehicle_id, started_at DESC);

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['vehicles', 'measurements', 'alarms_log'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format(
            'CREATE POLICY staff ON %I USING (current_setting(''app.user_role'', true)'
            ' = ''superuser'')', guarded
        );
        EXECUTE format(
            'CREATE POLICY customers ON %I FOR SELECT'
            ' USING (current_setting(''app.user_role'', true) = ''owner'' AND %I IN ('
            'SELECT vehicle_id FROM vehicle_access'
            ' WHERE user_id = current_setting(''app.user_id'', true)::uuid))',
            guarded, CASE guarded WHEN 'vehicles' THEN 'id' ELSE 'vehicle_id' END
        );
    END LOOP;
END
$$;

SELECT set_config('app.user_role', 'superuser', false);

INSERT INTO vehicles (id, name, vpn_ip, last_sync_at, sync_status, depot) VALUES
    ('00000000-0000-4000-8000-000000000001', 'Truck-01', '10.8.0.1', '2026-02-10 12:00+00', 'ok',
     'North'),
    ('00000000-0000-4000-8000-000000000002', 'Truck-02', '10.8.0.2', NULL, 'unknown', 'South');
INSERT INTO vehicle_access VALUES
    ('00000000-0000-4000-9000-000000000001', '00000000-0000-4000-8000-000000000001');
INSERT INTO channel_config VALUES
    ('00000000-0000-4000-8000-000000000001', 1, 'Oil pressure', 'bar', 0, 10, '2026-02-10');
INSERT INTO measurements (vehicle_id, channel_id, time, value)
    SELECT '00000000-0000-4000-8000-000000000001', 1, moment, extract(epoch FROM moment) / 7
    FROM generate_series(timestamptz '2026-01-30 12:00+00', '2026-02-10 12:00+00', '7 hours') moment;
INSERT INTO alarms_log VALUES
    ('00000000-0000-4000-8000-000000000001', 9007199254740993, 1, NULL, 'Oil pressure low',
     '2026-02-10 11:00+00', NULL, '2026-02-10 11:01+00');
INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written) VALUES
    ('00000000-0000-4000-8000-000000000001', '2026-02-10 12:00+00', '2026-02-10 12:00:02+00', 'ok',
     38);
