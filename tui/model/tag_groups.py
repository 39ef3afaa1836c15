"""Groups of vehicles by tag, with how many of each are in which state."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fleetsyncd.states import State, VehicleOverview
from tui.model.filters import Filter, is_in_trouble

NO_TAG = "(no tag)"


@dataclass(frozen=True, slots=True)
class TagGroup:
    """The vehicles with a tag; `tag` None: those without any."""

    tag: str | None
    vehicles: tuple[VehicleOverview, ...]

    @property
    def label(self) -> str:
        """The tag as it is shown; it cannot be mistaken for another one, as tags have no blanks."""
        return NO_TAG if self.tag is None else self.tag

    @property
    def counts(self) -> Counter[State]:
        """How many of the vehicles are in each state."""
        return Counter(vehicle.state for vehicle in self.vehicles)

    @property
    def in_trouble(self) -> int:
        """How many of the vehicles the filter of problems shows."""
        return sum(map(is_in_trouble, self.vehicles))


def groups(vehicles: Sequence[VehicleOverview], tags: Collection[str] = ()) -> list[TagGroup]:
    """Return a group for each tag, or for each of `tags`, that a vehicle has.

    The group with the most vehicles in trouble is first, vehicles without a tag are last. A vehicle
    with several tags is in several groups.
    """
    members: dict[str, list[VehicleOverview]] = {}
    for vehicle in vehicles:
        for tag in vehicle.tags:
            members.setdefault(tag, []).append(vehicle)
    found = [
        TagGroup(tag, tuple(group)) for tag, group in members.items() if not tags or tag in tags
    ]
    found.sort(key=lambda group: (-group.in_trouble, group.label))
    untagged = tuple(vehicle for vehicle in vehicles if not vehicle.tags)
    return [*found, TagGroup(None, untagged)] if untagged else found


def group_filter(group: TagGroup, everyone: Iterable[TagGroup]) -> Filter:
    """Return the filter that shows a group of `everyone`, with the text that an operator types."""
    if group.tag is None:
        known = ",".join(sorted(each.tag for each in everyone if each.tag is not None))
        return Filter(f"-tag:{known}" if known else "", (lambda vehicle: not vehicle.tags,))
    tag = group.tag
    return Filter(f"tag:{tag}", (lambda vehicle: tag in vehicle.tags,))
