-- Whether a backfill had to do without alarms, so that whoever looks later is told as well.
-- depends: 0016.machines-seen

ALTER TABLE fleetsync.backfill ADD COLUMN IF NOT EXISTS lacks_alarms boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN fleetsync.backfill.lacks_alarms IS
    'The vehicle has no call for alarms: only measurements were pulled';
