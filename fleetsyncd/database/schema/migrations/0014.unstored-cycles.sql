-- A daemon that runs but cannot store what it pulls says so beside its heartbeat.
-- depends: 0010.partitions-of-others

-- Queries that wait for this lock must not wait long; what is refused is tried again.
SET LOCAL lock_timeout = '3s';

ALTER TABLE fleetsync.replica
    ADD COLUMN IF NOT EXISTS unstored integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS unstored_reason text;

COMMENT ON COLUMN fleetsync.replica.unstored IS
    'Vehicles whose last cycle the database could not store';
COMMENT ON COLUMN fleetsync.replica.unstored_reason IS
    'The last of these vehicles in brackets, and the error';
