"""How cycles and attempts ended: entries of the journal, and the vehicle's state with them.

None of these functions commits. Each may run twice with the result of once.
"""

from typing import Any

from fleetsyncd.database import statements
from fleetsyncd.database.pool import Cursor
from fleetsyncd.database.store import address_values, learned_values, lock_vehicle
from fleetsyncd.reports import CycleReport, JournalEntry


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
    cursor.execute(statements.JOURNAL_ENTRY_AND_STATE, entry | state)
    if cursor.rowcount != 1:
        lock_vehicle(cursor, report.vehicle.id)


def add_journal_entry(cursor: Cursor, entry: JournalEntry) -> None:
    """Write a journal entry that is not a cycle's; raise VehicleRemoved."""
    cursor.execute(statements.JOURNAL_ENTRY, _entry_values(entry))
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
        statements.MARK_FAILED,
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
