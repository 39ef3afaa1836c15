"""Which vehicles are shown, in which order, and which are marked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from fleetsyncd.states import State, VehicleOverview
from tui.model.filters import NO_FILTER, PROBLEMS, Filter

_WORST_FIRST = (
    State.ERROR, State.TIMEOUT, State.LATE, State.CATCHING_UP, State.NEVER, State.PAUSED,
    State.ONLINE,
)  # fmt: skip
_RANK = {state: rank for rank, state in enumerate(_WORST_FIRST)}
_NEVER = float("inf")


class Sort(StrEnum):
    """What the vehicles are ordered by."""

    NAME = "name"
    STATE = "state"
    LAG = "lag"
    SEEN = "seen"
    CHANGE = "change"


_KEYS: dict[Sort, Callable[[VehicleOverview], Any]] = {
    Sort.STATE: lambda vehicle: _RANK[vehicle.state],
    Sort.LAG: lambda vehicle: _NEVER if vehicle.lag is None else vehicle.lag,
    Sort.SEEN: lambda vehicle: _NEVER if vehicle.seen_age is None else vehicle.seen_age,
    Sort.CHANGE: lambda vehicle: _NEVER if vehicle.state_age is None else vehicle.state_age,
}
SORT_TITLES = {
    Sort.NAME: "vehicle",
    Sort.STATE: "status",
    Sort.LAG: "lag",
    Sort.SEEN: "seen",
    Sort.CHANGE: "since",
}
"""What the fleet table calls each order."""
_DESCENDING_FIRST = {Sort.LAG, Sort.SEEN}


@dataclass
class FleetView:
    """The vehicles after filter and sort, and the operator's marks."""

    filter: Filter = NO_FILTER
    problems_only: bool = False
    sort: Sort = Sort.NAME
    descending: bool = False
    marked: set[UUID] = field(default_factory=set)
    shown: list[VehicleOverview] = field(default_factory=list)
    total: int = 0
    _all: Sequence[VehicleOverview] = ()

    def update(self, vehicles: Sequence[VehicleOverview]) -> None:
        """Replace the vehicles (ordered by name); drop the marks of removed vehicles."""
        self._all = vehicles
        self.total = len(vehicles)
        if self.marked:
            self.marked &= {vehicle.id for vehicle in vehicles}
        self.arrange()

    def arrange(self) -> None:
        """Filter and sort again."""
        self.shown = list(self._all)
        if self.problems_only:
            self.shown = [vehicle for vehicle in self.shown if vehicle.state in PROBLEMS]
        for test in self.filter.tests:
            self.shown = [vehicle for vehicle in self.shown if test(vehicle)]
        if self.sort is not Sort.NAME:
            self.shown.sort(key=_KEYS[self.sort], reverse=self.descending)  # ties stay by name
        elif self.descending:
            self.shown.reverse()

    def sort_by(self, sort: Sort) -> None:
        """Sort by `sort`; if the vehicles are sorted by it already, reverse the order."""
        self.descending = not self.descending if sort is self.sort else sort in _DESCENDING_FIRST
        self.sort = sort
        self.arrange()

    def index_of(self, vehicle_id: UUID | None, guess: int) -> int | None:
        """Return a vehicle's index in `shown`, or None; the index `guess` is tried first."""
        if guess < len(self.shown) and self.shown[guess].id == vehicle_id:
            return guess
        indexes = (index for index, vehicle in enumerate(self.shown) if vehicle.id == vehicle_id)
        return next(indexes, None)

    def get(self, vehicle_id: UUID) -> VehicleOverview | None:
        """Return a vehicle of the fleet, shown or not; None if there is no such vehicle."""
        return next((vehicle for vehicle in self._all if vehicle.id == vehicle_id), None)

    def toggle_mark(self, vehicle_id: UUID) -> None:
        """Mark a vehicle, or remove its mark."""
        self.marked ^= {vehicle_id}

    def mark_all(self, ids: Iterable[UUID]) -> None:
        """Mark all of `ids`; if all of them are marked already, remove their marks."""
        all_ids = set(ids)
        self.marked = self.marked - all_ids if all_ids <= self.marked else self.marked | all_ids

    def targets(self, under_cursor: UUID | None) -> list[VehicleOverview]:
        """Return the targets of an action: the marked vehicles, else the one under the cursor."""
        ids = self.marked or ({under_cursor} if under_cursor else set())
        return [vehicle for vehicle in self._all if vehicle.id in ids]
