-- A skew that was never measured is null, not 0.
-- depends: 0006.owners-access

ALTER TABLE fleetsync.vehicle_state
    ALTER COLUMN clock_skew_ms DROP NOT NULL,
    ALTER COLUMN clock_skew_ms DROP DEFAULT;

COMMENT ON COLUMN fleetsync.vehicle_state.clock_skew_ms IS
    'The vehicle''s clock minus the central one at the last good pull; null if not known';
