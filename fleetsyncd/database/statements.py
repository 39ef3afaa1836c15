"""The SQL of the sync cycle; `store` gives each statement its arguments."""

from fleetsyncd.database import lateness

_CONFIRMED = "(c.synced_at BETWEEN now() - {age} AND now() + interval '1 min') IS TRUE"
_OLD = "interval '50 min' - (uuid_hash(c.vehicle_id) & 255) * interval '1 s'"
"""From this age on a channel is confirmed again; not that of all vehicles in the same cycle."""
# Other services may change or delete these rows, which must be noticed. The hash of a row need not
# be the same on every server: if it is not, what is unchanged is looked at once more.
# Unconfirmed rows count as well, so that a single one that gets old is noticed, and noticed once:
# that of a channel which the vehicle lists no more stays old.
_CHANNELS_CONTENT = f"""
    SELECT coalesce(sum(hashtextextended(
            (channel_id, name, unit, min_value, max_value)::text, 0)), 0)
        + count(*) FILTER (WHERE NOT ({_CONFIRMED.format(age=_OLD)})) AS content
    FROM public.channel_config c WHERE vehicle_id = {{vehicle}}
"""  # noqa: S608  made of this file's own text
_ADDRESS = "coalesce(host({v}vpn_ip), ''), coalesce({v}api_port, 8001)"
AT_ADDRESS = f"(%(host)s::text IS NULL OR ({_ADDRESS.format(v='')}) = (%(host)s, %(port)s))"
"""Whether a row of `vehicles` has the address that was asked; true if none was."""
_OPEN = """
WHERE vehicle_id = v.id AND resolved_at IS NULL AND triggered_at > age.since
  AND triggered_at < now() + interval '1 day'
"""
# An older version writes updated_at and not dated_at: what it left of these columns dates nothing.
DATED = "s.dated_at = s.updated_at"
"""Whether the columns that date a vehicle's state are true, of its row `s` of vehicle_state."""
IS_PAUSED = "(coalesce(s.paused, false) AND coalesce(s.paused_until > now(), true))"
"""Whether a vehicle is paused, of its row `s`; also of none, as by an outer join.

Grafana's dashboard has the same text."""
IS_OVER = "s.paused AND s.paused_until <= now()"
"""Whether its pause has ended by itself, and no daemon has tidied the row up yet."""
RESUMED_AT = "CASE WHEN s.paused THEN s.paused_until ELSE s.resumed_at END"
"""When a vehicle that is not paused was resumed: a pause has ended at its time."""
TERMS = "t.interval_sec, t.timeout_sec, t.window_sec, t.gap_kbit"
"""The columns of `Terms`, in order, of a row `t` that need not be there."""
JOIN_TERMS = "LEFT JOIN fleetsync.vehicle_terms t ON t.vehicle_id = v.id"


def true_islands(watermark: str) -> str:
    """Return SQL for the islands of `s`, a row of vehicle_state, with this last_sync_at.

    None if an older version has pulled the vehicle since, which may have met a clock that was set
    back, or if somebody has set last_sync_at back to have an interval pulled again.
    """
    return f"""CASE WHEN {DATED} AND ({watermark} < s.island_watermark) IS NOT TRUE
        THEN s.islands ELSE tstzmultirange() END"""


# Other services write last_sync_at too. Infinity, and years that Python cannot hold, are legal
# there; one such row must not keep the whole fleet from being read.
LOAD_VEHICLES = f"""
SELECT v.id::text, coalesce(v.name, v.id::text), {_ADDRESS.format(v="v.")}, v.api_key,
       CASE WHEN v.last_sync_at IS NOT NULL
            THEN greatest(least(v.last_sync_at::timestamptz, '9999-01-01Z'), '0001-01-02Z') END,
       coalesce(v.sync_status, 'unknown'), v.software_version, {IS_PAUSED},
       s.alarm_watermark, a.oldest, s.asked_to, s.clock_skew_ms,
       coalesce(s.failures, 0), s.newest_measurement_at, s.alarms_digest,
       CASE WHEN c.content = s.channels_content THEN s.channels_digest END,
       s.data_window_ms, s.alarms_window_ms, s.id_hint, s.other_hint,
       CASE WHEN NOT isempty(s.islands) THEN
           (SELECT array_agg(at ORDER BY at)
            FROM unnest({true_islands("v.last_sync_at")}) r,
                LATERAL (VALUES (lower(r)), (upper(r))) ends(at)) END,
       s.history_from, s.history_at, s.history_watermark, s.history_pace, s.gap_pace,
       coalesce(v.last_sync_at::timestamptz, '-infinity') < s.island_watermark IS TRUE,
       s.intake_day IS NOT DISTINCT FROM current_date, s.day_rows, s.day_seconds, s.day_alarms,
       s.day_channel_changes, {TERMS}, {lateness.SELECTED}
FROM public.vehicles v
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
{JOIN_TERMS}
LEFT JOIN LATERAL (
    SELECT least(
        (SELECT triggered_at FROM public.alarms_log {_OPEN} ORDER BY triggered_at LIMIT 1),
        (SELECT triggered_at FROM fleetsync.replaced_alarm {_OPEN} ORDER BY triggered_at LIMIT 1)
    ) AS oldest
    FROM (SELECT now() - %s::interval AS since) age
) a ON true
LEFT JOIN LATERAL ({_CHANNELS_CONTENT.format(vehicle="v.id")}) c ON true
WHERE true {{conditions}}
"""  # noqa: S608  made of this file's own text


def if_dated(column: str) -> str:
    """Return SQL for a column that dates the state; null if an older version wrote meanwhile."""
    return f"CASE WHEN {DATED} THEN s.{column} END"


LOCK_VEHICLE = f"""
SELECT {_ADDRESS.format(v="")} FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE
"""  # noqa: S608  made of this file's own text
PAUSED_VEHICLES = f"""
SELECT vehicle_id::text FROM fleetsync.vehicle_state s WHERE {IS_PAUSED}
"""  # noqa: S608  made of this file's own text
TAKE_SYNC_REQUESTS = f"""
UPDATE fleetsync.vehicle_state s SET sync_requested_at = NULL
WHERE sync_requested_at IS NOT NULL AND NOT {IS_PAUSED}
    AND vehicle_id <> ALL (%s::uuid[]) {{conditions}}
RETURNING vehicle_id::text
"""  # noqa: S608  made of this file's own text
# The vehicle's row is locked once per statement instead of a foreign key checked per row: while the
# lock is held the vehicle cannot be removed.
ADD_MEASUREMENTS = """
SELECT FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE;
SELECT added, late, oldest_late FROM fleetsync.add_measurements(
    %(id)s::uuid, %(channels)s, %(times)s, %(values)s,
    %(newest)s::timestamptz, %(head)s::timestamptz)
"""
# What that function does, in two. A cluster hands this call on to the worker, as it stands here;
# within a function, the coordinator has to read all of its text twice.
STORE_ON_WORKER = """
SELECT FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE;
SELECT added, late, oldest_late FROM fleetsync.store_measurements(
    %(id)s::uuid, %(channels)s, %(times)s, %(values)s,
    %(newest)s::timestamptz, %(head)s::timestamptz)
"""
MARK_MINUTES = "SELECT fleetsync.mark_minutes(%(id)s::uuid, %(times)s)"
DAY = """
    day_rows = %(added)s + CASE s.intake_day WHEN current_date THEN s.day_rows ELSE 0 END,
    day_seconds = %(covered_sec)s
        + CASE s.intake_day WHEN current_date THEN s.day_seconds ELSE 0 END,
    day_alarms = CASE s.intake_day WHEN current_date THEN s.day_alarms ELSE 0 END,
    day_channel_changes = CASE s.intake_day WHEN current_date THEN s.day_channel_changes ELSE 0 END,
    intake_day = current_date
"""
"""What is counted of a day: sets columns of `s`, a row of vehicle_state."""
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
"""  # noqa: S608  made of this file's own text
_LOCKED = """
WITH vehicle AS (SELECT id FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE)
"""
_JOURNAL_ENTRY = """
INSERT INTO public.sync_journal
    (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT id, %(started)s, %(finished)s, %(status)s, %(rows)s, %(error)s FROM vehicle
WHERE NOT EXISTS (SELECT FROM public.sync_journal
                  WHERE vehicle_id = %(id)s::uuid AND started_at = %(started)s)
"""
JOURNAL_ENTRY = _LOCKED + _JOURNAL_ENTRY
# What a machine at an address of before has told says nothing about the one at the new address.
JOURNAL_ENTRY_AND_STATE = f"""
WITH vehicle AS (
    SELECT id, coalesce(sync_status, 'unknown') AS sync_status, {AT_ADDRESS} AS was_asked
    FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE
),
state AS (
    INSERT INTO fleetsync.vehicle_state AS s
        (vehicle_id, failures, last_rows, last_error, id_hint, id_hint_at, dated_status)
    SELECT id, %(failures)s, %(rows)s, %(error)s, %(hint)s,
        CASE WHEN %(hint)s IS NOT NULL THEN %(started)s::timestamptz END, sync_status
    FROM vehicle WHERE was_asked
    ON CONFLICT (vehicle_id) DO UPDATE SET
        alarm_watermark = CASE
            WHEN s.alarm_watermark IS NOT DISTINCT FROM %(known_alarm_watermark)s
                AND s.alarms_digest IS NOT DISTINCT FROM %(known_alarms_digest)s
            THEN coalesce(%(alarm_watermark)s, s.alarm_watermark) ELSE s.alarm_watermark END,
        data_window_ms = coalesce(%(data_ms)s, s.data_window_ms),
        alarms_window_ms = coalesce(%(alarms_ms)s, s.alarms_window_ms),
        failures = excluded.failures, last_rows = excluded.last_rows,
        last_error = excluded.last_error, updated_at = now(),
        id_hint = coalesce(s.id_hint, excluded.id_hint),
        id_hint_at = CASE WHEN excluded.id_hint = coalesce(s.id_hint, excluded.id_hint)
                          THEN excluded.id_hint_at ELSE s.id_hint_at END,
        other_hint = CASE WHEN excluded.id_hint IS NULL THEN s.other_hint
                          WHEN excluded.id_hint <> s.id_hint THEN excluded.id_hint END,
        other_hint_since = CASE
            WHEN coalesce(excluded.id_hint, s.other_hint) = s.other_hint THEN s.other_hint_since
            WHEN excluded.id_hint <> s.id_hint THEN %(started)s END,
        status_since = CASE WHEN {DATED} AND s.dated_status = excluded.dated_status
                            THEN s.status_since END,
        dated_status = excluded.dated_status, dated_at = now(),
        paused_at = {if_dated("paused_at")}, resumed_at = {if_dated("resumed_at")}
) {_JOURNAL_ENTRY}"""  # noqa: S608  made of this file's own text
SAVE_FAILURE = f"""
UPDATE fleetsync.vehicle_state s SET failures = %(failures)s, last_rows = %(rows)s,
    last_error = %(error)s, updated_at = now(), dated_at = CASE WHEN {DATED} THEN now() END
WHERE vehicle_id = %(id)s::uuid
  AND EXISTS (SELECT FROM public.vehicles WHERE id = vehicle_id AND {AT_ADDRESS})
"""  # noqa: S608  made of this file's own text
SAVE_LEARNED = """
UPDATE fleetsync.vehicle_state
SET data_window_ms = %(data_ms)s, alarms_window_ms = %(alarms_ms)s WHERE vehicle_id = %(id)s::uuid
"""
# The journal entry's statement was before this one: dated_status is the status that ends here.
MARK_FAILED = f"""
WITH vehicle AS (
    UPDATE public.vehicles SET sync_status = %(status)s,
        last_seen_at = CASE WHEN %(answered)s THEN now() ELSE last_seen_at END,
        software_version = coalesce(%(version)s, software_version)
    WHERE id = %(id)s::uuid AND {AT_ADDRESS}
    RETURNING id
),
state AS (
    UPDATE fleetsync.vehicle_state s SET status_since = now(), dated_status = %(status)s
    WHERE s.vehicle_id = %(id)s::uuid AND EXISTS (SELECT FROM vehicle)
      AND {DATED} AND s.dated_status <> %(status)s
)
SELECT FROM vehicle
"""  # noqa: S608  made of this file's own text
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
  AND NOT ({_CONFIRMED.format(age="interval '20 min'")})
"""  # noqa: S608  made of this file's own text
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
"""  # noqa: S608  made of this file's own text
# Only from the state that the cycle knows: it may have been restored to an older one meanwhile.
MOVE_ALARM_WATERMARK = """
UPDATE fleetsync.vehicle_state SET alarms_digest = %(digest)s,
    alarm_watermark = CASE WHEN alarm_watermark IS NOT DISTINCT FROM %(known)s
                           THEN %(watermark)s ELSE alarm_watermark END
WHERE vehicle_id = %(id)s::uuid
"""
COUNT_INTAKE = """
INSERT INTO fleetsync.vehicle_state AS s
    (vehicle_id, intake_day, day_rows, day_seconds, day_alarms, day_channel_changes)
VALUES (%(id)s::uuid, current_date, %(rows)s, %(seconds)s, %(alarms)s, %(channel_changes)s)
ON CONFLICT (vehicle_id) DO UPDATE SET intake_day = excluded.intake_day,
    day_rows = excluded.day_rows + CASE s.intake_day WHEN current_date THEN s.day_rows ELSE 0 END,
    day_seconds = excluded.day_seconds
        + CASE s.intake_day WHEN current_date THEN s.day_seconds ELSE 0 END,
    day_alarms = excluded.day_alarms
        + CASE s.intake_day WHEN current_date THEN s.day_alarms ELSE 0 END,
    day_channel_changes = excluded.day_channel_changes
        + CASE s.intake_day WHEN current_date THEN s.day_channel_changes ELSE 0 END
"""
REMEMBER_CHANNELS = f"""
WITH stored AS ({_CHANNELS_CONTENT.format(vehicle="%(id)s::uuid")})
INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, channels_digest, channels_content)
SELECT %(id)s::uuid, %(digest)s, stored.content FROM stored
ON CONFLICT (vehicle_id) DO UPDATE SET channels_digest = excluded.channels_digest,
    channels_content = excluded.channels_content
"""  # noqa: S608  made of this file's own text
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
