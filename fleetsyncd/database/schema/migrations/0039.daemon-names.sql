-- Names of daemons, of which several may run on one host.
-- depends: 0035.maintenance

ALTER TABLE fleetsync.replica ADD COLUMN IF NOT EXISTS name text;

COMMENT ON COLUMN fleetsync.replica.name IS 'DAEMON_NAME; null: it is called by host and process';
