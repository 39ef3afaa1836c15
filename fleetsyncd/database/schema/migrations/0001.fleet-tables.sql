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

CREATE INDEX IF NOT EXISTS alarms_log_open ON public.alarms_log (vehicle_id, triggered_at)
    WHERE resolved_at IS NULL;

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

-- An existing installation may have this index under a name of its own.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'sync_journal'
            AND indexdef LIKE '%(vehicle_id, started_at DESC)'
    ) THEN
        CREATE INDEX sync_journal_vehicle_started
            ON public.sync_journal (vehicle_id, started_at DESC);
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS public.vehicle_access (
    user_id uuid NOT NULL,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    PRIMARY KEY (user_id, vehicle_id)
);

-- Exactly once rests on this key: an installation without it gets it, or a clear refusal.
DO $$
DECLARE
    has_key boolean;
BEGIN
    SELECT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = 'public.measurements'::regclass AND i.indisunique AND i.indpred IS NULL
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
               FROM pg_attribute a
               WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::smallint[]))
              = ARRAY['channel_id', 'time', 'vehicle_id']
    ) INTO has_key;
    IF NOT has_key THEN
        CREATE UNIQUE INDEX measurements_vehicle_channel_time
            ON public.measurements (vehicle_id, channel_id, time);
    END IF;
END
$$;

-- A sub-select is evaluated once per statement, a bare current_setting() once per row.
-- Without a policy for superusers a daemon would see no vehicle, and no error either.
DO $$
DECLARE
    fleet_table text;
    key_column text;
    has_policies boolean;
    has_superusers boolean;
BEGIN
    FOREACH fleet_table IN ARRAY ARRAY['vehicles', 'measurements', 'alarms_log'] LOOP
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
        CONTINUE WHEN has_policies;
        key_column := CASE fleet_table WHEN 'vehicles' THEN 'id' ELSE 'vehicle_id' END;
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', fleet_table);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', fleet_table);
        EXECUTE format(
            'CREATE POLICY %I ON public.%I FOR SELECT'
            ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''
            ' AND %I IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id'
            ' = nullif(current_setting(''app.user_id'', true), '''')::uuid))',
            fleet_table || '_owner', fleet_table, key_column
        );
    END LOOP;
END
$$;
