-- Since when a vehicle is in its state. Only what cannot be derived: a late vehicle is late since three
-- intervals after last_sync_at.
-- depends: 0017.backfills-without-alarms

-- Rows that are there get the time of this migration for dated_at: it is not their updated_at, so
-- nothing is taken to be known of them.
ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS status_since timestamptz,
    ADD COLUMN IF NOT EXISTS dated_status text,
    ADD COLUMN IF NOT EXISTS paused_at timestamptz,
    ADD COLUMN IF NOT EXISTS resumed_at timestamptz,
    ADD COLUMN IF NOT EXISTS dated_at timestamptz DEFAULT now();

COMMENT ON COLUMN fleetsync.vehicle_state.status_since IS
    'When dated_status became the vehicle''s status, or a gap began or ended, or lateness ended; null: not known';
COMMENT ON COLUMN fleetsync.vehicle_state.dated_status IS
    'The sync_status that status_since dates; if the vehicle has another one, somebody else wrote it';
COMMENT ON COLUMN fleetsync.vehicle_state.paused_at IS
    'Since when the vehicle is paused; null: it is not, or that is not known';
COMMENT ON COLUMN fleetsync.vehicle_state.resumed_at IS
    'When it was resumed last; null: never, or not known';
COMMENT ON COLUMN fleetsync.vehicle_state.dated_at IS
    'The updated_at up to which these four are true: if that is another one, an older version wrote the row meanwhile';
