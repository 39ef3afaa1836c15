-- Names of daemons, of which several may run on one host; when targets failed last.
-- depends: 0038.traffic

ALTER TABLE fleetsync.replica ADD COLUMN IF NOT EXISTS name text;

COMMENT ON COLUMN fleetsync.replica.name IS 'DAEMON_NAME; null: it is called by host and process';

ALTER TABLE fleetsync.notice_target ADD COLUMN IF NOT EXISTS failed_at timestamptz;

COMMENT ON COLUMN fleetsync.notice_target.failed_at IS
    'When it has not taken a message last; last_error says why';
