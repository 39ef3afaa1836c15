-- Owners see the journal and the quarantine of the vehicles granted to them, and no others'.
-- depends: 0005.replica-shards

-- The journal of an adopted installation stays as it is: others may read it without the context
-- that the policies ask for. This schema's own is told by its key.
DO $$
DECLARE
    owned regclass;
    own_journal boolean;
BEGIN
    SELECT array_length(conkey, 1) = 2 INTO own_journal
    FROM pg_constraint WHERE conrelid = 'public.sync_journal'::regclass AND contype = 'p';
    FOREACH owned IN ARRAY ARRAY['public.sync_journal', 'fleetsync.quarantine']::regclass[] LOOP
        CONTINUE WHEN owned = 'public.sync_journal'::regclass AND NOT coalesce(own_journal, false);
        CONTINUE WHEN EXISTS (SELECT FROM pg_policy WHERE polrelid = owned);
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
    END LOOP;
END
$$;
