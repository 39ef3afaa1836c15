"""Notice that the database went back: a restore, a failover to a standby that lagged, an operator.

Only for the log. Nothing that a cycle decides rests on what this process remembers.
"""

import logging
from collections.abc import Sequence
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

    def check(self, fleet: Sequence[Vehicle]) -> None:
        """Say once that watermarks went back; forget the vehicles that left the fleet."""
        known = self._committed
        self._committed = {v.id: known[v.id] for v in fleet if v.id in known}
        lost: list[tuple[timedelta, str]] = []
        for vehicle in fleet:
            committed = known.get(vehicle.id)
            if committed is not None and (
                vehicle.watermark is None or vehicle.watermark < committed
            ):
                lost.append((committed - (vehicle.watermark or committed), vehicle.name))
                del self._committed[vehicle.id]
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
