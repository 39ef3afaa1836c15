"""Run vehicles' cycles, each over the vehicle's kept session; an error stays with its vehicle."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.errors import INTERNAL_ERROR, DatabaseError, DatabaseUnavailable, VehicleRemoved
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport, Failure, Outcome, Progress
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle import sync_vehicle
from fleetsyncd.sync.recording import write_report
from fleetsyncd.sync.sessions import VehicleSessions

log = logging.getLogger("sync")


@dataclass(slots=True)
class _Run:
    """A vehicle's running cycle."""

    vehicle: Vehicle
    progress: Progress | None = None
    stop_reason: str | None = None


class CycleRunner:
    """Runs `sync_vehicle` for one vehicle in the greenlet that calls `sync`."""

    def __init__(
        self,
        context: SyncContext,
        on_report: Callable[[CycleReport], None],
        on_database_error: Callable[[DatabaseError], None],
        *,
        kept_sessions: int,
    ) -> None:
        self._context = context
        self._sessions = VehicleSessions(context.connect, kept_sessions)
        self._on_report = on_report
        self._on_database_error = on_database_error
        self._runs: dict[UUID, _Run] = {}

    @property
    def sessions(self) -> int:
        """The number of vehicles with a kept session."""
        return len(self._sessions)

    @property
    def with_progress(self) -> set[UUID]:
        """The vehicles whose running cycle has committed at least one window."""
        return {vehicle_id for vehicle_id, run in self._runs.items() if run.progress is not None}

    def progress(self) -> list[tuple[str, Progress | None]]:
        """Return the names of the running vehicles, with how far their gaps are pulled."""
        return [(run.vehicle.name, run.progress) for run in self._runs.values()]

    def stop(self, reason: str, only: Collection[UUID] | None = None) -> None:
        """Let running cycles, or some of them, end between two windows."""
        for vehicle_id, run in self._runs.items():
            if only is None or vehicle_id in only:
                run.stop_reason = reason

    def retain(self, fleet: Collection[UUID], reason: str) -> None:
        """Stop the cycles and close the sessions of vehicles that are not in `fleet` any more."""
        self._sessions.retain(set(fleet) | self._runs.keys())
        self.stop(reason, self._runs.keys() - set(fleet))

    def close(self) -> None:
        """Close every session."""
        self._sessions.close()

    def sync(self, vehicle: Vehicle) -> None:
        """Run one vehicle's cycle; no error leaves this method."""
        run = self._runs[vehicle.id] = _Run(vehicle)
        try:
            self._sync(run)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        except DatabaseUnavailable as error:
            self._on_database_error(error)
        except Exception:
            log.exception("[%s] %s: its cycle ended", vehicle.name, INTERNAL_ERROR)
            self._record_internal_error(vehicle)
        finally:
            del self._runs[vehicle.id]
            self._sessions.release(vehicle.id)

    def _sync(self, run: _Run) -> None:
        def note(progress: Progress) -> None:
            run.progress = progress

        session = self._sessions.get(run.vehicle)
        report = sync_vehicle(
            run.vehicle,
            session.client,
            self._context,
            on_progress=note,
            stop_reason=lambda: run.stop_reason,
        )
        self._on_report(report)

    def _record_internal_error(self, vehicle: Vehicle) -> None:
        now = self._context.now()
        reason = f"{INTERNAL_ERROR}: the daemon's log has its traceback"
        report = CycleReport(vehicle, now, now, Outcome.ERROR, reason, failure=Failure.INTERNAL)
        try:
            report = write_report(report, self._context.database)
        except DatabaseUnavailable as error:
            self._on_database_error(error)
        except VehicleRemoved:
            log.info("[%s] was removed", vehicle.name)
        self._on_report(report)
