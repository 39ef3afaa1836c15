"""The vehicles that an action applies to, and which of them the operator does not see."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import MOST_NAMES, counted, listed

_MOST_IN_NOTICE = 8


@dataclass(frozen=True, slots=True)
class Targets:
    """The marked vehicles, or the one under the cursor, as they were when the key was pressed."""

    vehicles: tuple[VehicleOverview, ...] = ()
    hidden: frozenset[UUID] = frozenset()
    """Those that are marked, but not shown."""
    off_screen: frozenset[UUID] = frozenset()
    """Those that are shown, but scrolled off the screen."""
    hidden_by: str = ""
    """What hides vehicles: a filter, for example."""
    lost: str = ""
    """Which vehicles the operator may mean that were removed."""
    group: str = ""
    """What they have in common, if they were chosen by that, and not one by one."""

    def __iter__(self) -> Iterator[VehicleOverview]:
        return iter(self.vehicles)

    def __len__(self) -> int:
        return len(self.vehicles)

    @property
    def ids(self) -> list[UUID]:
        """The vehicles' ids."""
        return [vehicle.id for vehicle in self.vehicles]

    @property
    def names_by_id(self) -> dict[UUID, str]:
        """The vehicles' names."""
        return {vehicle.id: vehicle.name for vehicle in self.vehicles}

    def names(self, most: int = MOST_NAMES) -> str:
        """Return the first names, and how many more there are."""
        return listed([vehicle.name for vehicle in self.vehicles], most)

    def where(self, test: Callable[[VehicleOverview], bool]) -> "Targets":
        """Return those that pass a test."""
        vehicles = tuple(vehicle for vehicle in self.vehicles if test(vehicle))
        left = {vehicle.id for vehicle in vehicles}
        return replace(
            self,
            vehicles=vehicles,
            hidden=self.hidden & left,
            off_screen=self.off_screen & left,
        )

    @property
    def title(self) -> str:
        """The name of the one vehicle, or how many they are."""
        vehicles = self.vehicles
        return vehicles[0].name if len(vehicles) == 1 else counted(len(vehicles), "vehicle")

    @property
    def unseen(self) -> bool:
        """Whether the operator may mean one that was removed, or does not see one of them.

        Of several vehicles some may be scrolled off the screen.
        """
        off_screen = self.off_screen and len(self.vehicles) == 1
        return bool(self.lost or self.hidden or off_screen)

    @property
    def ambiguous(self) -> bool:
        """Whether the operator may mean others: there are several, or one is out of sight."""
        return len(self.vehicles) > 1 or self.unseen or bool(self.group)

    @property
    def notice(self) -> str:
        """What the operator may not know of them; empty if there is nothing."""
        return "\n".join(filter(None, [self.lost, self._out_of_sight]))

    @property
    def _out_of_sight(self) -> str:
        """Which of them the operator does not see, and why; empty if there is none."""
        if self.group:
            return f"All {self.group}"
        by = f", hidden by {self.hidden_by}" if self.hidden_by else ""
        if len(self.vehicles) == 1:
            if self.hidden:
                return f"It is marked, but not shown{by}"
            return "It is scrolled off the screen" if self.off_screen else ""
        hidden = [vehicle.name for vehicle in self.vehicles if vehicle.id in self.hidden]
        if not hidden:
            return ""
        return f"{len(hidden)} of them not shown{by}: {listed(hidden, _MOST_IN_NOTICE)}"
