-- What a vehicle has replaced: alarms whose number it has used again, channels that mean something else.
-- depends: 0020.live-islands

CREATE TABLE IF NOT EXISTS fleetsync.replaced_alarm (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    id bigserial,
    alarm_id bigint NOT NULL,
    channel_id integer,
    severity text,
    message text,
    triggered_at timestamptz,
    resolved_at timestamptz,
    synced_at timestamptz,
    replaced_at timestamptz NOT NULL DEFAULT now(),
    other_columns jsonb,
    PRIMARY KEY (vehicle_id, id)
);

COMMENT ON TABLE fleetsync.replaced_alarm IS
    'Alarms whose number the vehicle has used again: public.alarms_log has the newest of each number';
COMMENT ON COLUMN fleetsync.replaced_alarm.replaced_at IS
    'When the newer alarm of the same number was stored, or this one after it';
COMMENT ON COLUMN fleetsync.replaced_alarm.other_columns IS
    'What others had added to its row of public.alarms_log';

-- An alarm of the whole vehicle has no channel, and nulls would count as different.
CREATE UNIQUE INDEX IF NOT EXISTS replaced_alarm_once ON fleetsync.replaced_alarm
    (vehicle_id, alarm_id, triggered_at, coalesce(channel_id::bigint, 2147483648));

CREATE TABLE IF NOT EXISTS fleetsync.channel_change (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    channel_id integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    old_name text,
    old_unit text,
    old_min double precision,
    old_max double precision,
    new_name text,
    new_unit text,
    new_min double precision,
    new_max double precision,
    PRIMARY KEY (vehicle_id, channel_id, changed_at)
);

COMMENT ON TABLE fleetsync.channel_change IS
    'Channels with measurements that got another name and another unit: what they meant before';

-- Owners see what is known of the vehicles granted to them, and no others'.
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

SELECT fleetsync.guard_table('fleetsync.replaced_alarm');

SELECT fleetsync.guard_table('fleetsync.channel_change');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);
