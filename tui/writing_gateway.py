"""The dashboard's writes on vehicles: register, change, remove, pause, mute, sync.

Every method blocks, so call it in a thread. They raise DatabaseError, and CommandError if the
operator asked for something impossible. A write on several vehicles is one transaction: it changes
all of them or none, and is recorded in the action log. Edits and pauses of very many are several.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

import msgspec

from fleetsyncd.actions import Actor, on_dashboard
from fleetsyncd.database import (
    bulk,
    bulk_edits,
    bulk_mutes,
    purge,
    removal,
    vehicle_changes,
    vehicles,
)
from fleetsyncd.database.action_log import record_since
from fleetsyncd.database.bulk import BulkResult, Since
from fleetsyncd.database.pausing import PLAIN
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.sql_times import database_now
from fleetsyncd.errors import CommandError, FleetsyncError
from fleetsyncd.states import Pause
from fleetsyncd.terms import NO_TERMS, Terms
from fleetsyncd.time_limits import end_after


class WritingGateway:
    """Writes on vehicles; thread-safe. `actor` is who does it.

    `interval` is the sync interval in seconds, as the settings have it.
    """

    def __init__(self, database: Database, actor: Actor, interval: float = 0.0) -> None:
        self._database = database
        self._actor = actor
        self._interval = interval

    def add(
        self,
        name: str,
        host: str,
        port: int,
        key: str | None,
        tags: Collection[str] = (),
        terms: Terms = NO_TERMS,
    ) -> UUID:
        """Register a vehicle and return its id; None for `key` means the default key."""
        action = on_dashboard(self._actor, "add")

        def work(cursor: Cursor) -> UUID:
            vehicle_id = vehicles.add_vehicle(
                cursor, name, host, port, key, tags, terms, default_sync_interval_sec=self._interval
            )
            record_since(cursor, action, {}, [vehicle_id])
            return vehicle_id

        return self._database.run(work)

    def change(self, seen: Sequence[RegisteredVehicle], new: vehicle_changes.VehicleChange) -> None:
        """Change the registration of vehicles that are still registered as they were `seen`."""
        action = on_dashboard(self._actor, "edit")
        bulk_edits.edit(self._database, seen, new, action, self._interval)

    def remove(self, seen: Sequence[RegisteredVehicle], *, with_measurements: bool) -> int:
        """Remove vehicles that are still registered as they were `seen`, all of them or none.

        Returns how many measurements were deleted.
        """
        text = "remove with measurements" if with_measurements else "remove"
        removals = removal.remove_seen(
            self._database,
            seen,
            with_measurements=with_measurements,
            action=on_dashboard(self._actor, text),
        )
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

    def pause(
        self, names: Mapping[UUID, str], paused: bool, why: Pause | None = None, length: str = ""
    ) -> BulkResult:
        """Pause vehicles (names by id), or resume them; return those that were not so already.

        With a reason why, end and reason of those that are paused are replaced. It ends after a
        `length`, if one is given, by the database's clock.
        """
        action = on_dashboard(self._actor, "pause" if paused else "resume")
        signed = self._by(why or PLAIN, length)
        return bulk.set_paused(
            self._database, names, paused, action, signed, replaces=why is not None
        )

    def undo_pause(
        self,
        names: Mapping[UUID, str],
        paused: bool,
        at: Since,
        before: Mapping[UUID, Pause] = MappingProxyType({}),
    ) -> BulkResult:
        """Resume what an action has `paused`, or pause what it has resumed, where it is still so.

        Unlike other writes, it does what can be done although some vehicles were removed. `before`
        is until when and why those were paused that it has resumed.
        """
        action = on_dashboard(self._actor, f"undo {'pause' if paused else 'resume'}")
        return bulk.undo_paused(self._database, names, paused, at, action, before)

    def mute(self, names: Mapping[UUID, str], why: Pause | None, length: str = "") -> BulkResult:
        """Mute vehicles (names by id); None for `why` ends their own mutes; `length` as above."""
        action = on_dashboard(self._actor, "unmute" if why is None else "mute")
        signed = why and self._by(why, length)
        return bulk_mutes.set_muted(self._database, names, signed, action)

    def undo_mute(
        self,
        names: Mapping[UUID, str],
        muted: bool,
        at: Since,
        before: Mapping[UUID, Pause],
    ) -> BulkResult:
        """Take back that an action has `muted` vehicles or ended their mutes, as `undo_pause`."""
        action = on_dashboard(self._actor, f"undo {'mute' if muted else 'unmute'}")
        return bulk_mutes.undo_muted(self._database, names, muted, at, before, action)

    def _by(self, why: Pause, length: str) -> Pause:
        until = end_after(length, self._database.run(database_now)) if length else why.until
        return msgspec.structs.replace(why, by=self._actor.login, until=until)

    def sync(self, names: Mapping[UUID, str]) -> datetime:
        """Request a sync of vehicles (names by id); return when, by the database's clock."""
        return bulk.request_sync(self._database, names, on_dashboard(self._actor, "sync"))
