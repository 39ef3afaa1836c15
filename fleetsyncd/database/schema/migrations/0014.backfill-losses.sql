-- How much of a backfill's interval was gone, so that whoever looks later is told as well.
-- depends: 0010.partitions-of-others

-- Queries that wait for this lock must not wait long; what is refused is tried again.
SET LOCAL lock_timeout = '3s';

ALTER TABLE fleetsync.backfill ADD COLUMN IF NOT EXISTS gone_sec double precision NOT NULL DEFAULT 0;

COMMENT ON COLUMN fleetsync.backfill.gone_sec IS
    'Seconds of the interval that the vehicle had no longer, or that are older than what is kept';
