"""The functions that read measurements, as the migrations make them: for a table of one server."""

READ_PLAIN = """
CREATE OR REPLACE FUNCTION fleetsync.measured_channels(
    vehicle uuid, from_at timestamptz, to_at timestamptz
)
RETURNS SETOF integer
LANGUAGE sql STABLE AS $function$
    SELECT c FROM fleetsync.channels_between(vehicle, from_at, to_at) c
$function$;
CREATE OR REPLACE FUNCTION fleetsync.measured_minutes(
    vehicle uuid, channel integer, from_at timestamptz, to_at timestamptz
)
RETURNS TABLE (
    minute timestamptz, count integer, min double precision, max double precision,
    sum double precision, first double precision, last double precision
)
LANGUAGE sql STABLE AS $function$
    SELECT r.minute, r.count, r.min, r.max, r.sum, r.first, r.last
    FROM fleetsync.raw_minutes(vehicle, channel, from_at, to_at) r
$function$;
"""
