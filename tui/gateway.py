"""The dashboard's access to the database: reads of snapshots, and an operator's writes.

Every method blocks, so call it in a thread. Reads raise DatabaseError; writes also raise
CommandError, if the operator asked for something impossible. A write on several vehicles is one
transaction: it changes all of them or none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from fleetsyncd.database import backfills, purge, removal, replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema.fleet_checks import Expected
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views import estimates, journal, sql_times, vehicle
from fleetsyncd.database.views.backfills import BackfillStatus, backfill_statuses
from fleetsyncd.database.views.estimates import PullRate, RowCounts
from fleetsyncd.database.views.fleet import fleet_overview, vehicles_with_own_key
from fleetsyncd.database.views.journal import HistoryBucket, LastHour
from fleetsyncd.database.views.retention import Announcement, announcements
from fleetsyncd.database.views.vehicle import ChannelValue, SeriesPoint, StoredAlarm, VehicleDetails
from fleetsyncd.errors import CommandError, FleetsyncError
from fleetsyncd.models import Window
from fleetsyncd.reports import BACKFILL_PREFIX, JournalEntry
from fleetsyncd.states import VehicleOverview
from tui.room_gateway import RoomGateway

T = TypeVar("T")
TAIL_ROWS = 8
"""Rows of the journal that the fleet page shows."""
ROWS_PER_VEHICLE = 3
"""Newest journal entries read per vehicle to find its outcome; some may belong to backfills."""

UNCONFIGURED = Expected(1, RetentionPolicy(None, None, None), has_default_key=False)
"""What is wanted of a database without settings."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The fleet as one transaction read it."""

    vehicles: tuple[VehicleOverview, ...]
    heartbeats: tuple[Heartbeat, ...] = ()
    hours: Mapping[UUID, LastHour] = field(default_factory=dict)
    """The last hour of the vehicles for which it was requested."""
    tail: tuple[JournalEntry, ...] = ()
    """The newest journal entries of the fleet, newest first, if they were requested."""
    announcements: tuple[Announcement, ...] = ()
    """What retention is going to delete, what is due first."""

    @property
    def alive(self) -> tuple[Heartbeat, ...]:
        """The heartbeats that are fresh: of the daemons that run."""
        return tuple(heartbeat for heartbeat in self.heartbeats if heartbeat.alive)


class Gateway:
    """Reads and writes for the screens; thread-safe. `interval` is the sync interval in seconds."""

    def __init__(
        self,
        database: Database,
        interval: float,
        measurements_keep_months: int | None = None,
        want: Expected | None = None,
    ) -> None:
        self.rooms = RoomGateway(database, want or UNCONFIGURED)
        self.measurements_keep_months = measurements_keep_months
        self._database = database
        self._interval = interval
        self.where = database.where

    def snapshot(self, on_screen: Collection[UUID] = (), *, tail: bool = False) -> Snapshot:
        """Return the fleet, the last hour of the vehicles `on_screen`, and the journal's `tail`."""

        def read(cursor: Cursor) -> Snapshot:
            return Snapshot(
                vehicles=tuple(fleet_overview(cursor, self._interval)),
                heartbeats=tuple(replicas.heartbeats(cursor)),
                hours=journal.last_hour(cursor, on_screen) if on_screen else {},
                tail=tuple(journal.read_journal(cursor, limit=TAIL_ROWS)) if tail else (),
                announcements=tuple(announcements(cursor)),
            )

        return self._database.run(read)

    def journal(
        self,
        vehicles: Collection[UUID] | None,
        statuses: Collection[str],
        before: JournalEntry | None,
    ) -> list[JournalEntry]:
        """Return the page of the journal that follows the row `before`, newest row first.

        None for `vehicles` means all of them, empty `statuses` any status, None for `before` the
        newest page.
        """
        return self._database.run(
            lambda cursor: journal.read_journal(
                cursor, vehicles=vehicles, statuses=statuses, before=before
            )
        )

    def history(self, vehicle_id: UUID, seconds: float, buckets: int) -> list[HistoryBucket]:
        """Return a vehicle's last `seconds` in equal buckets, oldest first."""
        return self._database.run(lambda c: journal.history(c, vehicle_id, seconds, buckets))

    def alarms(self, vehicle_id: UUID) -> list[StoredAlarm]:
        """Return a vehicle's alarms, open ones first."""
        return self._database.run(lambda cursor: vehicle.stored_alarms(cursor, vehicle_id))

    def channels(self, vehicle_id: UUID) -> list[ChannelValue]:
        """Return a vehicle's channels with their newest values."""
        return self._database.run(lambda cursor: vehicle.channel_values(cursor, vehicle_id))

    def channel_series(
        self, vehicle_id: UUID, channel_id: int, seconds: float, points: int
    ) -> list[SeriesPoint]:
        """Return a channel's values of the last `seconds` in about `points` slices."""
        return self._database.run(
            lambda c: vehicle.channel_series(c, vehicle_id, channel_id, seconds, points)
        )

    def vehicle_details(self, vehicle_id: UUID) -> VehicleDetails | None:
        """Return a vehicle's registration and sync state; None if it was removed."""
        return self._database.run(lambda cursor: vehicle.vehicle_details(cursor, vehicle_id))

    def vehicles_with_own_key(self) -> set[UUID]:
        """Return the vehicles that have their own API key; a read-only role may not ask this."""
        return self._database.run(vehicles_with_own_key)

    def add(self, name: str, host: str, port: int, key: str | None) -> UUID:
        """Register a vehicle and return its id; None for `key` means the default key."""
        return self._database.run(
            lambda cursor: vehicles.add_vehicle(cursor, name, host, port, key)
        )

    def registered(self, ids: Sequence[UUID]) -> list[RegisteredVehicle]:
        """Return how vehicles are registered, keys included; removed ones are left out."""
        return self._database.run(lambda cursor: vehicles.read_registered(cursor, ids))

    def change(self, seen: Sequence[RegisteredVehicle], new: vehicles.VehicleChange) -> None:
        """Change the registration of vehicles that are still registered as they were `seen`."""

        def work(cursor: Cursor) -> None:
            for registered in seen:
                vehicles.change_seen(cursor, registered, new)

        self._database.run(work)

    def count_rows(self, ids: Sequence[UUID]) -> RowCounts:
        """Return how many rows belong to these vehicles."""
        return self._database.run(lambda cursor: estimates.count_rows(cursor, ids))

    def remove(self, seen: Sequence[RegisteredVehicle], *, with_measurements: bool) -> int:
        """Remove vehicles that are still registered as they were `seen`, all of them or none.

        Returns how many measurements were deleted.
        """
        removals = removal.remove_seen(self._database, seen, with_measurements=with_measurements)
        deleted = sum(removed.measurements_removed for removed in removals)
        if with_measurements:
            left = [removed.vehicle_id for removed in removals if removed.measurements_left]
            deleted += self._purge(left)
        return deleted

    def _purge(self, ids: Sequence[UUID]) -> int:
        """Delete the measurements of removed vehicles; return how many there were."""
        try:
            return sum(purge.purge_by_id(self._database, vehicle_id) for vehicle_id in ids)
        except FleetsyncError as error:
            raise CommandError(
                f"removed, but not all measurements are deleted: {error}; `fleetsyncd vehicle list"
                " --removed` shows the rest, `fleetsyncd vehicle purge` deletes it"
            ) from error

    def pause(self, ids: Sequence[UUID], paused: bool) -> None:
        """Pause vehicles, or resume them."""
        self._for_each(ids, lambda cursor, key: vehicles.set_paused(cursor, key, paused))

    def sync(self, ids: Sequence[UUID]) -> datetime:
        """Request a sync of vehicles; return the time of the request by the database's clock."""

        def request(cursor: Cursor) -> datetime:
            for key in ids:
                vehicles.request_sync(cursor, key)
            return sql_times.database_now(cursor)

        return self._database.run(request)

    def outcomes(self, ids: Sequence[UUID], since: datetime) -> dict[UUID, JournalEntry]:
        """Return each vehicle's newest cycle that began at `since` or later, without backfills."""
        limit = ROWS_PER_VEHICLE * len(ids)
        newest_first = self._database.run(
            lambda cursor: journal.read_journal(cursor, vehicles=ids, limit=limit)
        )
        return {
            entry.vehicle_id: entry
            for entry in reversed(newest_first)
            if entry.started_at is not None
            and entry.started_at >= since
            and not (entry.error_msg or "").startswith(BACKFILL_PREFIX)
        }

    def backfill(self, ids: Sequence[UUID], window: Window) -> dict[UUID, BackfillStatus]:
        """Request that the daemon pulls a past interval of vehicles again; return the requests."""

        def request(cursor: Cursor) -> dict[UUID, BackfillStatus]:
            for key in ids:
                backfills.request_backfill(cursor, key, window)
            return backfill_statuses(cursor, ids)

        return self._database.run(request)

    def backfills(self, ids: Collection[UUID]) -> dict[UUID, BackfillStatus]:
        """Return how far the vehicles' last backfills are; those without one are left out."""
        return self._database.run(lambda cursor: backfill_statuses(cursor, ids))

    def cancel_backfills(self, versions: Mapping[UUID, datetime]) -> int:
        """Cancel the rest of vehicles' backfills, in these versions; return how many there were."""
        return sum(
            self._for_each(
                list(versions),
                lambda cursor, key: backfills.cancel_backfill(cursor, key, versions[key]),
            )
        )

    def pull_rate(self, ids: Sequence[UUID]) -> PullRate:
        """Return the vehicles' average row rate, and the speed at which gaps are pulled."""
        return self._database.run(lambda cursor: estimates.pull_rate(cursor, ids))

    def _for_each(self, ids: Sequence[UUID], act: Callable[[Cursor, UUID], T]) -> list[T]:
        return self._database.run(lambda cursor: [act(cursor, key) for key in ids])
