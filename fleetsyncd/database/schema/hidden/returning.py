"""The table that measurements come back to: a partition a month, under the policies of before."""

from fleetsyncd.database.schema.hidden.layout import BEFORE, KEY, RETURNING, TABLE, close

# Months are made for all that is stored, and for all that daemons may store until the end.
CREATE = f"""
CREATE TABLE {RETURNING} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY ({KEY})) PARTITION BY RANGE ("time");
{close(RETURNING)}
ALTER TABLE {RETURNING} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DO $$
DECLARE
    month timestamptz;
    policy record;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', least(now() - interval '14 months',
                (SELECT min(begins) FROM fleetsync.hidden_parts() WHERE isfinite(begins)),
                (SELECT min("time") FROM {TABLE}
                 WHERE fleetsync.timescale_schema() IS NULL))),
            greatest(now() + interval '3 months',
                (SELECT max(ends) FROM fleetsync.hidden_parts() WHERE isfinite(ends)),
                (SELECT max("time") FROM {TABLE}
                 WHERE fleetsync.timescale_schema() IS NULL)),
            interval '1 month')
    LOOP
        EXECUTE format('CREATE TABLE public.%I PARTITION OF {RETURNING}'
            ' FOR VALUES FROM (%L) TO (%L)',
            to_char(month, '"measurements_"YYYY_MM'), month, month + interval '1 month');
        PERFORM fleetsync.pass_on_maintenance(
            '{RETURNING}', to_char(month, '"measurements_"YYYY_MM'));
    END LOOP;
    FOR policy IN
        SELECT policyname, cmd, qual FROM pg_policies
        WHERE schemaname || '.' || tablename = '{BEFORE}' AND roles = '{{public}}'
    LOOP
        EXECUTE format('CREATE POLICY %I ON {RETURNING} FOR %s USING (%s)',
            policy.policyname, policy.cmd,
            replace(policy.qual, 'measurements_before.', 'measurements_back.'));
    END LOOP;
    IF NOT FOUND THEN
        CREATE POLICY measurements_superuser ON {RETURNING}
            USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
        CREATE POLICY measurements_owner ON {RETURNING} FOR SELECT
            USING ((SELECT current_setting('app.user_role', true)) = 'owner'
                AND vehicle_id IN (SELECT a.vehicle_id FROM public.vehicle_access a WHERE a.user_id
                    = nullif(current_setting('app.user_id', true), '')::uuid));
    END IF;
END
$$;
"""  # noqa: S608  made of this project's own text
