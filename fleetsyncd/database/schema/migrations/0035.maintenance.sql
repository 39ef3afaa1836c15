-- Pauses with an end, a reason and who; mutes: what is pulled, and not told of.
-- depends: 0034.action-log

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS paused_until timestamptz,
    ADD COLUMN IF NOT EXISTS pause_reason text,
    ADD COLUMN IF NOT EXISTS paused_by text;

COMMENT ON COLUMN fleetsync.vehicle_state.paused_until IS
    'From then on it is not paused, whatever paused says; null: until somebody resumes it';

ALTER TABLE fleetsync.removed_vehicle
    ADD COLUMN IF NOT EXISTS paused_until timestamptz,
    ADD COLUMN IF NOT EXISTS pause_reason text,
    ADD COLUMN IF NOT EXISTS paused_by text;

CREATE TABLE IF NOT EXISTS fleetsync.mute (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    vehicle_id uuid REFERENCES public.vehicles ON DELETE CASCADE,
    tag text,
    until timestamptz,
    reason text,
    muted_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CHECK (vehicle_id IS NULL OR tag IS NULL)
);

COMMENT ON TABLE fleetsync.mute IS
    'Of whom nothing is told: a vehicle, those with a tag, or, with neither of both, the fleet';

CREATE UNIQUE INDEX IF NOT EXISTS mute_scope ON fleetsync.mute
    ((coalesce(vehicle_id::text, '')), (coalesce(tag, '')));
