"""The backfills at work: a few vehicles at a time, beside the cycles and out of their way."""

import logging
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from uuid import UUID

from gevent.pool import Pool

from fleetsyncd.database import backfills, store
from fleetsyncd.database.pool import Cursor
from fleetsyncd.errors import DatabaseError, VehicleRemoved
from fleetsyncd.models import Backfill, JournalRow, Outcome, Vehicle
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.outcome import FLEETWIDE
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")


class BackfillRunner:
    """Works off what operators want pulled again, at most `slots` vehicles at once.

    Each has a session of its own, so its vehicle's cycles go on meanwhile. One that failed is
    tried again in the next round.
    """

    def __init__(
        self,
        slots: int,
        tools: SyncContext,
        connect: Callable[[Vehicle], VehicleClient],
        on_row: Callable[[JournalRow], None],
        on_database_fault: Callable[[DatabaseError], None],
    ) -> None:
        self._pool = Pool(slots)
        self._tools = tools
        self._connect = connect
        self._on_row = on_row
        self._on_database_fault = on_database_fault
        self._stop_reasons: dict[UUID, str | None] = {}
        self._tried: set[UUID] = set()
        self.accepting = True
        """Whether `look` starts anything."""

    @property
    def running(self) -> Collection[UUID]:
        """The vehicles whose backfill is at work."""
        return self._stop_reasons.keys()

    def new_round(self) -> None:
        """Let those that failed be tried again."""
        self._tried.clear()

    def start_due(self, shards: Collection[int] | None = None) -> None:
        """Start what is wanted of the shards' vehicles, as far as slots are free.

        Raises DatabaseError.
        """
        if self.accepting and (free := self._pool.free_count()):
            for vehicle, wish in self._tools.database.run(partial(self._wanted, free, shards)):
                self._tried.add(vehicle.id)
                self._stop_reasons[vehicle.id] = None
                self._pool.spawn(self._work, vehicle, wish)

    def _wanted(
        self, most: int, shards: Collection[int] | None, cursor: Cursor
    ) -> list[tuple[Vehicle, Backfill]]:
        at_work = self._tried.union(self.running)
        wanted = backfills.open_backfills(cursor, at_work, most, shards)
        vehicles = store.load_vehicles(cursor, wanted.keys()) if wanted else []
        return [(vehicle, wanted[vehicle.id]) for vehicle in vehicles]

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running backfills, or some of them, end between two windows."""
        for vehicle_id in self._stop_reasons:
            if only is None or vehicle_id in only:
                self._stop_reasons[vehicle_id] = reason

    def end(self, grace: float, goodbye: float) -> None:
        """Let what runs finish its window for `grace` seconds, then end it in `goodbye` more."""
        self._pool.join(timeout=grace)
        self._pool.kill(block=False)
        self._pool.join(timeout=goodbye)

    def _work(self, vehicle: Vehicle, wish: Backfill) -> None:
        """Run one backfill; whatever happens to it stays with it."""
        try:
            self._pull(vehicle, wish)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        except FLEETWIDE as fault:
            self._on_database_fault(fault)
        except DatabaseError as fault:
            text = "[%s] its backfill's end could not be stored: %s"
            log.error(text, vehicle.name, fault)  # noqa: TRY400  the fault says all there is
        except Exception:
            log.exception("[%s] a fault of fleetsyncd's own ended its backfill", vehicle.name)
        finally:
            del self._stop_reasons[vehicle.id]

    def _pull(self, vehicle: Vehicle, wish: Backfill) -> None:
        log.info("[%s] backfill of %s begins", vehicle.name, wish.rest)
        with closing(self._connect(vehicle)) as client:
            row = run_backfill(
                vehicle, wish, client, self._tools, lambda: self._stop_reasons[vehicle.id]
            )
        self._on_row(row)
        level = logging.INFO if row.outcome is Outcome.OK else logging.WARNING
        log.log(level, "[%s] %s  wrote %d", vehicle.name, row.error_msg, row.rows_written)
