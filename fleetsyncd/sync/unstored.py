"""Whose last cycle the database could not store.

A daemon that cannot write must not look well: the journal entry that would tell is one of the
things that cannot be written. What is known here goes with the heartbeat, a small row that keeps
its place, and to the metrics.
"""

from collections.abc import Collection
from uuid import UUID

from fleetsyncd.reports import CycleReport, Unstored


class UnstoredCycles:
    """Remembers of each vehicle whether its last cycle could be stored."""

    def __init__(self) -> None:
        self._reasons: dict[UUID, str] = {}
        """The last one failed last."""

    def note(self, report: CycleReport) -> None:
        """Remember how a vehicle's cycle ended."""
        self._reasons.pop(report.vehicle.id, None)
        if report.unstored:
            self._reasons[report.vehicle.id] = f"[{report.vehicle.name}] {report.unstored}"

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that are not in `fleet`."""
        self._reasons = {key: text for key, text in self._reasons.items() if key in fleet}

    def drop(self, vehicle_ids: Collection[UUID]) -> None:
        """Forget vehicles that are not asked: no cycle of theirs would say that it is over."""
        for vehicle_id in vehicle_ids:
            self._reasons.pop(vehicle_id, None)

    @property
    def present(self) -> Unstored:
        """What there is to tell now."""
        return Unstored(len(self._reasons), next(reversed(self._reasons.values()), None))
