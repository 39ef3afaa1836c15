-- Who may read may also call what reads: where the owner's default privileges give new functions to
-- nobody, those that lend no rights had no grant of their own. They read with the rights of whoever
-- asks.
-- depends: 0035.maintenance

DO $$
DECLARE
    called text;
    reader text;
BEGIN
    FOR called, reader IN
        SELECT DISTINCT c.called, CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM (VALUES
            ('fleetsync.coverage', 'coverage_rows()'),
            ('public.measurements_minute', 'minute_parts(uuid, timestamptz, timestamptz)'),
            ('public.measurements_minute',
             'minute_values(uuid, integer[], timestamptz, timestamptz)'),
            ('public.measurements_minute',
             'measured_channels(uuid, timestamptz, timestamptz)'),
            ('public.measurements_minute',
             'measured_minutes(uuid, integer, timestamptz, timestamptz)'),
            ('public.measurements_minute',
             'channels_between(uuid, timestamptz, timestamptz)'),
            ('public.measurements_minute',
             'raw_minutes(uuid, integer, timestamptz, timestamptz)')
        ) c(read, called)
        JOIN pg_class t ON t.oid = to_regclass(c.read)
        CROSS JOIN LATERAL aclexplode(t.relacl) a
        WHERE a.privilege_type = 'SELECT' AND a.grantee <> t.relowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION fleetsync.%s TO %s', called, reader);
    END LOOP;
END
$$;
