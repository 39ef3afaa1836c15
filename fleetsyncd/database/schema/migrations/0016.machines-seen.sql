-- When a vehicle was last known by its name, so that two that call themselves alike are told from one
-- that answers in the place of another.
-- depends: 0015.unstored-cycles

ALTER TABLE fleetsync.vehicle_state ADD COLUMN IF NOT EXISTS id_hint_at timestamptz;

COMMENT ON COLUMN fleetsync.vehicle_state.id_hint_at IS
    'Beginning of the last cycle in which the vehicle called itself id_hint';
