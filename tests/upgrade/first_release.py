"""What the first release says to PostgreSQL: its statements word for word, and a cycle of them.

Kept so that a daemon of that release can be replayed while the schema is migrated under it.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
from psycopg2.extensions import connection, cursor, make_dsn

SET_UP = (
    "BEGIN; SELECT set_config('app.user_role', 'superuser', true),"
    " set_config('timezone', 'UTC', true), set_config('statement_timeout', '60s', true)"
)
ATTEMPTS = 4
AGAIN = ("40001", "40P01", "55P03")
LOCK_VEHICLE = "SELECT 1 FROM public.vehicles WHERE id = %s::uuid FOR KEY SHARE"
TAKE_REQUESTS = (
    "UPDATE fleetsync.vehicle_state SET sync_requested_at = NULL"
    " WHERE sync_requested_at IS NOT NULL RETURNING vehicle_id::text"
)
PAUSED = "SELECT vehicle_id::text FROM fleetsync.vehicle_state WHERE paused"
LEAVE = "DELETE FROM fleetsync.replica WHERE id = %s::uuid"
ENSURE_MONTH = "SELECT fleetsync.ensure_month(%s)"
VEHICLES = """
SELECT v.id::text, v.name, host(v.vpn_ip), v.api_port, v.api_key, v.last_sync_at, v.sync_status,
       v.software_version, v.last_seen_at, coalesce(s.paused, false), s.alarm_watermark,
       a.oldest, s.asked_to, coalesce(s.clock_skew_ms, 0), coalesce(s.failures, 0)
FROM public.vehicles v
LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
LEFT JOIN (SELECT vehicle_id, min(triggered_at) AS oldest FROM public.alarms_log
           WHERE resolved_at IS NULL AND triggered_at > now() - %s::interval
           GROUP BY vehicle_id) a ON a.vehicle_id = v.id
WHERE %s::uuid[] IS NULL OR v.id = ANY (%s::uuid[])
"""
ADD_MEASUREMENTS = """
INSERT INTO public.measurements (vehicle_id, channel_id, time, value)
SELECT %s::uuid, c, t, v FROM unnest(%s::int[], %s::timestamptz[], %s::float8[]) r(c, t, v)
ON CONFLICT (vehicle_id, channel_id, time) DO NOTHING
"""
# One statement for watermark and state: both are one row, and a round trip is the dearer part.
ADVANCE = """
WITH state AS (
    INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, newest_measurement_at, asked_to,
        clock_skew_ms, catching_up_from, catching_up_to)
    VALUES (%(id)s::uuid, %(newest)s, %(asked_to)s, %(skew)s, %(gap_start)s, %(gap_end)s)
    ON CONFLICT (vehicle_id) DO UPDATE SET
        newest_measurement_at = greatest(s.newest_measurement_at, excluded.newest_measurement_at),
        asked_to = excluded.asked_to, clock_skew_ms = excluded.clock_skew_ms,
        catching_up_from = excluded.catching_up_from, catching_up_to = excluded.catching_up_to,
        updated_at = now()
)
UPDATE public.vehicles SET last_sync_at = greatest(last_sync_at, %(watermark)s),
    last_seen_at = now(), software_version = %(version)s, sync_status = 'ok'
WHERE id = %(id)s::uuid
  AND (last_sync_at >= %(known)s OR last_sync_at IS NOT DISTINCT FROM %(known)s)
"""
JOURNAL = """
WITH state AS (
    INSERT INTO fleetsync.vehicle_state AS s (vehicle_id, alarm_watermark, failures)
    VALUES (%(id)s::uuid, %(alarm_watermark)s, %(failures)s)
    ON CONFLICT (vehicle_id) DO UPDATE SET
        alarm_watermark = coalesce(excluded.alarm_watermark, s.alarm_watermark),
        failures = excluded.failures, updated_at = now()
)
INSERT INTO public.sync_journal
    (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT %(id)s::uuid, %(started)s, %(finished)s, %(status)s, %(rows)s, %(error)s
WHERE NOT EXISTS (SELECT FROM public.sync_journal
                  WHERE vehicle_id = %(id)s::uuid AND started_at = %(started)s)
"""
FAILED = """
UPDATE public.vehicles SET sync_status = %s,
    last_seen_at = CASE WHEN %s THEN now() ELSE last_seen_at END,
    software_version = coalesce(%s, software_version)
WHERE id = %s::uuid
"""
CHANNELS = """
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
ALARMS = """
INSERT INTO public.alarms_log AS a (vehicle_id, alarm_id, channel_id, severity, message,
    triggered_at, resolved_at, synced_at)
SELECT %s::uuid, r.id, r.channel, r.severity, r.message, r.triggered, r.resolved, now()
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
    r(id, channel, severity, message, triggered, resolved)
ON CONFLICT (vehicle_id, alarm_id) DO UPDATE
    SET resolved_at = excluded.resolved_at, synced_at = excluded.synced_at
WHERE a.resolved_at IS DISTINCT FROM excluded.resolved_at
"""
QUARANTINE = """
INSERT INTO fleetsync.quarantine (vehicle_id, digest, call, raw, reason)
SELECT %s::uuid, md5(r.call || r.raw)::uuid, r.call, r.raw, r.reason
FROM unnest(%s::text[], %s::text[], %s::text[]) r(call, raw, reason)
WHERE (SELECT count(*) FROM fleetsync.quarantine WHERE vehicle_id = %s::uuid) < %s
ON CONFLICT (vehicle_id, digest) DO NOTHING
"""
BEAT = """
INSERT INTO fleetsync.replica AS r (id, host, pid, version, interval_sec, cycle_sec, vehicles)
VALUES (%(id)s::uuid, %(host)s, %(pid)s, %(version)s, %(interval)s, %(cycle)s, %(vehicles)s)
ON CONFLICT (id) DO UPDATE SET beat_at = now(), cycle_sec = excluded.cycle_sec,
    vehicles = excluded.vehicles
"""

BEGIN = datetime(2026, 11, 25, tzinfo=UTC)
"""Later than what the dump holds, and in a month that it has."""
STEP = timedelta(seconds=1)


class Daemon(threading.Thread):
    """A daemon of the first release with one vehicle; a cycle stores a row of two channels."""

    def __init__(self, parameters: dict[str, str], vehicle_id: str) -> None:
        super().__init__(name="first release")
        self._parameters = parameters
        self._id = vehicle_id
        self._replica = str(uuid4())
        self._stopping = threading.Event()
        self._cycled = threading.Condition()
        self.cycles = 0
        self.longest_sec = 0.0
        """The longest transaction, with all its waits."""
        self.fault: Exception | None = None

    def run(self) -> None:
        """Run cycle after cycle until told to stop; `fault` is what ended it before that."""
        try:
            with closing(psycopg2.connect(make_dsn(**self._parameters))) as opened:
                opened.autocommit = True
                while not self._stopping.is_set():
                    self._cycle(opened, BEGIN + self.cycles * STEP)
                    with self._cycled:
                        self.cycles += 1
                        self._cycled.notify_all()
                run(opened, lambda told: told.execute(LEAVE, (self._replica,)))
        except Exception as error:
            self.fault = error

    def wait_for(self, more: int, within: float = 60) -> None:
        """Wait until it has done so many more cycles; raise what ended it."""
        wanted = self.cycles + more
        with self._cycled:
            self._cycled.wait_for(lambda: self.cycles >= wanted or self.fault is not None, within)
        if self.fault is not None:
            raise self.fault
        assert self.cycles >= wanted

    def stop(self) -> None:
        """Let the present cycle be the last; raise what ended it before."""
        self._stopping.set()
        self.join(60)
        if self.fault is not None:
            raise self.fault

    def _cycle(self, opened: connection, now: datetime) -> None:
        known: list[datetime | None] = []

        def fleet(told: cursor) -> None:
            told.execute(VEHICLES, (timedelta(days=7), None, None))
            known[:] = [row[5] for row in told.fetchall() if row[0] == self._id]

        def beat(told: cursor) -> None:
            told.execute(BEAT, self._heartbeat())
            told.execute(ENSURE_MONTH, (BEGIN.date().replace(day=1),))

        def requests(told: cursor) -> None:
            told.execute(TAKE_REQUESTS)
            told.execute(PAUSED)

        def channels(told: cursor) -> None:
            told.execute(LOCK_VEHICLE, (self._id,))
            told.execute(CHANNELS, (self._id, [1], [f"of {now}"], [None], [0.0], [1.0]))

        def window(told: cursor) -> None:
            told.execute(LOCK_VEHICLE, (self._id,))
            times = f"{{{now.isoformat()},{now.isoformat()}}}"
            told.execute(ADD_MEASUREMENTS, (self._id, "{1,2}", times, "{0.5,1.5}"))
            told.execute(QUARANTINE, (self._id, ["/data"], [str(now)], ["bad"], self._id, 10_000))
            told.execute(ADVANCE, self._advance(known[0], now))
            assert told.rowcount == 1

        def alarms(told: cursor) -> None:
            told.execute(LOCK_VEHICLE, (self._id,))
            alarm = [[self.cycles + 100], [1], [None], ["hot"], [now], [None]]
            told.execute(ALARMS, (self._id, *alarm))

        def record(told: cursor) -> None:
            told.execute(FAILED, ("error", True, None, self._id))
            told.execute(JOURNAL, self._journal(now))

        for work in (fleet, beat, requests, channels, window, alarms, record):
            began = time.monotonic()
            run(opened, work)
            self.longest_sec = max(self.longest_sec, time.monotonic() - began)

    def _heartbeat(self) -> dict[str, Any]:
        who = {"id": self._replica, "host": "old", "pid": 1, "version": "0.1.0"}
        return {**who, "interval": 30, "cycle": 0.5, "vehicles": 1}

    def _advance(self, known: datetime | None, now: datetime) -> dict[str, Any]:
        state = {"asked_to": None, "skew": 0, "gap_start": None, "gap_end": None}
        moved = {"known": known, "watermark": now, "newest": now, "version": "1.1.0"}
        return {"id": self._id, **moved, **state}

    def _journal(self, now: datetime) -> dict[str, Any]:
        report = {"status": "ok", "rows": 2, "error": None, "alarm_watermark": now, "failures": 0}
        return {"id": self._id, "started": now, "finished": now, **report}


def run(opened: connection, work: Callable[[cursor], None]) -> None:
    """Run `work` as that release did: in a transaction of its own, again after a deadlock."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with opened.cursor() as told:
                told.execute(SET_UP)
                work(told)
                told.execute("COMMIT")
                return
        except psycopg2.Error as error:
            if error.pgcode not in AGAIN or attempt == ATTEMPTS:
                raise
            opened.cursor().execute("ROLLBACK")
