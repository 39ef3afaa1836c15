-- What a daemon remembers of a vehicle stands beside what it describes, so that a restore, a failover
-- or another daemon finds both of the same moment.
-- depends: 0007.unknown-clock-skew

-- Queries that wait for this lock must not wait long; what is refused is tried again.
SET LOCAL lock_timeout = '3s';

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS channels_digest bigint,
    ADD COLUMN IF NOT EXISTS channels_content numeric,
    ADD COLUMN IF NOT EXISTS alarms_digest bigint,
    ADD COLUMN IF NOT EXISTS data_window_ms bigint,
    ADD COLUMN IF NOT EXISTS alarms_window_ms bigint;

COMMENT ON COLUMN fleetsync.vehicle_state.channels_digest IS
    'Of the last /channels answer that is stored';
COMMENT ON COLUMN fleetsync.vehicle_state.channels_content IS
    'Of the vehicle''s rows in channel_config when that answer was stored';
COMMENT ON COLUMN fleetsync.vehicle_state.alarms_digest IS
    'Of the last /alarms answer that is stored';
COMMENT ON COLUMN fleetsync.vehicle_state.data_window_ms IS
    'How much of its time one question for measurements covers, as its link was learned to carry';
COMMENT ON COLUMN fleetsync.vehicle_state.alarms_window_ms IS 'The same for alarms';

ALTER TABLE fleetsync.backfill ADD COLUMN IF NOT EXISTS alarms_reached_at timestamptz;

COMMENT ON COLUMN fleetsync.backfill.alarms_reached_at IS
    'Alarms are stored up to here; null before the first';
