"""How cycles and attempts ended: entries of the journal, and the vehicle's state with them.

None of these functions commits. Each may run twice with the result of once.
"""

from typing import Any

from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.store import address_values, learned_values, lock_vehicle
from fleetsyncd.database.vehicle_state import AT_ADDRESS, DATED, if_dated
from fleetsyncd.reports import CycleReport, JournalEntry

_LOCKED = """
WITH vehicle AS (SELECT id FROM public.vehicles WHERE id = %(id)s::uuid FOR KEY SHARE)
"""
_INSERT_ENTRY = """
INSERT INTO public.sync_journal
    (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT id, %(started)s, %(finished)s, %(status)s, %(rows)s, %(error)s FROM vehicle
WHERE NOT EXISTS (SELECT FROM public.sync_journal
                  WHERE vehicle_id = %(id)s::uuid AND started_at = %(started)s)
"""
_JOURNAL_ENTRY = _LOCKED + _INSERT_ENTRY
# What a machine at an address of before has told says nothing about the one at the new address.
_JOURNAL_ENTRY_AND_STATE = f"""
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
) {_INSERT_ENTRY}"""  # noqa: S608  made of this project's own text
# The journal entry's statement was before this one: dated_status is the status that ends here.
_MARK_FAILED = f"""
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
"""  # noqa: S608  made of this project's own text


def add_cycle_report(cursor: Cursor, report: CycleReport) -> None:
    """Write a cycle's journal entry and its result into the vehicle's state; raise VehicleRemoved.

    The state is what `fleetsync.vehicle_state` holds: failures, rows, error, alarm watermark, what
    the vehicle calls itself. It is not written if the vehicle is registered at another address
    meanwhile. The alarm watermark moves only if the stored alarms are still those
    that the cycle knows.
    """
    entry = _entry_values(report.journal_entry)
    state = {
        "alarm_watermark": report.alarm_watermark,
        "known_alarm_watermark": report.known_alarms.watermark,
        "known_alarms_digest": report.known_alarms.digest,
        "failures": report.failures,
        "hint": report.status and report.status.id_hint,
        **address_values(report.vehicle.address),
        **learned_values(report.learned),
    }
    cursor.execute(_JOURNAL_ENTRY_AND_STATE, entry | state)
    if cursor.rowcount != 1:
        lock_vehicle(cursor, report.vehicle.id)


def add_journal_entry(cursor: Cursor, entry: JournalEntry) -> None:
    """Write a journal entry that is not a cycle's; raise VehicleRemoved."""
    cursor.execute(_JOURNAL_ENTRY, _entry_values(entry))
    if cursor.rowcount != 1:
        lock_vehicle(cursor, entry.vehicle_id)


def _entry_values(entry: JournalEntry) -> dict[str, Any]:
    return {
        "id": str(entry.vehicle_id),
        "started": entry.started_at,
        "finished": entry.finished_at,
        "status": entry.status,
        "rows": entry.rows_written,
        "error": entry.error_msg,
    }


def mark_failed(cursor: Cursor, report: CycleReport) -> None:
    """Write a failed cycle's outcome into the vehicle's row; raise VehicleRemoved.

    Nothing is written if the vehicle is registered at another address meanwhile. After a good cycle
    that row is true already: the last window's transaction wrote it.
    """
    version = report.status and report.status.software_version
    cursor.execute(
        _MARK_FAILED,
        {
            "id": str(report.vehicle.id),
            "status": report.outcome,
            "answered": report.status is not None,
            "version": version,
            **address_values(report.vehicle.address),
        },
    )
    if cursor.rowcount != 1:
        lock_vehicle(cursor, report.vehicle.id)
