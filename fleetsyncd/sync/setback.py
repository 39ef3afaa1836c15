"""Notice that the database went back: a restore, a failover to a standby that lagged, an operator.

Only for the log. Nothing that a cycle decides rests on what this process remembers.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport
from fleetsyncd.text import age

log = logging.getLogger("sync")


class SetbackWatch:
    """Compares the watermarks that are read with those that this daemon has committed."""

    def __init__(self) -> None:
        self._committed: dict[UUID, datetime] = {}

    def note(self, report: CycleReport) -> None:
        """Remember how far a cycle has committed."""
        if report.watermark is not None:
            self._committed[report.vehicle.id] = report.watermark

    def committed(self) -> dict[UUID, datetime]:
        """Return how far cycles have committed, to be compared with what is read from now on."""
        return dict(self._committed)

    def check(self, fleet: Sequence[Vehicle], known: Mapping[UUID, datetime]) -> None:
        """Say once that watermarks are behind what was `known` before they were read.

        Forgets the vehicles that left the fleet.
        """
        present = {vehicle.id for vehicle in fleet}
        self._committed = {key: at for key, at in self._committed.items() if key in present}
        lost: list[tuple[timedelta, str]] = []
        for vehicle in fleet:
            committed = known.get(vehicle.id)
            if committed is not None and (
                vehicle.watermark is None or vehicle.watermark < committed
            ):
                lost.append((committed - (vehicle.watermark or committed), vehicle.name))
                self._committed.pop(vehicle.id, None)
        if lost:
            longest, name = max(lost)
            log.warning(
                "last_sync_at went back for %d of %d vehicle(s), at most by %s ([%s]): the "
                "database was restored, or somebody set it back; what is missing is pulled again",
                len(lost),
                len(fleet),
                age(longest.total_seconds()),
                name,
            )
