"""How functions read the hidden table: with its times as literals.

The planner then looks at the chunks of these times only, and locks no others. A hypertable may have
thousands.
"""

BY_LITERALS = """
CREATE OR REPLACE FUNCTION fleetsync.measured_channels(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS SETOF integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c FROM fleetsync.channels_between(%L::uuid, %L::timestamptz, %L::timestamptz) c',
        vehicle, from_at, to_at);
END
$function$;
CREATE OR REPLACE FUNCTION fleetsync.measured_minutes(
    vehicle uuid, channel integer, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    minute timestamptz, count integer, min double precision, max double precision,
    sum double precision, first double precision, last double precision
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT r.minute, r.count, r.min, r.max, r.sum, r.first, r.last FROM fleetsync.raw_minutes('
        '%L::uuid, %L::integer, %L::timestamptz, %L::timestamptz) r',
        vehicle, channel, from_at, to_at);
END
$function$;
"""
