"""The dashboard's view of the database: frozen snapshots and an operator's writes, no Textual.

Everything blocks and is meant to be called from a thread. Reads raise DatabaseError; writes raise
CommandError too, for what can be mended by the one who asked. A write on several vehicles is one
transaction: it happens to all of them or to none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from fleetsyncd.database import backfills, removal, replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.views import estimates, journal, sql_times, vehicle
from fleetsyncd.database.views.estimates import PullRate, RowCounts
from fleetsyncd.database.views.fleet import fleet_overview, vehicles_with_own_key
from fleetsyncd.database.views.journal import HistoryBucket, LastHour
from fleetsyncd.database.views.vehicle import ChannelValue, SeriesPoint, StoredAlarm, VehicleDetails
from fleetsyncd.models import BACKFILL_PREFIX, JournalEntry, Window
from fleetsyncd.states import VehicleOverview

T = TypeVar("T")
TAIL = 8
ENTRIES_EACH = 3
"""Rows of the journal that are looked through for each vehicle whose outcome is waited for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet at one moment."""

    vehicles: tuple[VehicleOverview, ...]
    heartbeats: tuple[Heartbeat, ...] = ()
    hours: Mapping[UUID, LastHour] = field(default_factory=dict)
    """The last hour of the vehicles on the screen, if it is wide enough to show them."""
    tail: tuple[JournalEntry, ...] = ()

    @property
    def alive(self) -> tuple[Heartbeat, ...]:
        """The daemons whose heartbeat is fresh."""
        return tuple(beat for beat in self.heartbeats if beat.alive)


class Gateway:
    """Reads and writes for the screens; usable from any thread."""

    def __init__(self, database: Database, interval: float) -> None:
        self._database = database
        self._interval = interval
        self.where = database.where

    def snapshot(self, on_screen: Collection[UUID] = (), *, tail: bool = False) -> Snapshot:
        """Return the fleet, with the last hour of what is `on_screen` and the journal's `tail`."""

        def read(cursor: Cursor) -> Snapshot:
            return Snapshot(
                vehicles=tuple(fleet_overview(cursor, self._interval)),
                heartbeats=tuple(replicas.heartbeats(cursor)),
                hours=journal.last_hour(cursor, on_screen) if on_screen else {},
                tail=tuple(journal.read_journal(cursor, limit=TAIL)) if tail else (),
            )

        return self._database.run(read)

    def journal(
        self,
        vehicles: Collection[UUID] | None,
        statuses: Collection[str],
        before: JournalEntry | None,
    ) -> list[JournalEntry]:
        """Return one page of the journal, newest first."""
        return self._database.run(
            lambda cursor: journal.read_journal(
                cursor, vehicles=vehicles, statuses=statuses, before=before
            )
        )

    def history(self, vehicle_id: UUID, seconds: float, buckets: int) -> list[HistoryBucket]:
        """Return a vehicle's last `seconds` in slices, oldest first."""
        return self._database.run(lambda c: journal.history(c, vehicle_id, seconds, buckets))

    def alarms(self, vehicle_id: UUID) -> list[StoredAlarm]:
        """Return a vehicle's alarms, open ones first."""
        return self._database.run(lambda cursor: vehicle.stored_alarms(cursor, vehicle_id))

    def channels(self, vehicle_id: UUID) -> list[ChannelValue]:
        """Return a vehicle's channels with what they last measured."""
        return self._database.run(lambda cursor: vehicle.channel_values(cursor, vehicle_id))

    def channel_series(
        self, vehicle_id: UUID, channel_id: int, seconds: float, points: int
    ) -> list[SeriesPoint]:
        """Return what a channel measured in the last `seconds`."""
        return self._database.run(
            lambda c: vehicle.channel_series(c, vehicle_id, channel_id, seconds, points)
        )

    def vehicle_details(self, vehicle_id: UUID) -> VehicleDetails | None:
        """Return what is known of a vehicle beside its state; None if it was removed."""
        return self._database.run(lambda cursor: vehicle.vehicle_details(cursor, vehicle_id))

    def vehicles_with_own_key(self) -> set[UUID]:
        """Return the vehicles with a key of their own; needs more rights than looking on does."""
        return self._database.run(vehicles_with_own_key)

    def add(self, name: str, host: str, port: int, key: str | None) -> UUID:
        """Register a vehicle."""
        return self._database.run(
            lambda cursor: vehicles.add_vehicle(cursor, name, host, port, key)
        )

    def change(self, ids: Sequence[UUID], new: vehicles.VehicleChange) -> None:
        """Change what is known of vehicles."""
        self._each(ids, lambda cursor, key: vehicles.change_vehicle(cursor, key, new))

    def count_rows(self, ids: Sequence[UUID]) -> RowCounts:
        """Return how much would go with these vehicles."""
        return self._database.run(lambda cursor: estimates.count_rows(cursor, ids))

    def remove(self, ids: Sequence[UUID], *, with_measurements: bool) -> int:
        """Remove vehicles; return how many measurements went with them."""
        gone = removal.remove_vehicles(self._database, ids, with_measurements=with_measurements)
        return sum(each.measurements_removed for each in gone)

    def pause(self, ids: Sequence[UUID], paused: bool) -> None:
        """Pause vehicles, or resume them."""
        self._each(ids, lambda cursor, key: vehicles.set_paused(cursor, key, paused))

    def sync(self, ids: Sequence[UUID]) -> datetime:
        """Ask the daemon to sync vehicles now; return when that was, by the database's clock."""

        def ask(cursor: Cursor) -> datetime:
            for key in ids:
                vehicles.request_sync(cursor, key)
            return sql_times.database_now(cursor)

        return self._database.run(ask)

    def outcomes(self, ids: Sequence[UUID], since: datetime) -> dict[UUID, JournalEntry]:
        """Return the newest attempt at each of the vehicles that began after `since`."""
        newest = self._database.run(
            lambda cursor: journal.read_journal(cursor, vehicles=ids, limit=ENTRIES_EACH * len(ids))
        )
        return {
            attempt.vehicle_id: attempt
            for attempt in reversed(newest)
            if attempt.started_at is not None
            and attempt.started_at >= since
            and not (attempt.error_msg or "").startswith(BACKFILL_PREFIX)
        }

    def backfill(self, ids: Sequence[UUID], window: Window) -> None:
        """Ask the daemon to pull a past interval of vehicles again."""
        self._each(ids, lambda cursor, key: backfills.request_backfill(cursor, key, window))

    def cancel_backfill(self, ids: Sequence[UUID]) -> int:
        """Call off what is left of vehicles' backfills; return how many there were."""
        return sum(self._each(ids, backfills.cancel_backfill))

    def pull_rate(self, ids: Sequence[UUID]) -> PullRate:
        """Return how much vehicles measure, and how fast they were pulled."""
        return self._database.run(lambda cursor: estimates.pull_rate(cursor, ids))

    def _each(self, ids: Sequence[UUID], act: Callable[[Cursor, UUID], T]) -> list[T]:
        return self._database.run(lambda cursor: [act(cursor, key) for key in ids])
