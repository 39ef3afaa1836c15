"""Commit what a vehicle answered: rows, bad rows and progress in one transaction, or nothing.

Cycles and backfills store through here; they differ in the progress that they record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from fleetsyncd.budgets import Intake
from fleetsyncd.database import (
    adopted_nulls,
    alarms,
    channel_changes,
    losses,
    measurements,
    store,
    vehicle_memory,
)
from fleetsyncd.database.alarms import SavedAlarms
from fleetsyncd.database.channel_changes import ChannelChange
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import BudgetSpent
from fleetsyncd.lateness import Added
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import bad_rows_remark
from fleetsyncd.sync.alarm_notices import Told, grave_changes, note_told, tell_alarms
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.placing import LeftOut, place
from fleetsyncd.sync.pull import AlarmsAnswer
from fleetsyncd.sync.window import MILLISECOND
from fleetsyncd.telemetry import Alarm, BadRow, Channel, DataPage, Measurements


@dataclass(slots=True)
class Totals:
    """What an attempt has stored so far."""

    rows_written: int = 0
    bad_rows: int = 0
    quarantine_full: bool = False
    bad_rows_left_out: int = 0
    """Of `bad_rows`, of which an answer had too many for all of them to be kept."""
    reused_alarm_ids: int = 0
    """Alarms whose id another stored one has, too."""
    channel_changes: Sequence[ChannelChange] = ()
    """Channels that mean something else than before."""
    odd_alarms: int = 0
    """Resolved before they were triggered; stored as they came."""
    left_out: LeftOut | None = None
    """Measurements that were not stored because no partition holds their time."""

    @property
    def bad_remark(self) -> str | None:
        """Say what became of the bad rows; None if there were none."""
        return bad_rows_remark(self.bad_rows, self.bad_rows_left_out, full=self.quarantine_full)

    def count_bad(self, bad: Sequence[BadRow], *, quarantined: bool) -> None:
        """Count bad rows whose transaction is committed; `quarantined`: all of them are kept."""
        self.bad_rows += sum(row.count for row in bad)
        self.bad_rows_left_out += sum(row.count for row in bad if row.count > 1)
        self.quarantine_full |= not quarantined


def commit_page(
    context: SyncContext,
    vehicle_id: UUID,
    page: DataPage,
    newest: datetime | None,
    record_progress: Callable[[Cursor, Added, Measurements], None],
    totals: Totals,
    head: datetime | None = None,
) -> Added:
    """Commit one window's rows together with its progress; return and count what was added.

    `record_progress` gets what this window added, and the rows that are stored now; if it raises,
    nothing is. `newest` is the time of the newest row that is known to be stored; new rows before
    `head` are late. Raises DatabaseError.
    """
    # One for each try that came to its commit: if the answer to that was lost, the repeated
    # transaction adds nothing.
    tries: list[Added] = []

    def save(rows: Measurements, left_out: LeftOut | None, cursor: Cursor) -> bool:
        unplaced = [] if left_out is None else [left_out.bad_row]
        quarantined = store.quarantine_rows(cursor, vehicle_id, [*page.bad, *unplaced])
        new = measurements.add_pulled(cursor, vehicle_id, rows, newest, head)
        record_progress(cursor, _most([*tries, new]), rows)
        if left_out is not None:
            times = page.measurements.times
            whole = Window(times[0], times[-1] + MILLISECOND)
            losses.record_loss(cursor, vehicle_id, left_out.within(whole), losses.MISSING)
        tries.append(new)
        return quarantined

    placing = place(context, page.measurements, save)
    if placing.left_out is not None:
        totals.left_out = placing.left_out.after(totals.left_out)
    quarantined = placing.result
    added = _most(tries)
    totals.rows_written += added.rows
    totals.count_bad(page.bad, quarantined=quarantined)
    return added


def _most(tries: Sequence[Added]) -> Added:
    return max(tries, key=lambda added: added.rows)


def commit_channels(
    context: SyncContext,
    vehicle: Vehicle,
    channels: Sequence[Channel],
    bad: Sequence[BadRow],
    digest: int,
    totals: Totals,
    intake: Intake,
) -> int:
    """Commit a `/channels` answer; return how many channels are beyond those that it may have.

    Once the day's changes are used up, only what is unchanged is confirmed: raises BudgetSpent if
    there was more. Raises DatabaseError.
    """
    written = refused = changes_refused = 0
    changes: Sequence[ChannelChange] = ()

    def save(cursor: Cursor) -> Sequence[BadRow]:
        nonlocal written, refused, changes_refused, changes
        stored = vehicle_memory.stored_channels(cursor, vehicle.id)
        new = [channel.channel_id for channel in channels if channel.channel_id not in stored]
        beyond = set(new[max(0, context.budget.vehicle_max_channels - len(stored)) :])
        kept = [channel for channel in channels if channel.channel_id not in beyond]
        refused = len(beyond)
        if intake.may_change_channels(context.budget):
            allowed = kept
        else:
            allowed = store.unchanged_channels(cursor, vehicle.id, kept)
        changes_refused = len(kept) - len(allowed)
        written, without_range = adopted_nulls.save_channels(cursor, vehicle.id, allowed)
        if written:
            stored_now = [channel for channel in allowed if channel not in without_range]
            found = channel_changes.record_changes(cursor, vehicle.id, stored, stored_now)
            changes = found or changes  # none if the answer to the first try's commit was lost
        # Else the same answer would not bring the rest when it may be stored.
        if not without_range and not changes_refused:
            vehicle_memory.remember_channels(cursor, vehicle.id, digest)
        if written:
            vehicle_memory.count_intake(cursor, vehicle.id, Intake(channel_changes=written))
        return [_as_bad_row(channel, adopted_nulls.NEEDS_RANGE) for channel in without_range]

    commit_answer(context, vehicle, bad, save, totals)
    intake.channel_changes += written
    totals.channel_changes = [*totals.channel_changes, *changes]
    if changes_refused:
        raise intake.channels_spent(context.budget, changes_refused)
    return refused


def commit_alarms(
    context: SyncContext,
    vehicle: Vehicle,
    answer: AlarmsAnswer,
    record_progress: Callable[[Cursor], None],
    totals: Totals,
    intake: Intake,
) -> None:
    """Commit a window's alarms together with its progress, and count them.

    If the vehicle has as many alarms as it may, only those that are stored already are updated, and
    there is no progress: raises BudgetSpent. Raises DatabaseError.
    """
    most = context.budget.vehicle_max_alarms
    refused = 0
    saved, told = SavedAlarms(), Told()

    def save(cursor: Cursor) -> Sequence[BadRow]:
        nonlocal saved, told, refused
        accepted: Sequence[Alarm] = answer.alarms
        if accepted and alarms.has_alarms(cursor, vehicle.id, most):
            accepted = alarms.known_alarms(cursor, vehicle.id, accepted)
        refused = len(answer.alarms) - len(accepted)
        begun, resolved = grave_changes(context, vehicle, accepted, cursor)
        now, without_channel = adopted_nulls.save_alarms(cursor, vehicle.id, accepted)
        if now.written:
            saved = now  # nothing is new if the answer to the first try's commit was lost
            vehicle_memory.count_intake(cursor, vehicle.id, Intake(alarms=now.written))
            refused_ones = {alarm.key for alarm in without_channel}
            begun = [alarm for alarm in begun if alarm.key not in refused_ones]
            told = tell_alarms(context, vehicle, begun, resolved, cursor)
        if not refused:
            record_progress(cursor)
        return [_as_bad_row(alarm, adopted_nulls.NEEDS_CHANNEL) for alarm in without_channel]

    commit_answer(context, vehicle, answer.bad, save, totals)
    note_told(context, vehicle, told)
    intake.alarms += saved.written
    totals.reused_alarm_ids += saved.reused
    totals.odd_alarms += sum(alarm.ends_before_it_begins for alarm in answer.alarms)
    if refused:
        raise BudgetSpent(
            "/alarms",
            f"{refused} alarm(s) refused: {most:,} are stored, as many as a vehicle may have "
            "(VEHICLE_MAX_ALARMS); ALARMS_KEEP_DAYS deletes old ones",
        )


def commit_answer(
    context: SyncContext,
    vehicle: Vehicle,
    bad: Sequence[BadRow],
    save_good: Callable[[Cursor], Sequence[BadRow]],
    totals: Totals,
) -> None:
    """Commit the good entries of a `/channels` or `/alarms` answer with its bad rows; count these.

    `save_good` returns more bad rows: those that the table refuses. Raises DatabaseError, and
    VehicleRemoved if the vehicle is gone, AddressChanged if another machine may have taken its
    place.
    """
    refused: Sequence[BadRow] = ()

    def save(cursor: Cursor) -> bool:
        nonlocal refused
        store.lock_vehicle(cursor, vehicle.id, vehicle.address)
        refused = save_good(cursor)
        return store.quarantine_rows(cursor, vehicle.id, [*bad, *refused])

    quarantined = context.database.run(save)
    totals.count_bad([*bad, *refused], quarantined=quarantined)


def _as_bad_row(entry: Alarm | Channel, reason: str) -> BadRow:
    """Return an entry that the table cannot take, as a vehicle may have written it.

    It is kept whole, so that it can be replayed: its texts are bounded and harmless already.
    """
    if isinstance(entry, Alarm):
        return BadRow("/alarms", msgspec.json.encode(entry).decode(), reason)
    range_ = {"phys_min": entry.min_value, "phys_max": entry.max_value}
    told = {"channel_id": entry.channel_id, "name": entry.name, "unit": entry.unit, **range_}
    return BadRow("/channels", msgspec.json.encode(told).decode(), reason)
