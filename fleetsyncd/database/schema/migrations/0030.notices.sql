-- What operators are told of: notices, whom they were sent to, and what is the case at present.
-- depends: 0029.compressed-chunks

CREATE TABLE IF NOT EXISTS fleetsync.notice (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    severity text NOT NULL,
    vehicle_id uuid,
    vehicle_name text,
    tags text[] NOT NULL DEFAULT '{}',
    title text NOT NULL,
    detail text NOT NULL DEFAULT ''
);

COMMENT ON TABLE fleetsync.notice IS
    'What operators are told of, written in the transaction in which it becomes true';
COMMENT ON COLUMN fleetsync.notice.vehicle_id IS 'Null if it is of no single vehicle';
COMMENT ON COLUMN fleetsync.notice.tags IS 'Those of the vehicle at that time';

CREATE INDEX IF NOT EXISTS notice_at ON fleetsync.notice (at);

CREATE TABLE IF NOT EXISTS fleetsync.notice_delivery (
    notice_id bigint NOT NULL REFERENCES fleetsync.notice ON DELETE CASCADE,
    target text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL CHECK (outcome IN ('sent', 'given up', 'not for it')),
    PRIMARY KEY (notice_id, target)
);

COMMENT ON TABLE fleetsync.notice_delivery IS 'Which target has got which notice, or will never';

CREATE TABLE IF NOT EXISTS fleetsync.notice_target (
    target text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    taken_until timestamptz,
    sent_at timestamptz,
    failing_since timestamptz,
    failures integer NOT NULL DEFAULT 0,
    next_at timestamptz,
    last_error text
);

COMMENT ON TABLE fleetsync.notice_target IS 'Whom notices are sent to; the name has no secret';
COMMENT ON COLUMN fleetsync.notice_target.since IS 'Older notices are not for it';
COMMENT ON COLUMN fleetsync.notice_target.taken_until IS
    'Until then a daemon sends to it, and no other does';

CREATE TABLE IF NOT EXISTS fleetsync.condition (
    kind text NOT NULL,
    subject text NOT NULL,
    vehicle_id uuid,
    vehicle_name text,
    since timestamptz NOT NULL,
    told_at timestamptz,
    ended_at timestamptz,
    amount bigint NOT NULL DEFAULT 0,
    begun timestamptz[] NOT NULL DEFAULT '{}',
    flap_told_at timestamptz,
    PRIMARY KEY (kind, subject)
);

COMMENT ON TABLE fleetsync.condition IS 'What operators are told the beginning and the end of';
COMMENT ON COLUMN fleetsync.condition.told_at IS 'Null: it is not told, as it is muted or flaps';
COMMENT ON COLUMN fleetsync.condition.ended_at IS 'Null: it is the case';
COMMENT ON COLUMN fleetsync.condition.amount IS 'How much of it was told of already';
COMMENT ON COLUMN fleetsync.condition.begun IS 'When it has begun within the last hour';
COMMENT ON COLUMN fleetsync.condition.flap_told_at IS
    'When it was told that it begins again and again';

CREATE OR REPLACE FUNCTION fleetsync.guard_notices(owned regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_policy WHERE polrelid = owned) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', owned);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', owned);
    EXECUTE format('CREATE POLICY superuser ON %s'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''superuser'')', owned);
    IF owned = 'fleetsync.notice'::regclass THEN
        EXECUTE format('CREATE POLICY owner ON %s FOR SELECT'
            ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''
            ' AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a'
            ' WHERE a.user_id = nullif(current_setting(''app.user_id'', true), '''')::uuid))', owned);
    END IF;
END
$$;

SELECT fleetsync.guard_notices('fleetsync.notice');

SELECT fleetsync.guard_notices('fleetsync.notice_delivery');

SELECT fleetsync.guard_notices('fleetsync.notice_target');

SELECT fleetsync.guard_notices('fleetsync.condition');

DROP FUNCTION IF EXISTS fleetsync.guard_notices(regclass);
