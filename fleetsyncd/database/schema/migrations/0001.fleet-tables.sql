-- The tables that other services know. An existing installation keeps its own as they stand:
-- only what is missing is added.

CREATE TABLE IF NOT EXISTS public.vehicles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    vpn_ip inet NOT NULL,
    api_port integer NOT NULL DEFAULT 8001 CHECK (api_port BETWEEN 1 AND 65535),
    api_key text,
    last_seen_at timestamptz,
    last_sync_at timestamptz,
    sync_status text NOT NULL DEFAULT 'unknown'
        CHECK (sync_status IN ('ok', 'timeout', 'error', 'unknown')),
    software_version text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (vpn_ip, api_port)
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS public.channel_config (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    channel_id integer NOT NULL,
    name text NOT NULL,
    unit text,
    min_value double precision,
    max_value double precision,
    synced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, channel_id)
);

-- No foreign key: checked per row it halves the ingest; every writing transaction locks the
-- vehicle's row once instead. No surrogate id and no second index: each costs a third.
CREATE TABLE IF NOT EXISTS public.measurements (
    vehicle_id uuid NOT NULL,
    channel_id integer NOT NULL,
    time timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (vehicle_id, channel_id, time)
) PARTITION BY RANGE (time);

CREATE TABLE IF NOT EXISTS public.alarms_log (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    alarm_id bigint NOT NULL,
    channel_id integer NOT NULL,
    severity text,
    message text NOT NULL,
    triggered_at timestamptz NOT NULL,
    resolved_at timestamptz,
    synced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, alarm_id)
);

CREATE TABLE IF NOT EXISTS public.sync_journal (
    id bigserial,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('ok', 'timeout', 'error')),
    rows_written integer NOT NULL DEFAULT 0,
    error_msg text,
    PRIMARY KEY (vehicle_id, id)
);

CREATE TABLE IF NOT EXISTS public.vehicle_access (
    user_id uuid NOT NULL,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    PRIMARY KEY (user_id, vehicle_id)
);

-- A sub-select is evaluated once per statement, a bare current_setting() once per row.
-- Without a policy for superusers a daemon would see no vehicle, and no error either.
CREATE OR REPLACE FUNCTION fleetsync.guard_table(fleet_table text, key_column text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    has_policies boolean;
    has_superusers boolean;
BEGIN
    SELECT count(*) > 0, coalesce(bool_or(qual LIKE '%app.user_role%superuser%'), false)
    INTO has_policies, has_superusers
    FROM pg_policies WHERE schemaname = 'public' AND tablename = fleet_table;
    IF NOT has_superusers THEN
        EXECUTE format(
            'CREATE POLICY %I ON public.%I'
            ' USING ((SELECT current_setting(''app.user_role'', true)) = ''superuser'')',
            fleet_table || '_superuser', fleet_table
        );
    END IF;
    IF has_policies THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', fleet_table);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', fleet_table);
    EXECUTE format(
        'CREATE POLICY %I ON public.%I FOR SELECT'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''
        ' AND %I IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id'
        ' = nullif(current_setting(''app.user_id'', true), '''')::uuid))',
        fleet_table || '_owner', fleet_table, key_column
    );
END
$$;

SELECT fleetsync.guard_table('vehicles', 'id');

SELECT fleetsync.guard_table('measurements', 'vehicle_id');

SELECT fleetsync.guard_table('alarms_log', 'vehicle_id');

DROP FUNCTION IF EXISTS fleetsync.guard_table(text, text);
