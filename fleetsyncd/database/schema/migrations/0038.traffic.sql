-- What each vehicle's link has carried, by the day: somebody pays for it.
-- depends: 0037.vehicle-terms

CREATE TABLE IF NOT EXISTS fleetsync.traffic (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    day date NOT NULL,
    received_bytes bigint NOT NULL DEFAULT 0,
    sent_bytes bigint NOT NULL DEFAULT 0,
    requests bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (vehicle_id, day)
) WITH (fillfactor = 70);

COMMENT ON TABLE fleetsync.traffic IS
    'Bytes that daemons and a vehicle have exchanged above TCP, by days in UTC; kept for 13 months';

COMMENT ON COLUMN fleetsync.traffic.received_bytes IS
    'Heads and bodies of answers as they came, compressed; of those that broke off too';

CREATE INDEX IF NOT EXISTS traffic_day ON fleetsync.traffic (day);

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'fleetsync.traffic'::regclass) THEN
        ALTER TABLE fleetsync.traffic ENABLE ROW LEVEL SECURITY;
        ALTER TABLE fleetsync.traffic FORCE ROW LEVEL SECURITY;
        CREATE POLICY superuser ON fleetsync.traffic
            USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
        CREATE POLICY owner ON fleetsync.traffic FOR SELECT
            USING ((SELECT current_setting('app.user_role', true)) = 'owner'
                AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a
                    WHERE a.user_id = nullif(current_setting('app.user_id', true), '')::uuid));
    END IF;
END
$$;

ALTER TABLE fleetsync.replica ADD COLUMN IF NOT EXISTS traffic_batch bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN fleetsync.replica.traffic_batch IS
    'The last batch of traffic that was added: one that is sent again is not added twice';
