"""The table that measurements come back to: a partition a month, under policies as the view's.

They are those of before the conversion if the view still shows what these do, else those of a new
installation if it shows what they do. Else its condition becomes one for reading, beside the one
by which superusers read and write all: without that, no row could be copied or stored.
"""

from fleetsyncd.database.schema.hidden.layout import (
    BEFORE,
    KEY,
    RETURNING,
    TABLE,
    VIEW,
    close,
    create_view,
)

_SHOWN = "fleetsync.measurements_shown"
"""A view of what the new policies show, to be compared with what is shown until now."""
_POLICIES = f"""
DO $$
DECLARE
    policy record;
BEGIN
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
{create_view(_SHOWN, RETURNING)}
DO $$
DECLARE
    shown text := pg_get_viewdef('{VIEW}'::regclass);
    condition text := replace(rtrim(substr(shown, strpos(shown, ' WHERE ') + 7), ';'),
        'measurements_before.', 'measurements_back.');
    policy name;
BEGIN
    IF replace(pg_get_viewdef('{_SHOWN}'::regclass), 'measurements_back', 'measurements_before')
        = shown
    THEN
        RETURN;
    END IF;
    FOR policy IN
        SELECT policyname FROM pg_policies WHERE schemaname || '.' || tablename = '{RETURNING}'
    LOOP
        EXECUTE format('DROP POLICY %I ON {RETURNING}', policy);
    END LOOP;
    CREATE POLICY measurements_superuser ON {RETURNING}
        USING ((SELECT current_setting('app.user_role', true)) = 'superuser');
    EXECUTE format('CREATE POLICY measurements_readers ON {RETURNING} FOR SELECT USING (%s)',
        condition);
END
$$;
DROP VIEW {_SHOWN};
"""  # noqa: S608  made of this project's own text
# Months are made for all that is stored, and for all that daemons may store until the end.
CREATE = f"""
CREATE TABLE {RETURNING} (LIKE {TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    PRIMARY KEY ({KEY})) PARTITION BY RANGE ("time");
{close(RETURNING)}
ALTER TABLE {RETURNING} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
DO $$
DECLARE
    month timestamptz;
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
END
$$;
{_POLICIES}
"""  # noqa: S608  made of this project's own text
