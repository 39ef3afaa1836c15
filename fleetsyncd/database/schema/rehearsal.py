"""Doctor's rehearsal: all that a cycle writes is written, and taken back.

Only so can be told whether checks, domains, triggers, policies, keys and partitions that others
made let the daemon work. The transaction is never committed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import psycopg2

from fleetsyncd.database import (
    loading,
    measurements,
    outcomes,
    store,
    vehicles,
)
from fleetsyncd.database.hints import reason_and_hint, what_happened
from fleetsyncd.database.partitions import make_month
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import FleetsyncError
from fleetsyncd.findings import Finding, fault, ok
from fleetsyncd.models import Vehicle
from fleetsyncd.remarks import ERROR_LIMIT
from fleetsyncd.reports import CycleReport, JournalEntry, Outcome
from fleetsyncd.telemetry import Alarm, Channel, Measurements
from fleetsyncd.times import month_of

CHECK = "rehearsal"
FILL_ROWS, FILL_ENTRIES = 5_000, 40
"""Measurements, channels and alarms, and journal entries of 1,000 characters: some hundred kB,
which need new pages. A single row fits into a page that is there, also on a full disk."""
_SERVERS_OWN = ("53", "58", "XX")
"""Classes of SQLSTATE: no room or memory, an error of the system, of the server itself."""
ADDRESS = "192.0.2.1"
"""Of a network for documentation: no vehicle has it."""
CHANNEL, ALARM = 2**31 - 1, 2**63 - 1
_HIDDEN = "a row that was written is hidden from its writer"
Write = Callable[[Cursor], object]


class _TakeBack(Exception):
    """Ends the transaction without a commit."""


class _Unseen(FleetsyncError):
    """What was written is not there for the writer."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that the daemon writes, and the table that is to take it."""

    table: str
    what: str
    write: Write


def rehearse(database: Database, now: datetime) -> list[Finding]:
    """Return what the daemon could not write; nothing is changed. Raises DatabaseError."""
    findings: list[Finding] = []

    def work(cursor: Cursor) -> None:
        findings[:] = _rehearse(cursor, now)
        raise _TakeBack

    with suppress(_TakeBack):
        database.run(work)
    return findings


def _rehearse(cursor: Cursor, now: datetime) -> list[Finding]:
    """Try every step, each at a savepoint."""
    vehicle, hidden = _guest(cursor)
    if hidden is not None:
        return [hidden]
    if vehicle is None:
        return [ok(CHECK, "not tried: there is no vehicle to try it with")]
    # Many rows would meet what a single one has met.
    faults = _faults(cursor, _steps(vehicle, now)) or _faults(cursor, _large_steps(vehicle, now))
    return faults or [ok(CHECK, "all that a cycle writes can be written")]


def _faults(cursor: Cursor, steps: Iterable[_Step]) -> list[Finding]:
    """Try steps; end at an error of the server itself, which all others would meet as well."""
    faults = []
    for step in steps:
        error = _try(cursor, step.write)
        if error is not None:
            faults.append(_fault(step, error))
            if _is_servers_own(error):
                break
    return faults


def _try(cursor: Cursor, write: Write) -> Exception | None:
    """Write at a savepoint; return the error that took it back."""
    cursor.execute("SAVEPOINT step")
    try:
        write(cursor)
    except (psycopg2.Error, FleetsyncError) as error:
        cursor.execute("ROLLBACK TO SAVEPOINT step")
        return error
    return None


def _guest(cursor: Cursor) -> tuple[Vehicle | None, Finding | None]:
    """Return a vehicle of this transaction's own, else one that is there; or what hides it."""
    step = _Step("vehicles", "a vehicle", lambda _cursor: None)
    made: list[UUID] = []

    def register(cursor: Cursor) -> None:
        made.append(vehicles.add_vehicle(cursor, f"rehearsal-{uuid4()}", ADDRESS, 1, None))

    error = _try(cursor, register)
    if isinstance(error, psycopg2.errors.InsufficientPrivilege):
        return None, _fault(step, error)
    known = made or [vehicle.id for vehicle in vehicles.list_vehicles(cursor)[:1]]
    seen = loading.load_vehicles(cursor, known) if known else []
    if made and not seen:
        return None, _fault(step, _Unseen(_HIDDEN))
    return (seen[0] if seen else None), None


def _steps(vehicle: Vehicle, now: datetime) -> Iterator[_Step]:
    rows = Measurements.from_rows([(now, CHANNEL, 0.5)])
    yield _Step("measurements", "a row", partial(_add_row, vehicle.id, rows))
    channel = Channel(CHANNEL, "rehearsal", "Ω", 0.0, 1.0)
    yield _Step("channel_config", "a channel", partial(_add_channel, vehicle.id, channel))
    alarm = Alarm(ALARM, CHANNEL, None, "rehearsal", now, None)
    yield _Step("alarms_log", "an alarm", partial(_add_alarm, vehicle.id, alarm))
    yield _Step("vehicles", "a watermark", partial(_advance, vehicle, now))
    for number, outcome in enumerate(Outcome):
        report = CycleReport(vehicle, now + timedelta(seconds=number), now, outcome, "rehearsal")
        yield _Step("sync_journal", f"an entry `{outcome}`", partial(_report, report))
        if outcome is not Outcome.OK:
            yield _Step("vehicles", f"the status `{outcome}`", partial(_mark, report))


def _large_steps(vehicle: Vehicle, now: datetime) -> Iterator[_Step]:
    """Yield writes that need new pages."""
    yield _Step("measurements", "many rows", partial(_add_rows, vehicle.id, now))
    yield _Step("channel_config", "many channels", partial(_add_channels, vehicle.id))
    yield _Step("alarms_log", "many alarms", partial(_add_alarms, vehicle.id, now))
    yield _Step("sync_journal", "many entries", partial(_add_entries, vehicle.id, now))


def _add_row(vehicle_id: UUID, rows: Measurements, cursor: Cursor) -> None:
    """Store a row, its month made if need be, and once more: the key must know it."""
    make_month(month_of(rows.times[0]), cursor)
    added = [measurements.add_measurements(cursor, vehicle_id, rows) for _ in range(2)]
    if added != [1, 0]:
        raise _Unseen(f"of one row written twice {added[0]} and {added[1]} were added")


def _add_rows(vehicle_id: UUID, now: datetime, cursor: Cursor) -> None:
    """Store as many rows as need new pages; of one moment, so that they have one partition."""
    rows = [(now, CHANNEL - number, 0.5) for number in range(1, FILL_ROWS + 1)]
    measurements.add_measurements(cursor, vehicle_id, Measurements.from_rows(rows))


def _add_channels(vehicle_id: UUID, cursor: Cursor) -> None:
    """Store channels that differ in all that a key of others may ask for."""
    numbers = range(1, FILL_ROWS + 1)
    channels = [Channel(CHANNEL - n, f"rehearsal {n}", "Ω", 0.0, 1.0) for n in numbers]
    store.save_channels(cursor, vehicle_id, channels)


def _add_alarms(vehicle_id: UUID, now: datetime, cursor: Cursor) -> None:
    alarms = [
        Alarm(ALARM - n, CHANNEL, None, "rehearsal", now - timedelta(milliseconds=n), None)
        for n in range(1, FILL_ROWS + 1)
    ]
    store.save_alarms(cursor, vehicle_id, alarms)


def _add_entries(vehicle_id: UUID, now: datetime, cursor: Cursor) -> None:
    for number in range(FILL_ENTRIES):
        at = now + timedelta(minutes=1, seconds=number)
        entry = JournalEntry(vehicle_id, at, at, Outcome.OK, 0, "x" * ERROR_LIMIT)
        outcomes.add_journal_entry(cursor, entry)


def _add_channel(vehicle_id: UUID, channel: Channel, cursor: Cursor) -> None:
    store.save_channels(cursor, vehicle_id, [channel])
    _require_seen(cursor, "channel_config", "channel_id", channel.channel_id)


def _add_alarm(vehicle_id: UUID, alarm: Alarm, cursor: Cursor) -> None:
    store.save_alarms(cursor, vehicle_id, [alarm])
    _require_seen(cursor, "alarms_log", "alarm_id", alarm.alarm_id)


def _require_seen(cursor: Cursor, table: str, column: str, value: int) -> None:
    cursor.execute(f"SELECT FROM public.{table} WHERE {column} = %s", (value,))
    if cursor.rowcount == 0:
        raise _Unseen(_HIDDEN)


def _advance(vehicle: Vehicle, now: datetime, cursor: Cursor) -> None:
    update = store.WatermarkUpdate(
        vehicle_id=vehicle.id,
        known=vehicle.watermark,
        watermark=now,
        newest_measurement_at=None,
        clock_skew=None,
        software_version=vehicle.software_version,
        known_asked_to=vehicle.pulled_until,
        pulled_from=now,
        gap=None,
    )
    store.advance_watermark(cursor, update)


def _report(report: CycleReport, cursor: Cursor) -> None:
    outcomes.add_cycle_report(cursor, report)


def _mark(report: CycleReport, cursor: Cursor) -> None:
    outcomes.mark_failed(cursor, report)


def _is_servers_own(error: Exception) -> bool:
    """Tell whether the server itself is short of something, or out of order."""
    return isinstance(error, psycopg2.Error) and (error.pgcode or "").startswith(_SERVERS_OWN)


def _fault(step: _Step, error: Exception) -> Finding:
    text = f"{step.what} cannot be written to public.{step.table}: {what_happened(error)}"
    return fault(CHECK, text, _remedy(step.table, error))


def _remedy(table: str, error: Exception) -> str:
    """Name the statement that helps, where the error tells what stands in the way."""
    alter = f"as owner: ALTER TABLE public.{table}"
    code = error.pgcode if isinstance(error, psycopg2.Error) else None
    if isinstance(error, psycopg2.Error) and _is_servers_own(error):
        return reason_and_hint(error)[1] or "look at the server's log, and at its disks"
    diag = error.diag if isinstance(error, psycopg2.Error) else None
    constraint = diag and diag.constraint_name
    if code == "42P10":
        return "as owner: CREATE UNIQUE INDEX ON public.measurements (vehicle_id, channel_id, time)"
    if code == "23514" and diag and diag.datatype_name:
        domain = f"{diag.schema_name}.{diag.datatype_name}"
        return f'as owner: ALTER DOMAIN {domain} DROP CONSTRAINT "{constraint}", or widen it'
    if code == "23514" and constraint:
        return f'{alter} DROP CONSTRAINT "{constraint}", or widen it'
    if code == "23502" and diag and diag.column_name:
        return f'{alter} ALTER COLUMN "{diag.column_name}" DROP NOT NULL'
    if code == "42501" or isinstance(error, _Unseen):
        return (
            "as owner: widen the policies of row level security that concern it, restrictive ones"
            " too, or look at its triggers and inheritance"
        )
    if code == "23514":
        return f"as owner: make the missing partition, below public.{table}"
    return f"as owner: change what public.{table} asks for, in its types, checks, or triggers"
