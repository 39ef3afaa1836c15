"""The SQL of `store`, which gives each statement its arguments."""

from fleetsyncd.database import lateness
from fleetsyncd.database.vehicle_state import (
    ADDRESS,
    AT_ADDRESS,
    DATED,
    DAY,
    IS_PAUSED,
    if_dated,
    true_islands,
)

CONFIRMED = "(c.synced_at BETWEEN now() - {age} AND now() + interval '1 min') IS TRUE"
"""Whether a channel was confirmed within `age`, of its row `c` of channel_config."""
LOCK_VEHICLE = f"""
SELECT {ADDRESS.format(v="")} FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE
"""  # noqa: S608  made of this project's own text
PAUSED_VEHICLES = f"""
SELECT vehicle_id::text FROM fleetsync.vehicle_state s WHERE {IS_PAUSED}
"""  # noqa: S608  made of this project's own text
# A statement does not see what its own CTEs change: this is the answer before the present one.
_SEEN_BEFORE = "SELECT b.last_seen_at FROM public.vehicles b WHERE b.id = %(id)s::uuid"
# One statement for watermark and state: each is one row, so the round trip is the larger cost.
# Both must be those that the cycle knows, or later ones: the database may have been restored. (The
# last two conditions on asked_to find the first try of this transaction, whose answer was lost.)
# asked_to is how far a pull behind the watermark has come. It goes back only with the vehicle's
# clock, as the alarms' watermark does. If the vehicle's clock is ahead, the daemon's own was set
# back, and hides no row of the vehicle.
# The state that operators see changes with the status, when a gap begins or ends, when a late
# vehicle is late no more, and, found by the first cycle that leaves it late, when it became late.
# The address must be the one that was asked: another machine's rows are not this vehicle's.
ADVANCE_WATERMARK = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET last_sync_at = greatest(last_sync_at, %(watermark)s),
        last_seen_at = now(), sync_status = 'ok',
        software_version = coalesce(%(version)s, software_version)
    WHERE id = %(id)s::uuid
      AND (last_sync_at >= coalesce(%(known)s, %(pulled_from)s)
           OR last_sync_at IS NOT DISTINCT FROM %(known)s)
      AND {AT_ADDRESS}
      AND NOT EXISTS (
          SELECT FROM fleetsync.vehicle_state
          WHERE vehicle_id = %(id)s::uuid AND asked_to IS DISTINCT FROM %(known_asked_to)s
            AND asked_to IS DISTINCT FROM %(watermark)s
            AND NOT (%(known)s < %(watermark)s AND last_sync_at >= %(watermark)s))
    RETURNING id, last_sync_at
)
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, newest_measurement_at, asked_to,
    clock_skew_ms, catching_up_from, catching_up_to, catching_up_sec, catching_up_rows,
    alarm_watermark, data_window_ms, alarms_window_ms, status_since, dated_status, covered_from,
    island_watermark, {lateness.COLUMNS})
SELECT id, %(newest)s, CASE WHEN last_sync_at > %(watermark)s THEN %(watermark)s END, %(skew)s,
    %(gap_start)s, %(gap_end)s, %(gap_sec)s, %(gap_rows)s, %(pulled_from)s, %(data_ms)s,
    %(alarms_ms)s, CASE WHEN %(known)s::timestamptz IS NULL THEN now() END, 'ok',
    CASE WHEN %(known)s::timestamptz IS NULL THEN %(pulled_from)s::timestamptz END,
    last_sync_at, {lateness.VALUES}
FROM vehicle
ON CONFLICT (vehicle_id) DO UPDATE SET
    covered_from = coalesce(excluded.covered_from, s.covered_from),
    alarm_watermark = CASE WHEN %(stepped_back)s
        THEN least(s.alarm_watermark, excluded.alarm_watermark)
        ELSE coalesce(s.alarm_watermark, excluded.alarm_watermark) END,
    newest_measurement_at = greatest(s.newest_measurement_at, excluded.newest_measurement_at),
    asked_to = CASE WHEN excluded.asked_to IS NULL OR %(stepped_back)s THEN excluded.asked_to
                    WHEN s.asked_to IS NULL AND (%(ahead)s OR NOT %(behind)s) THEN NULL
                    ELSE greatest(s.asked_to, excluded.asked_to) END,
    clock_skew_ms = excluded.clock_skew_ms,
    catching_up_from = excluded.catching_up_from, catching_up_to = excluded.catching_up_to,
    catching_up_sec = excluded.catching_up_sec, catching_up_rows = excluded.catching_up_rows,
    islands = CASE WHEN isempty(s.islands) THEN s.islands
        ELSE {true_islands("excluded.island_watermark")}
            - tstzmultirange(tstzrange(NULL, excluded.island_watermark))
            - CASE WHEN %(cut_from)s::timestamptz IS NULL THEN tstzmultirange()
                   ELSE tstzmultirange(tstzrange(%(cut_from)s, NULL)) END END,
    island_watermark = excluded.island_watermark, gap_error = NULL,
    data_window_ms = excluded.data_window_ms, alarms_window_ms = excluded.alarms_window_ms,
{lateness.UPDATED}, {DAY}, updated_at = now(),
    status_since = CASE WHEN %(known)s::timestamptz IS NULL THEN now()
        WHEN ({DATED}) IS NOT TRUE THEN NULL
        WHEN s.dated_status <> 'ok'
            OR (s.catching_up_from IS NULL) <> (excluded.catching_up_from IS NULL)
            OR s.catching_up_from IS NULL AND %(known)s < now() - %(late_after)s::interval
                AND %(watermark)s >= now() - %(late_after)s::interval
        THEN now()
        WHEN s.catching_up_from IS NULL AND %(known)s < now() - %(late_after)s::interval
            AND %(known)s >= ({_SEEN_BEFORE}) - %(late_after)s::interval
        THEN greatest(s.status_since, %(known)s::timestamptz + %(late_after)s::interval)
        ELSE s.status_since END,
    dated_status = 'ok', dated_at = now(),
    paused_at = {if_dated("paused_at")}, resumed_at = {if_dated("resumed_at")}
RETURNING asked_to
"""  # noqa: S608  made of this project's own text
SAVE_CHANNELS = """
INSERT INTO public.channel_config AS c
    (vehicle_id, channel_id, name, unit, min_value, max_value, synced_at)
SELECT %s::uuid, r.id, r.name, r.unit, r.low, r.high, now()
FROM unnest(%s::int[], %s::text[], %s::text[], %s::float8[], %s::float8[])
    r(id, name, unit, low, high)
ON CONFLICT (vehicle_id, channel_id) DO UPDATE SET name = excluded.name, unit = excluded.unit,
    min_value = excluded.min_value, max_value = excluded.max_value, synced_at = excluded.synced_at
WHERE (c.name, c.unit, c.min_value, c.max_value)
    IS DISTINCT FROM (excluded.name, excluded.unit, excluded.min_value, excluded.max_value)
"""
UNCHANGED_CHANNELS = """
SELECT c.channel_id
FROM unnest(%s::int[], %s::text[], %s::text[], %s::float8[], %s::float8[])
    r(id, name, unit, low, high)
JOIN public.channel_config c ON c.vehicle_id = %s::uuid AND c.channel_id = r.id
WHERE (c.name, c.unit, c.min_value, c.max_value)
    IS NOT DISTINCT FROM (r.name, r.unit, r.low, r.high)
"""
# Also those that are not old yet, so that a vehicle's channels are confirmed together.
CONFIRM_CHANNELS = f"""
UPDATE public.channel_config c SET synced_at = now()
WHERE vehicle_id = %s::uuid AND channel_id = ANY (%s::int[])
  AND NOT ({CONFIRMED.format(age="interval '20 min'")})
"""  # noqa: S608  made of this project's own text
# Another machine, or one that was set up anew, counts its alarms from the beginning. An adopted
# column may keep whole milliseconds only.
IS_SAME_ALARM = """
({known}.triggered_at BETWEEN {triggered} - interval '1 ms' AND {triggered} + interval '1 ms'
 AND {known}.channel_id IS NOT DISTINCT FROM {channel})
"""
# A conflict locks and logs the row even if nothing changes, so what is stored is left out before.
# One that was replaced does not come back, even if the alarm that replaced it is deleted. Counted,
# because that is looked up alarm by alarm: under row level security the planner takes a vehicle to
# have few alarms, and would join each of the answer with all of them.
_IS_REPLACED = IS_SAME_ALARM.format(known="p", triggered="r.triggered", channel="r.channel")
SAVE_ALARMS = f"""
INSERT INTO public.alarms_log AS a (vehicle_id, alarm_id, channel_id, severity, message,
    triggered_at, resolved_at, synced_at)
SELECT v.id, r.id, r.channel, r.severity, r.message, r.triggered, r.resolved, now()
FROM (SELECT %s::uuid AS id) v,
    unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    r(id, channel, severity, message, triggered, resolved)
WHERE (SELECT count(*) FROM public.alarms_log k WHERE k.vehicle_id = v.id
       AND k.alarm_id = r.id AND k.resolved_at IS NOT DISTINCT FROM r.resolved) = 0
  AND ((SELECT count(*) FROM fleetsync.replaced_alarm p WHERE p.vehicle_id = v.id
        AND p.alarm_id = r.id AND {_IS_REPLACED}) = 0
       OR EXISTS (SELECT FROM public.alarms_log k WHERE k.vehicle_id = v.id AND k.alarm_id = r.id))
ON CONFLICT (vehicle_id, alarm_id) DO UPDATE
    SET resolved_at = excluded.resolved_at, synced_at = excluded.synced_at
WHERE a.resolved_at IS DISTINCT FROM excluded.resolved_at
  AND {
    IS_SAME_ALARM.format(
        known="a", triggered="excluded.triggered_at", channel="excluded.channel_id"
    )
}
"""  # noqa: S608  made of this project's own text
QUARANTINE_ROWS = """
WITH vehicle AS (SELECT id FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE),
fresh AS (
    SELECT DISTINCT ON (r.digest) vehicle.id AS vehicle_id, r.*
    FROM vehicle, (SELECT md5(call || raw)::uuid AS digest, call, raw, reason
                   FROM unnest(%s::text[], %s::text[], %s::text[]) u(call, raw, reason)) r
    WHERE NOT EXISTS (SELECT FROM fleetsync.quarantine q
                      WHERE q.vehicle_id = vehicle.id AND q.digest = r.digest)
),
capacity AS (
    SELECT greatest(0, %s - count(*)) AS rows_left FROM fleetsync.quarantine
    WHERE vehicle_id = (SELECT id FROM vehicle)
),
inserted AS (
    INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)
    SELECT vehicle_id, digest, call, raw, reason FROM fresh LIMIT (SELECT rows_left FROM capacity)
    ON CONFLICT (vehicle_id, digest) DO NOTHING
)
SELECT greatest(0, (SELECT count(*) FROM fresh) - (SELECT rows_left FROM capacity))
"""
