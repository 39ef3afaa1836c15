-- What is lost of a removed vehicle is known at its return: else all before it would be complete.
-- depends: 0043.lock-waits

ALTER TABLE fleetsync.removed_vehicle
    ADD COLUMN IF NOT EXISTS covered_from timestamptz,
    ADD COLUMN IF NOT EXISTS gone tstzmultirange NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS missing tstzmultirange NOT NULL DEFAULT '{}';

COMMENT ON COLUMN fleetsync.removed_vehicle.covered_from IS
    'Where its first pull began; null: not known';
COMMENT ON COLUMN fleetsync.removed_vehicle.gone IS 'Its lost intervals that are gone for good';
COMMENT ON COLUMN fleetsync.removed_vehicle.missing IS
    'Its lost intervals that an audit found to be missing';
