-- How late a vehicle commits its rows, and how far before what was pulled it is asked again for that.
-- depends: 0021.replaced-alarms

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS late_ms integer,
    ADD COLUMN IF NOT EXISTS overlap_ms integer,
    ADD COLUMN IF NOT EXISTS overlap_since timestamptz,
    ADD COLUMN IF NOT EXISTS suspect_from timestamptz,
    ADD COLUMN IF NOT EXISTS newest_row_at timestamptz;

COMMENT ON COLUMN fleetsync.vehicle_state.late_ms IS
    'How long after their time rows were committed at most; it decays; null: not met yet';
COMMENT ON COLUMN fleetsync.vehicle_state.overlap_ms IS
    'How far before what is pulled the next pull begins; null: PULL_OVERLAP_SEC';
COMMENT ON COLUMN fleetsync.vehicle_state.overlap_since IS
    'Since when, in the vehicle''s time, nothing shows it to be too short; null: not known';
COMMENT ON COLUMN fleetsync.vehicle_state.suspect_from IS
    'The earliest time of which rows may be missing, since the overlap was too short; null: none';
COMMENT ON COLUMN fleetsync.vehicle_state.newest_row_at IS
    'Time of the newest row that came, stored or not';
