-- What a vehicle was asked for again, to find out whether all of it is stored.
-- depends: 0022.lateness

CREATE TABLE IF NOT EXISTS fleetsync.audit (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    is_repair boolean NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    reached_at timestamptz NOT NULL,
    report_only boolean NOT NULL DEFAULT false,
    checked bigint NOT NULL DEFAULT 0,
    missing bigint NOT NULL DEFAULT 0,
    different bigint NOT NULL DEFAULT 0,
    gone bigint NOT NULL DEFAULT 0,
    gone_sec double precision NOT NULL DEFAULT 0,
    busy_sec double precision NOT NULL DEFAULT 0,
    repairs integer NOT NULL DEFAULT 0,
    not_before timestamptz,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    last_error text,
    PRIMARY KEY (vehicle_id, is_repair),
    CHECK (from_at < to_at AND reached_at BETWEEN from_at AND to_at)
);

COMMENT ON TABLE fleetsync.audit IS
    'An interval that is compared with what the vehicle has; reached_at: compared up to here';

COMMENT ON COLUMN fleetsync.audit.is_repair IS
    'The daemon wants it, since rows were missing; false: an operator does';

CREATE INDEX IF NOT EXISTS audit_open ON fleetsync.audit (asked_at) WHERE finished_at IS NULL;

CREATE TABLE IF NOT EXISTS fleetsync.verified (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    age_sec integer NOT NULL,
    verified_to timestamptz NOT NULL,
    looked_to timestamptz NOT NULL,
    looked_at timestamptz,
    missing bigint NOT NULL DEFAULT 0,
    different bigint NOT NULL DEFAULT 0,
    gone bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (vehicle_id, age_sec)
);

COMMENT ON TABLE fleetsync.verified IS
    'How far looks at what is age_sec old found nothing missing, and what they found in all';

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

SELECT fleetsync.guard_table('fleetsync.audit');

SELECT fleetsync.guard_table('fleetsync.verified');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);
