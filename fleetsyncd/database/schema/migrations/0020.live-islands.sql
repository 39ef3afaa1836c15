-- What was pulled ahead of a gap, so that what is live need not wait for what was missed.
-- depends: 0019.vehicle-tags

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS islands tstzmultirange NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS island_watermark timestamptz,
    ADD COLUMN IF NOT EXISTS gap_error text;

COMMENT ON COLUMN fleetsync.vehicle_state.islands IS
    'Intervals after last_sync_at of which everything is stored; between them are gaps';
COMMENT ON COLUMN fleetsync.vehicle_state.island_watermark IS
    'last_sync_at as it was written last together with islands: if that is set back, they are void';
COMMENT ON COLUMN fleetsync.vehicle_state.gap_error IS
    'Why the gap makes no progress; null while it does';
COMMENT ON COLUMN fleetsync.vehicle_state.catching_up_from IS
    'Where last_sync_at was when the present gap was found; null: there is none';
COMMENT ON COLUMN fleetsync.vehicle_state.catching_up_to IS 'Where the present gap ends';
