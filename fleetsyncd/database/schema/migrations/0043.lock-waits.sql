-- What drops or compresses a part waits for its lock until the server has ended an autovacuum that is
-- in the way, which it does once somebody has waited for deadlock_timeout, a second.
-- depends: 0042.gaps-of-rare-vehicles

DO $$
DECLARE
    waiting regprocedure;
BEGIN
    FOR waiting IN
        SELECT f FROM unnest(ARRAY[
            to_regprocedure('fleetsync.drop_expired_month(integer, date, boolean)'),
            to_regprocedure('fleetsync.drop_expired_minutes(integer, date, boolean)'),
            to_regprocedure('fleetsync.compress_chunk(integer)')]) f
        WHERE f IS NOT NULL
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET lock_timeout = ''1500ms''', waiting);
    END LOOP;
END
$$;
