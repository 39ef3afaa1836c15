-- How much of a backfill's interval was gone, so that whoever looks later is told as well.
-- depends: 0013.machines

ALTER TABLE fleetsync.backfill ADD COLUMN IF NOT EXISTS gone_sec double precision NOT NULL DEFAULT 0;

COMMENT ON COLUMN fleetsync.backfill.gone_sec IS
    'Seconds of the interval that the vehicle had no longer, or that are older than what is kept';
