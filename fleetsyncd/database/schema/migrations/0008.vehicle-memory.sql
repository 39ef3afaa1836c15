-- What a daemon remembers of a vehicle stands beside what it describes, so that a restore, a failover
-- or another daemon finds both of the same moment.
-- depends: 0007.unknown-clock-skew

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS channels_digest bigint,
    ADD COLUMN IF NOT EXISTS channels_content numeric,
    ADD COLUMN IF NOT EXISTS alarms_digest bigint,
    ADD COLUMN IF NOT EXISTS data_window_ms bigint,
    ADD COLUMN IF NOT EXISTS alarms_window_ms bigint,
    ADD COLUMN IF NOT EXISTS intake_day date,
    ADD COLUMN IF NOT EXISTS day_rows bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS day_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS day_alarms integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS day_channel_changes integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN fleetsync.vehicle_state.channels_digest IS
    'Of the last /channels answer that is stored';
COMMENT ON COLUMN fleetsync.vehicle_state.channels_content IS
    'Of the vehicle''s rows in channel_config when that answer was stored';
COMMENT ON COLUMN fleetsync.vehicle_state.alarms_digest IS
    'Of the last /alarms answer that is stored';
COMMENT ON COLUMN fleetsync.vehicle_state.data_window_ms IS
    'How much of its time one question for measurements covers, as its link was learned to carry';
COMMENT ON COLUMN fleetsync.vehicle_state.alarms_window_ms IS 'The same for alarms';
COMMENT ON COLUMN fleetsync.vehicle_state.intake_day IS
    'The UTC day on which day_rows, day_seconds, day_alarms and day_channel_changes were stored';
COMMENT ON COLUMN fleetsync.vehicle_state.day_seconds IS
    'How much of the vehicle''s own time the rows of that day cover';

ALTER TABLE fleetsync.backfill ADD COLUMN IF NOT EXISTS alarms_reached_at timestamptz;

COMMENT ON COLUMN fleetsync.backfill.alarms_reached_at IS
    'Alarms are stored up to here; null before the first';
