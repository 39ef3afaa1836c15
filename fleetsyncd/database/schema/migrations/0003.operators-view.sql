-- What operators look at, without a walk through the journal for every vehicle, and what they may
-- ask for: a past interval to be pulled again.
-- depends: 0002.fleetsync-schema

ALTER TABLE fleetsync.vehicle_state
    ADD COLUMN IF NOT EXISTS last_rows integer,
    ADD COLUMN IF NOT EXISTS last_error text,
    ADD COLUMN IF NOT EXISTS catching_up_sec double precision,
    ADD COLUMN IF NOT EXISTS catching_up_rows bigint;

COMMENT ON COLUMN fleetsync.vehicle_state.last_error IS
    'What the newest journal row says beside its status';
COMMENT ON COLUMN fleetsync.vehicle_state.catching_up_sec IS
    'How long the pull of the present gap has taken so far';
COMMENT ON COLUMN fleetsync.vehicle_state.catching_up_rows IS
    'Rows that the pull of the present gap has added so far';

INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, last_rows, last_error)
SELECT v.id, j.rows_written, j.error_msg
FROM public.vehicles v
CROSS JOIN LATERAL (SELECT rows_written, error_msg FROM public.sync_journal
                    WHERE vehicle_id = v.id ORDER BY started_at DESC LIMIT 1) j
ON CONFLICT (vehicle_id) DO UPDATE
    SET last_rows = excluded.last_rows, last_error = excluded.last_error;

CREATE TABLE IF NOT EXISTS fleetsync.backfill (
    vehicle_id uuid PRIMARY KEY REFERENCES public.vehicles ON DELETE CASCADE,
    from_at timestamptz NOT NULL,
    to_at timestamptz NOT NULL,
    reached_at timestamptz NOT NULL,
    rows_added bigint NOT NULL DEFAULT 0,
    busy_sec double precision NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    last_error text,
    CHECK (from_at < to_at AND reached_at BETWEEN from_at AND to_at)
);

COMMENT ON TABLE fleetsync.backfill IS
    'A past interval to be pulled again, one per vehicle; reached_at: stored up to here';

CREATE INDEX IF NOT EXISTS backfill_open ON fleetsync.backfill (asked_at)
    WHERE finished_at IS NULL;
