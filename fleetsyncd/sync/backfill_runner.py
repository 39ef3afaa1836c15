"""Run the requested backfills, a few vehicles at a time, beside the cycles."""

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from datetime import datetime
from functools import partial
from uuid import UUID

from gevent.pool import Pool

from fleetsyncd.database import backfills, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable, VehicleRemoved
from fleetsyncd.models import Backfill, Vehicle
from fleetsyncd.reports import BackfillReport
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.context import SyncContext

log = logging.getLogger("sync")


class BackfillRunner:
    """Runs open backfills of at most `backfill_concurrency` vehicles at the same time.

    Each has a session of its own, so its vehicle's cycles go on meanwhile. A backfill that failed
    is tried again in the fleet's next cycle.
    """

    def __init__(
        self,
        context: SyncContext,
        on_report: Callable[[Vehicle, BackfillReport], None],
        on_database_error: Callable[[DatabaseError], None],
        *,
        backfill_concurrency: int,
    ) -> None:
        self._pool = Pool(backfill_concurrency)
        self._context = context
        self._on_report = on_report
        self._on_database_error = on_database_error
        self._stop_reasons: dict[UUID, str | None] = {}
        self._tried: set[UUID] = set()
        """In this cycle."""
        self._versions: dict[UUID, datetime] = {}
        """Of each vehicle's backfill, the version that was tried last."""
        self.accepting = True
        """Whether `start_due` starts anything."""

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose backfill runs."""
        return self._stop_reasons.keys()

    def new_fleet_cycle(self, fleet: Collection[UUID]) -> None:
        """Let those that failed be tried again; forget vehicles that are not in `fleet`."""
        self._tried.clear()
        self._versions = {key: at for key, at in self._versions.items() if key in fleet}

    def start_due(
        self,
        shards: Collection[int] | None = None,
        resting: Collection[UUID] = (),
        silent: Collection[UUID] = (),
    ) -> None:
        """Start the shards' open backfills, as far as slots are free; raise DatabaseError.

        Vehicles that are `resting` are left alone; those that are `silent` are tried once, as the
        operator asks for it.
        """
        if self.accepting and (free := self._pool.free_count()):
            tried = {key: self._versions[key] for key in silent if key in self._versions}
            due = partial(self._due, free, shards, resting, tried)
            for vehicle, backfill in self._context.database.run(due):
                self._tried.add(vehicle.id)
                is_new = self._versions.get(vehicle.id) != backfill.asked_at
                self._versions[vehicle.id] = backfill.asked_at
                level = logging.INFO if is_new else logging.DEBUG
                log.log(level, "[%s] backfill of %s begins", vehicle.name, backfill.rest)
                self._stop_reasons[vehicle.id] = None
                self._pool.spawn(self._run, vehicle, backfill)

    def _due(
        self,
        limit: int,
        shards: Collection[int] | None,
        resting: Collection[UUID],
        tried: Mapping[UUID, datetime],
        cursor: Cursor,
    ) -> list[tuple[Vehicle, Backfill]]:
        excluded = self._tried.union(self.running, resting)
        due = backfills.open_backfills(cursor, excluded, limit, shards, tried)
        vehicles = store.load_vehicles(cursor, due.keys()) if due else []
        return [(vehicle, due[vehicle.id]) for vehicle in vehicles]

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running backfills, or some of them, end between two windows."""
        for vehicle_id in self._stop_reasons:
            if only is None or vehicle_id in only:
                self._stop_reasons[vehicle_id] = reason

    def end(self, shutdown_grace_sec: float, kill_sec: float) -> None:
        """Give backfills `shutdown_grace_sec`, then kill them; wait at most `kill_sec` more."""
        self._pool.join(timeout=shutdown_grace_sec)
        self._pool.kill(block=False)
        self._pool.join(timeout=kill_sec)

    def _run(self, vehicle: Vehicle, backfill: Backfill) -> None:
        """Run one backfill; no error leaves this method."""
        try:
            self._pull(vehicle, backfill)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        except DatabaseUnavailable as error:
            self._on_database_error(error)
        except DatabaseError as error:
            text = "[%s] its backfill's journal entry cannot be written: %s"
            log.error(text, vehicle.name, error)  # noqa: TRY400  the error says all there is
        except Exception:
            log.exception("[%s] %s: its backfill ended", vehicle.name, INTERNAL_ERROR)
        finally:
            del self._stop_reasons[vehicle.id]

    def _pull(self, vehicle: Vehicle, backfill: Backfill) -> None:
        with closing(self._context.connect(vehicle)) as client:
            report = run_backfill(
                vehicle, backfill, client, self._context, lambda: self._stop_reasons[vehicle.id]
            )
        self._on_report(vehicle, report)
