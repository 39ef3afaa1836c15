"""The fleet's running cycles: each vehicle's over its kept session, its faults kept with it."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.errors import DatabaseError, VehicleRemoved
from fleetsyncd.models import CycleReport, Failure, Outcome, Progress, Vehicle
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle import record, sync_vehicle
from fleetsyncd.sync.outcome import FLEETWIDE
from fleetsyncd.sync.sessions import VehicleSessions
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")


@dataclass(slots=True)
class _Run:
    """A vehicle's running cycle."""

    vehicle: Vehicle
    progress: Progress | None = None
    stop_reason: str | None = None


class CycleRunner:
    """Runs `sync_vehicle` for one vehicle after the other, each in the greenlet it is called in."""

    def __init__(
        self,
        tools: SyncContext,
        connect: Callable[[Vehicle], VehicleClient],
        on_report: Callable[[CycleReport], None],
        on_database_fault: Callable[[DatabaseError], None],
        *,
        sessions: int,
    ) -> None:
        self._tools = tools
        self._links = VehicleSessions(connect, sessions)
        self._on_report = on_report
        self._on_database_fault = on_database_fault
        self._runs: dict[UUID, _Run] = {}

    @property
    def vehicles(self) -> int:
        """How many vehicles a session is kept to."""
        return len(self._links)

    @property
    def catching_up(self) -> set[UUID]:
        """The vehicles at work on a gap, of which something is committed already."""
        return {vehicle_id for vehicle_id, run in self._runs.items() if run.progress is not None}

    def progress(self) -> list[tuple[str, Progress | None]]:
        """Return the names of the vehicles at work, with how far their gaps are pulled."""
        return [(run.vehicle.name, run.progress) for run in self._runs.values()]

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running cycles, or some of them, end between two windows."""
        for vehicle_id, run in self._runs.items():
            if only is None or vehicle_id in only:
                run.stop_reason = reason

    def keep(self, fleet: Collection[UUID], reason: str) -> None:
        """Let go of the vehicles that are not in `fleet` any more."""
        self._links.retain(set(fleet) | self._runs.keys())
        self.stop(reason, self._runs.keys() - set(fleet))

    def close(self) -> None:
        """Close every session."""
        self._links.close()

    def sync(self, vehicle: Vehicle) -> None:
        """Run one vehicle's cycle; whatever happens to it stays with it."""
        run = self._runs[vehicle.id] = _Run(vehicle)
        try:
            self._sync(run)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        except FLEETWIDE as fault:
            self._on_database_fault(fault)
        except DatabaseError as fault:
            _tell_unstored(vehicle, fault)
        except Exception:
            log.exception("[%s] a fault of fleetsyncd's own ended its cycle", vehicle.name)
            self._record_own_fault(vehicle)
        finally:
            del self._runs[vehicle.id]
            self._links.release(vehicle.id)

    def _sync(self, run: _Run) -> None:
        def note(progress: Progress) -> None:
            run.progress = progress

        link = self._links.get(run.vehicle)
        report = sync_vehicle(
            run.vehicle,
            link.client,
            self._tools,
            link.memory,
            on_progress=note,
            stopped=lambda: run.stop_reason,
        )
        self._on_report(report)

    def _record_own_fault(self, vehicle: Vehicle) -> None:
        now = self._tools.now()
        reason = "a fault of fleetsyncd's own, see its log"
        report = CycleReport(vehicle, now, now, Outcome.ERROR, reason, failure=Failure.INTERNAL)
        try:
            record(report, self._tools.database)
        except FLEETWIDE as fault:
            self._on_database_fault(fault)
        except DatabaseError as fault:
            _tell_unstored(vehicle, fault)
        self._on_report(report)


def _tell_unstored(vehicle: Vehicle, fault: DatabaseError) -> None:
    log.error("[%s] its cycle's end could not be stored: %s", vehicle.name, fault)
