-- What comes with a vehicle's next cycles is no gap yet: one that is asked rarely waits longer than
-- five minutes, and one whose clock is behind has nothing newer than that clock.
-- depends: 0041.chunks-of-minutes

CREATE OR REPLACE FUNCTION fleetsync.coverage_rows()
RETURNS TABLE (vehicle_id uuid, from_at timestamptz, to_at timestamptz, kind text)
LANGUAGE sql STABLE AS $function$
WITH vehicle AS NOT MATERIALIZED (
    SELECT v.id, least(v.last_sync_at, s.asked_to) AS reached,
        CASE WHEN s.covered_from < least(v.last_sync_at, s.asked_to) THEN s.covered_from END
            AS covered_from,
        coalesce(s.islands, '{}') - tstzmultirange(tstzrange(NULL, v.last_sync_at)) AS islands,
        coalesce((SELECT range_agg(tstzrange(l.from_at, l.to_at))
                  FROM fleetsync.lost_interval l WHERE l.vehicle_id = v.id), '{}') AS lost,
        now() + least(coalesce(s.clock_skew_ms, 0), 0) * interval '1 ms' AS clock,
        -- Three cycles, as of a vehicle that is late.
        greatest(interval '5 minutes', interval '3 s' * greatest(
            (SELECT t.interval_sec FROM fleetsync.vehicle_terms t WHERE t.vehicle_id = v.id),
            (SELECT max(r.interval_sec) FROM fleetsync.replica r))) AS patience
    FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
    WHERE v.last_sync_at IS NOT NULL
        AND ((SELECT current_setting('app.user_role', true)) = 'superuser'
            OR (SELECT current_setting('app.user_role', true)) = 'owner'
                AND v.id IN (SELECT a.vehicle_id FROM public.vehicle_access a
                    WHERE a.user_id = nullif(current_setting('app.user_id', true), '')::uuid))
), live AS NOT MATERIALIZED (
    SELECT vehicle.*, coalesce(upper(islands), reached) AS live_to FROM vehicle
), part AS NOT MATERIALIZED (
    SELECT id, 'complete' AS kind,
        tstzmultirange(tstzrange(covered_from, reached)) - lost AS parts FROM live
    UNION ALL
    SELECT id, 'live island', islands - lost FROM live
    UNION ALL
    SELECT id, 'gap', tstzmultirange(tstzrange(reached,
        CASE WHEN live_to < clock - patience THEN clock ELSE live_to END))
        - islands - lost FROM live
    UNION ALL
    SELECT l.vehicle_id, l.kind, tstzmultirange(tstzrange(l.from_at, l.to_at))
    FROM fleetsync.lost_interval l JOIN live ON live.id = l.vehicle_id
)
SELECT id AS vehicle_id, lower(span) AS from_at, upper(span) AS to_at, kind
FROM part, unnest(parts) span
$function$;

-- Who may read the view may read what it now needs.
DO $$
DECLARE
    reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'
            ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'fleetsync.coverage'::regclass AND a.grantee <> c.relowner
          AND a.privilege_type = 'SELECT'
    LOOP
        EXECUTE format('GRANT SELECT (clock_skew_ms) ON fleetsync.vehicle_state TO %s', reader);
        EXECUTE format(
            'GRANT SELECT (vehicle_id, interval_sec) ON fleetsync.vehicle_terms TO %s', reader);
        EXECUTE format('GRANT SELECT (interval_sec) ON fleetsync.replica TO %s', reader);
    END LOOP;
END
$$;
