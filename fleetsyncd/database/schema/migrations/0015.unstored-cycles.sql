-- A daemon that runs but cannot store what it pulls says so beside its heartbeat.
-- depends: 0014.backfill-losses

ALTER TABLE fleetsync.replica
    ADD COLUMN IF NOT EXISTS unstored integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS unstored_reason text;

COMMENT ON COLUMN fleetsync.replica.unstored IS
    'Vehicles whose last cycle the database could not store';
COMMENT ON COLUMN fleetsync.replica.unstored_reason IS
    'The last of these vehicles in brackets, and the error';
