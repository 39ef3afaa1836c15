"""Which vehicles are shown, in which order, and which are marked: plain data, no screen."""

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

    NAME = "vehicle"
    STATE = "status"
    LAG = "lag"
    SEEN = "seen"


_KEYS: dict[Sort, Callable[[VehicleOverview], Any]] = {
    Sort.STATE: lambda vehicle: _RANK[vehicle.state],
    Sort.LAG: lambda vehicle: _NEVER if vehicle.lag is None else vehicle.lag,
    Sort.SEEN: lambda vehicle: _NEVER if vehicle.seen_age is None else vehicle.seen_age,
}
_FALLING_AT_FIRST = {Sort.LAG, Sort.SEEN}


@dataclass
class FleetView:
    """The fleet as one operator looks at it."""

    filter: Filter = NO_FILTER
    problems_only: bool = False
    sort: Sort = Sort.NAME
    falling: bool = False
    marked: set[UUID] = field(default_factory=set)
    shown: list[VehicleOverview] = field(default_factory=list)
    total: int = 0
    _all: Sequence[VehicleOverview] = ()

    def update(self, vehicles: Sequence[VehicleOverview]) -> None:
        """Take in a new state of the fleet, ordered by name; marks of vehicles gone go too."""
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
            self.shown.sort(key=_KEYS[self.sort], reverse=self.falling)  # ties stay by name
        elif self.falling:
            self.shown.reverse()

    def sort_by(self, sort: Sort) -> None:
        """Order by something else; the same again turns the order round."""
        self.falling = not self.falling if sort is self.sort else sort in _FALLING_AT_FIRST
        self.sort = sort
        self.arrange()

    def place_of(self, vehicle_id: UUID | None, near: int) -> int | None:
        """Return where a vehicle is shown, None if it is not; `near` is looked at first."""
        if near < len(self.shown) and self.shown[near].id == vehicle_id:
            return near
        places = (place for place, vehicle in enumerate(self.shown) if vehicle.id == vehicle_id)
        return next(places, None)

    def get(self, vehicle_id: UUID) -> VehicleOverview | None:
        """Return a vehicle by its id, shown or not."""
        return next((vehicle for vehicle in self._all if vehicle.id == vehicle_id), None)

    def toggle_mark(self, vehicle_id: UUID) -> None:
        """Mark a vehicle, or take its mark away."""
        self.marked ^= {vehicle_id}

    def mark_all(self, ids: Iterable[UUID]) -> None:
        """Mark all of `ids`; if all of them are marked, take their marks away."""
        wanted = set(ids)
        self.marked = self.marked - wanted if wanted <= self.marked else self.marked | wanted

    def targets(self, under_cursor: UUID | None) -> list[VehicleOverview]:
        """Return what an action is for: the marked vehicles, else the one under the cursor."""
        ids = self.marked or ({under_cursor} if under_cursor else set())
        return [vehicle for vehicle in self._all if vehicle.id in ids]
