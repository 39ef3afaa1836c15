-- What each vehicle calls itself, so that another machine in its place is noticed.
-- depends: 0012.removed-vehicles

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS id_hint text,
    ADD COLUMN IF NOT EXISTS other_hint text,
    ADD COLUMN IF NOT EXISTS other_hint_since timestamptz;

COMMENT ON COLUMN fleetsync.vehicle_state.id_hint IS
    'What the vehicle called itself when it was first asked, or when an operator accepted it';
COMMENT ON COLUMN fleetsync.vehicle_state.other_hint IS
    'What it called itself in the last cycle, if that was something else; else null';
