-- fleetsyncd's own tables. May run twice: an end between a migration and its record is survived.
-- depends: 0001.fleet-tables

CREATE TABLE IF NOT EXISTS fleetsync.vehicle_state (
    vehicle_id uuid PRIMARY KEY REFERENCES public.vehicles ON DELETE CASCADE,
    paused boolean NOT NULL DEFAULT false,
    sync_requested_at timestamptz,
    alarm_watermark timestamptz,
    newest_measurement_at timestamptz,
    asked_to timestamptz,
    clock_skew_ms bigint NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    catching_up_from timestamptz,
    catching_up_to timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

COMMENT ON COLUMN fleetsync.vehicle_state.asked_to IS
    'End of the last question while the vehicle''s clock was behind the watermark, else null';
COMMENT ON COLUMN fleetsync.vehicle_state.clock_skew_ms IS
    'The vehicle''s clock minus the central one at the last good pull';

CREATE INDEX IF NOT EXISTS vehicle_state_requested ON fleetsync.vehicle_state (sync_requested_at)
    WHERE sync_requested_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS fleetsync.replica (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    interval_sec double precision NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at timestamptz NOT NULL DEFAULT now(),
    cycle_sec double precision,
    vehicles integer
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS fleetsync.quarantine (
    id bigserial,
    vehicle_id uuid NOT NULL REFERENCES public.vehicles ON DELETE CASCADE,
    digest uuid NOT NULL,
    call text NOT NULL,
    raw text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vehicle_id, digest)
);

COMMENT ON COLUMN fleetsync.quarantine.digest IS
    'md5 of call and raw: a bad row met again in the next window''s overlap is kept once';
