-- Labels that operators give to vehicles, such as the site at which they work.
-- depends: 0017.backfills-without-alarms

ALTER TABLE fleetsync.vehicle_state ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN fleetsync.vehicle_state.tags IS
    'What operators label the vehicle with, each once, in alphabetical order';

ALTER TABLE fleetsync.removed_vehicle ADD COLUMN IF NOT EXISTS tags text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN fleetsync.removed_vehicle.tags IS 'The tags that it had';
