-- Owners see the journal and the quarantine of the vehicles granted to them, and no others'.
-- depends: 0005.replica-shards

-- The journal of an adopted installation stays as it is: others may read it without the context
-- that the policies ask for. This schema's own is told by its key.
CREATE OR REPLACE FUNCTION fleetsync.guard_table(owned regclass) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF owned = 'public.sync_journal'::regclass AND NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = owned AND contype = 'p' AND array_length(conkey, 1) = 2
    ) OR EXISTS (SELECT FROM pg_policy WHERE polrelid = owned) THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', owned);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', owned);
    EXECUTE format(
        'CREATE POLICY superuser ON %s'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''superuser'')', owned
    );
    EXECUTE format(
        'CREATE POLICY owner ON %s FOR SELECT'
        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''
        ' AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id'
        ' = nullif(current_setting(''app.user_id'', true), '''')::uuid))', owned
    );
END
$$;

SELECT fleetsync.guard_table('public.sync_journal');

SELECT fleetsync.guard_table('fleetsync.quarantine');

DROP FUNCTION IF EXISTS fleetsync.guard_table(regclass);
