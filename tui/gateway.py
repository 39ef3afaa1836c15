"""The dashboard's access to the database: reads of snapshots; `writing_gateway` has the writes.

Every method blocks, so call it in a thread. Reads raise DatabaseError.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from fleetsyncd.actions import present_actor
from fleetsyncd.database import replicas, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.retention_kinds import RetentionPolicy
from fleetsyncd.database.schema.fleet_checks import Expected
from fleetsyncd.database.vehicle_tags import tags_in_use, vehicles_with
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views import estimates, journal, plot, vehicle
from fleetsyncd.database.views.alarms import AlarmFilter, AlarmPage, FleetAlarm, Order, read_alarms
from fleetsyncd.database.views.channel_changes import StoredChange, channel_changes
from fleetsyncd.database.views.coverage import CoveredInterval, vehicle_coverage
from fleetsyncd.database.views.estimates import PullRate, RowCounts
from fleetsyncd.database.views.fleet import vehicles_with_own_key
from fleetsyncd.database.views.history import History, read_history
from fleetsyncd.database.views.journal import LastHour
from fleetsyncd.database.views.journal_hours import JournalHours, journal_hours, present_hour
from fleetsyncd.database.views.lateness import overview_with_reasons
from fleetsyncd.database.views.plot import PlotData, PlotSpan
from fleetsyncd.database.views.retention import Announcement, announcements
from fleetsyncd.database.views.sql_times import database_now
from fleetsyncd.database.views.traffic import link_traffic
from fleetsyncd.database.views.vehicle import ChannelValue, StoredAlarm, VehicleDetails
from fleetsyncd.remarks import BESIDE_CYCLES
from fleetsyncd.reports import JournalEntry
from fleetsyncd.severities import OpenAlarms
from fleetsyncd.states import LinkTraffic, VehicleOverview
from tui.job_gateway import AuditGateway, BackfillGateway
from tui.open_alarms import AlarmCounter, total_of
from tui.room_gateway import RoomGateway
from tui.writing_gateway import WritingGateway

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
    tail: tuple[JournalEntry, ...] | None = None
    """The newest journal entries of the fleet, newest first; None if they were not requested."""
    announcements: tuple[Announcement, ...] = ()
    """What retention is going to delete, what is due first."""
    open_alarms: OpenAlarms | None = None
    """The open alarms of all vehicles, counted some seconds before at the most."""
    alarms_error: str | None = None
    """Why open alarms may be missing or out of date; None if they were counted."""
    known_tags: tuple[str, ...] = ()
    """The tags in use; read only where no vehicle has one of those that are asked for."""

    @property
    def alive(self) -> tuple[Heartbeat, ...]:
        """The heartbeats that are fresh: of the daemons that run."""
        return tuple(heartbeat for heartbeat in self.heartbeats if heartbeat.alive)


class Gateway(WritingGateway):
    """Reads and writes for the screens; thread-safe. `interval` is the sync interval in seconds.

    With `tags`, what is read of the fleet is that of the vehicles with one of them. That is a view:
    what is read or written by a vehicle's id is not restricted.
    """

    def __init__(
        self,
        database: Database,
        interval: float,
        measurements_keep_months: int | None = None,
        want: Expected | None = None,
        *,
        tags: Collection[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(database, present_actor(), interval)
        self.rooms = RoomGateway(database, self._actor, want or UNCONFIGURED, tags)
        self.backfills = BackfillGateway(database, self._actor)
        self.audits = AuditGateway(database, self._actor)
        self.measurements_keep_months = measurements_keep_months
        self._tags = tags
        self._scope: Collection[UUID] | None = None
        self._alarm_counter = AlarmCounter(database, now)
        self.where = database.where

    def snapshot(self, on_screen: Collection[UUID] = (), *, tail: bool = False) -> Snapshot:
        """Return the fleet, the last hour of the vehicles `on_screen`, and the journal's `tail`."""
        alarms = self._alarm_counter.read()

        def read(cursor: Cursor) -> Snapshot:
            fleet = alarms.applied_to(overview_with_reasons(cursor, self._interval, self._tags))
            if self._tags:
                self._scope = tuple(vehicle.id for vehicle in fleet)
            is_unknown = self._tags and not fleet
            return Snapshot(
                vehicles=fleet,
                heartbeats=tuple(replicas.heartbeats(cursor)),
                hours=journal.last_hour(cursor, on_screen) if on_screen else {},
                tail=tuple(self._tail(cursor)) if tail else None,
                announcements=tuple(announcements(cursor)),
                open_alarms=total_of(fleet),
                alarms_error=alarms.error,
                known_tags=tuple(tags_in_use(cursor)) if is_unknown else (),
            )

        return self._database.run(read)

    def _shown(self, cursor: Cursor) -> Collection[UUID] | None:
        """Return the vehicles of the last snapshot, or that its tags name; None: all of the fleet.

        Without a snapshot an empty list would read like good news.
        """
        if self._tags and self._scope is None:
            return vehicles_with(cursor, self._tags)
        return self._scope

    def _tail(self, cursor: Cursor) -> list[JournalEntry]:
        return journal.read_journal(cursor, vehicles=self._shown(cursor), limit=TAIL_ROWS)

    def heartbeats(self) -> tuple[Heartbeat, ...]:
        """Return the daemons' heartbeats: all that is read while the screen is frozen."""
        return self._database.run(lambda cursor: tuple(replicas.heartbeats(cursor)))

    def newer_schema(self) -> str | None:
        """Say that a newer program has migrated the database; None if none has."""
        # Imported in a thread, so that the first paint does not wait for it.
        from fleetsyncd.database.schema import migrate  # noqa: PLC0415

        return migrate.newer_schema(self._database)

    def journal(
        self,
        vehicles: Collection[UUID] | None,
        statuses: Collection[str],
        before: JournalEntry | None,
        name_part: str = "",
    ) -> list[JournalEntry]:
        """Return the page of the journal that follows the row `before`, newest row first.

        None for `vehicles` means all of the snapshot, empty `statuses` any status, None for
        `before` the newest page. `name_part` is a part of the vehicles' names.
        """

        def read(cursor: Cursor) -> list[JournalEntry]:
            wanted = self._shown(cursor) if vehicles is None else vehicles
            return journal.read_journal(
                cursor, vehicles=wanted, name_part=name_part, statuses=statuses, before=before
            )

        return self._database.run(read)

    def journal_hours(self, since: Callable[[int], Mapping[UUID, int]]) -> JournalHours:
        """Return the attempts of vehicles by hour.

        `since` gets the present hour, and returns for each vehicle the hour to begin with.
        """
        return self._database.run(lambda c: journal_hours(c, since(present_hour(c))))

    def history(self, vehicle_id: UUID, seconds: float, buckets: int) -> History:
        """Return a vehicle's last `seconds` in equal buckets, oldest first."""
        return self._database.run(lambda cursor: read_history(cursor, vehicle_id, seconds, buckets))

    def fleet_alarms(
        self, order: Order, chosen: AlarmFilter, before: FleetAlarm | None
    ) -> AlarmPage:
        """Return the page of the fleet's open alarms that follows the row `before`."""

        def read(cursor: Cursor) -> AlarmPage:
            shown = self._shown(cursor)
            in_scope = replace(chosen, scope=None if shown is None else tuple(shown))
            return read_alarms(cursor, order, in_scope, before=before)

        return self._database.run(read)

    def alarms(self, vehicle_id: UUID) -> list[StoredAlarm]:
        """Return a vehicle's alarms, open ones first."""
        return self._database.run(lambda cursor: vehicle.stored_alarms(cursor, vehicle_id))

    def link_traffic(self, vehicle_id: UUID) -> LinkTraffic | None:
        """Return what a vehicle's link has carried; None if the role may not read it."""
        known = self._database.run(lambda cursor: link_traffic(cursor, [vehicle_id]))
        return None if known is None else known.get(vehicle_id, LinkTraffic())

    def channel_changes(self, vehicle_id: UUID) -> list[StoredChange]:
        """Return which of a vehicle's channels changed their meaning, the last ones first."""
        return self._database.run(lambda cursor: channel_changes(cursor, vehicle_id))

    def channels(self, vehicle_id: UUID, search: str = "") -> list[ChannelValue]:
        """Return a vehicle's first channels with their newest values; all, or those found."""
        return self._database.run(lambda c: vehicle.channel_values(c, vehicle_id, search))

    def plot(
        self, vehicle_id: UUID, channels: Sequence[int], span: PlotSpan, slices: int
    ) -> PlotData:
        """Return a vehicle's channels over a span in so many slices, with its alarms."""
        return self._database.run(lambda c: plot.read_plot(c, vehicle_id, channels, span, slices))

    def channel_beside(self, vehicle_id: UUID, channel_id: int, step: int) -> int | None:
        """Return the vehicle's next channel (1) or its previous one (-1)."""
        return self._database.run(
            lambda cursor: plot.channel_beside(cursor, vehicle_id, channel_id, step)
        )

    def vehicle_details(self, vehicle_id: UUID) -> VehicleDetails | None:
        """Return a vehicle's registration and sync state; None if it was removed."""
        return self._database.run(lambda cursor: vehicle.vehicle_details(cursor, vehicle_id))

    def coverage(self, vehicle_id: UUID) -> tuple[list[CoveredInterval], datetime]:
        """Return what of a vehicle's time is stored, in order, and the database's time."""
        return self._database.run(lambda c: (vehicle_coverage(c, vehicle_id), database_now(c)))

    def vehicles_with_own_key(self) -> set[UUID]:
        """Return the vehicles that have their own API key; a read-only role may not ask this."""
        return self._database.run(vehicles_with_own_key)

    def registered(self, ids: Sequence[UUID]) -> list[RegisteredVehicle]:
        """Return how vehicles are registered, keys included; removed ones are left out."""
        return self._database.run(lambda cursor: vehicles.read_registered(cursor, ids))

    def count_rows(self, ids: Sequence[UUID]) -> RowCounts:
        """Return how many rows belong to these vehicles."""
        return self._database.run(lambda cursor: estimates.count_rows(cursor, ids))

    def outcomes(self, ids: Sequence[UUID], since: datetime) -> dict[UUID, JournalEntry]:
        """Return each vehicle's newest cycle that began at `since` or later."""
        limit = ROWS_PER_VEHICLE * len(ids)
        newest_first = self._database.run(
            lambda cursor: journal.read_journal(cursor, vehicles=ids, limit=limit)
        )
        return {
            entry.vehicle_id: entry
            for entry in reversed(newest_first)
            if entry.started_at is not None
            and entry.started_at >= since
            and not (entry.error_msg or "").startswith(BESIDE_CYCLES)
        }

    def pull_rate(self, ids: Sequence[UUID]) -> PullRate:
        """Return the vehicles' average row rate, and the speed at which gaps are pulled."""
        return self._database.run(lambda cursor: estimates.pull_rate(cursor, ids))
