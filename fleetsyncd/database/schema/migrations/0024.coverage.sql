-- What of a vehicle's time is stored, what is not yet, and what never will be; and where the vehicle's
-- own history begins, which tells what of a gap will be lost.
-- depends: 0023.audits

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS covered_from timestamptz,
    ADD COLUMN IF NOT EXISTS history_from timestamptz,
    ADD COLUMN IF NOT EXISTS history_at timestamptz,
    ADD COLUMN IF NOT EXISTS history_watermark timestamptz,
    ADD COLUMN IF NOT EXISTS history_pace double precision,
    ADD COLUMN IF NOT EXISTS gap_pace double precision;

COMMENT ON COLUMN fleetsync.vehicle_state.covered_from IS
    'Where the first pull without a watermark began; null: not known, an older version made it';
COMMENT ON COLUMN fleetsync.vehicle_state.history_from IS
    'Oldest row that the vehicle itself held at history_at';
COMMENT ON COLUMN fleetsync.vehicle_state.history_at IS
    'When the vehicle was asked for it last, during the present gap; null: it was not';
COMMENT ON COLUMN fleetsync.vehicle_state.history_watermark IS 'last_sync_at at history_at';
COMMENT ON COLUMN fleetsync.vehicle_state.history_pace IS
    'Seconds by which history_from moves in a second; null before the second look';
COMMENT ON COLUMN fleetsync.vehicle_state.gap_pace IS
    'Seconds by which last_sync_at moves in a second, pauses included; null before the second look';

CREATE TABLE IF NOT EXISTS fleetsync.lost_interval (
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('gone for good', 'missing by audit')),
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL CHECK (to_at > from_at),
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, kind, from_at)
);

COMMENT ON TABLE fleetsync.lost_interval IS
    'Intervals before last_sync_at of which not everything is stored';

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_policy WHERE polrelid = 'fleetsync.lost_interval'::regclass
    ) THEN
        ALTER TABLE fleetsync.lost_interval ENABLE ROW LEVEL SECURITY;
        ALTER TABLE fleetsync.lost_interval FORCE ROW LEVEL SECURITY;
        CREATE POLICY superuser ON fleetsync.lost_interval
            USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
        CREATE POLICY owner ON fleetsync.lost_interval FOR SELECT
            USING ((SELECT current_setting('app.user_role', true)) = 'owner'
                AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a
                    WHERE a.user_id = nullif(current_setting('app.user_id', true), '')::uuid));
    END IF;
END
$$;

-- A function, since columns that a view reads can no longer be changed by those who own their tables.
-- The planner takes it apart as it does a view, and reads with the rights of whoever asks.
CREATE OR REPLACE FUNCTION fleetsync.coverage_rows()
RETURNS TABLE (vehicle_id uuid, from_at timestamptz, to_at timestamptz, kind text)
LANGUAGE sql STABLE AS $function$
WITH vehicle AS NOT MATERIALIZED (
    SELECT v.id, least(v.last_sync_at, s.asked_to) AS reached,
        CASE WHEN s.covered_from < least(v.last_sync_at, s.asked_to) THEN s.covered_from END
            AS covered_from,
        coalesce(s.islands, '{}') - tstzmultirange(tstzrange(NULL, v.last_sync_at)) AS islands,
        coalesce((SELECT range_agg(tstzrange(l.from_at, l.to_at))
                  FROM fleetsync.lost_interval l WHERE l.vehicle_id = v.id), '{}') AS lost
    FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
    WHERE v.last_sync_at IS NOT NULL
        AND ((SELECT current_setting('app.user_role', true)) = 'superuser'
            OR (SELECT current_setting('app.user_role', true)) = 'owner'
                AND v.id IN (SELECT a.vehicle_id FROM public.vehicle_access a
                    WHERE a.user_id = nullif(current_setting('app.user_id', true), '')::uuid))
), live AS NOT MATERIALIZED (
    SELECT vehicle.*, coalesce(upper(islands), reached) AS live_to FROM vehicle
), part AS NOT MATERIALIZED (
    SELECT id, 'complete' AS kind,
        tstzmultirange(tstzrange(covered_from, reached)) - lost AS parts FROM live
    UNION ALL
    SELECT id, 'live island', islands - lost FROM live
    UNION ALL
    -- What comes with the next cycles is no gap yet.
    SELECT id, 'gap', tstzmultirange(tstzrange(reached,
        CASE WHEN live_to < now() - interval '5 minutes' THEN now() ELSE live_to END))
        - islands - lost FROM live
    UNION ALL
    SELECT l.vehicle_id, l.kind, tstzmultirange(tstzrange(l.from_at, l.to_at))
    FROM fleetsync.lost_interval l JOIN live ON live.id = l.vehicle_id
)
SELECT id AS vehicle_id, lower(span) AS from_at, upper(span) AS to_at, kind
FROM part, unnest(parts) span
$function$;

-- The function asks for the same as the policies: they may bind the view's owner before PostgreSQL 15.
CREATE OR REPLACE VIEW fleetsync.coverage WITH (security_barrier = true) AS
SELECT vehicle_id, from_at, to_at, kind FROM fleetsync.coverage_rows();

DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW fleetsync.coverage SET (security_invoker = true);
    END IF;
END
$$;

COMMENT ON VIEW fleetsync.coverage IS
    'What of each vehicle''s time is complete, live ahead of a gap, still to be pulled, or lost';
