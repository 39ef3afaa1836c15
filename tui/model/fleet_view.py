"""Which vehicles are shown, in which order, which are marked, and which one the cursor is on.

What the operator asks for (a sort, a filter) arranges everything anew, and the cursor goes to the
first row. A refresh arranges anew too, but takes nothing out of the operator's hands: the vehicle
under the cursor keeps its place, and it, the marked ones and those that were acted on stay shown
though they no longer match.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from fleetsyncd.cells import cut
from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import listed
from tui.model.filters import NO_FILTER, Filter, is_in_trouble
from tui.model.sorting import DESCENDING_FIRST, Sort, ordered
from tui.model.tag_text import gone
from tui.model.targets import Targets

_BRIEF_CELLS = 12


@dataclass
class FleetView:
    """The vehicles after filter and sort, the operator's marks and the cursor."""

    filter: Filter = NO_FILTER
    problems_only: bool = False
    sort: Sort = Sort.STATE
    descending: bool = False
    marked: set[UUID] = field(default_factory=set)
    shown: list[VehicleOverview] = field(default_factory=list)
    total: int = 0
    cursor: UUID | None = None
    """The vehicle under the cursor; None if no vehicle is shown."""
    cursor_row: int = 0
    """Index of the cursor in `shown`."""
    tags: Sequence[str] = ()
    """Only vehicles with one of these tags are read; empty: all."""
    columns: dict[str, bool] = field(default_factory=dict)
    """The columns that the operator wants or hides, by title; the width decides on the others."""
    lost_cursor: str = ""
    """The vehicle that was removed under the cursor, until the operator moves it; else empty."""
    lost_marks: list[str] = field(default_factory=list)
    """The marked vehicles that were removed, until an action has told so."""
    kept: list[VehicleOverview] = field(default_factory=list)
    """Those of `shown` that no longer match the filter."""
    _acted_on: set[UUID] = field(default_factory=set)
    _all: Sequence[VehicleOverview] = ()
    _awaited: UUID | None = None
    """The vehicle that the cursor goes to when it is read, unless it was moved meanwhile."""

    def update(self, vehicles: Sequence[VehicleOverview]) -> None:
        """Replace the vehicles (ordered by name); drop the marks of removed vehicles."""
        before, self._all = self._all, vehicles
        self.total = len(vehicles)
        if self.marked:
            gone = self.marked - {vehicle.id for vehicle in vehicles}
            self.marked -= gone
            self.lost_marks += [vehicle.name for vehicle in before if vehicle.id in gone]
        self._show(self._held())
        self._hold_cursor(before)
        if self._awaited is not None and self.get(self._awaited) is not None:
            row = self.index_of(self._awaited, 0)
            self.move_cursor(self.cursor_row if row is None else row)

    @property
    def vehicles(self) -> Sequence[VehicleOverview]:
        """All of them, whatever the filter shows."""
        return self._all

    def await_vehicle(self, vehicle_id: UUID) -> None:
        """Put the cursor on a new vehicle once it is read, unless it is moved meanwhile."""
        self._awaited = vehicle_id

    def arrange(self) -> None:
        """Filter and sort again, as the operator asked; the cursor goes to the first row."""
        self._acted_on.clear()
        self._show(frozenset())
        self.move_cursor(0)

    def _held(self) -> frozenset[int]:
        """Return the numbers of the ids that stay shown though they may no longer match.

        Numbers, because the hash of a UUID is ten times slower.
        """
        if not (self.problems_only or self.filter.tests):
            return frozenset()
        ids = self.marked | self._acted_on | ({self.cursor} if self.cursor else set())
        held = {vehicle_id.int for vehicle_id in ids}
        return frozenset(number for vehicle in self.shown if (number := vehicle.id.int) in held)

    def _show(self, held: frozenset[int]) -> None:
        """Set `shown` to the vehicles that match and the held ones, in their order."""
        matching = list(self._all)
        if self.problems_only:
            matching = [vehicle for vehicle in matching if is_in_trouble(vehicle)]
        for test in self.filter.tests:
            matching = [vehicle for vehicle in matching if test(vehicle)]
        self.kept = []
        if held and len(matching) < self.total:
            numbers = {vehicle.id.int for vehicle in matching}
            self.kept = [v for v in self._all if v.id.int in held and v.id.int not in numbers]
            if self.kept:
                numbers |= held
                matching = [vehicle for vehicle in self._all if vehicle.id.int in numbers]
        self.shown = ordered(matching, self.sort, descending=self.descending)

    def _hold_cursor(self, before: Sequence[VehicleOverview]) -> None:
        """Leave the cursor on its vehicle, and where states decide, the vehicle in its row.

        Its state may change at any refresh: it would leave the screen, or take the screen with it.
        """
        row = self.index_of(self.cursor, self.cursor_row)
        if row is None:
            gone = next((each.name for each in before if each.id == self.cursor), self.lost_cursor)
            self.move_cursor(self.cursor_row)
            self.lost_cursor = gone
            return
        if self.sort is not Sort.NAME and row != self.cursor_row:
            self.shown.insert(self.cursor_row, self.shown.pop(row))
            row = min(self.cursor_row, len(self.shown) - 1)
        self.cursor_row = row

    def move_cursor(self, row: int) -> None:
        """Put the cursor on the vehicle at that index, or at the nearest one that there is."""
        self.lost_cursor, self._awaited = "", None
        self.cursor_row = max(0, min(row, len(self.shown) - 1))
        self.cursor = self.shown[self.cursor_row].id if self.shown else None

    def sort_by(self, sort: Sort) -> None:
        """Sort by `sort`; if the vehicles are sorted by it already, reverse the order.

        By state, the worst are always first: whoever asks again looks for them once more.
        """
        again = sort is self.sort and sort is not Sort.STATE
        self.descending = not self.descending if again else sort in DESCENDING_FIRST
        self.sort = sort
        self.arrange()

    def filter_by(self, new: Filter) -> None:
        """Show the vehicles that match `new`; nothing moves if it is the present filter."""
        if new.text != self.filter.text:
            self.filter = new
            self.arrange()

    def toggle_problems(self) -> None:
        """Show vehicles in trouble only, or all."""
        self.problems_only = not self.problems_only
        self.arrange()

    def keep(self, vehicles: Iterable[VehicleOverview]) -> None:
        """Leave vehicles that are acted on shown until the operator sorts or filters."""
        self._acted_on.update(vehicle.id for vehicle in vehicles)

    def index_of(self, vehicle_id: UUID | None, guess: int) -> int | None:
        """Return a vehicle's index in `shown`, or None; the index `guess` is tried first."""
        if vehicle_id is None:
            return None
        if guess < len(self.shown) and self.shown[guess].id == vehicle_id:
            return guess
        number = vehicle_id.int
        return next((row for row, each in enumerate(self.shown) if each.id.int == number), None)

    def get(self, vehicle_id: UUID) -> VehicleOverview | None:
        """Return a vehicle of the fleet, shown or not; None if there is no such vehicle."""
        return next((vehicle for vehicle in self._all if vehicle.id == vehicle_id), None)

    def unknown_tags(self) -> list[str]:
        """Return the tags that the filter asks for and no vehicle has."""
        known = {tag.lower() for vehicle in self._all for tag in vehicle.tags}
        return [tag for tag in self.filter.tags if tag not in known]

    def toggle_mark(self, vehicle_id: UUID) -> None:
        """Mark a vehicle, or remove its mark."""
        self.marked ^= {vehicle_id}
        self.lost_marks.clear()

    def mark_all(self, ids: Iterable[UUID]) -> None:
        """Mark all of `ids`; if all of them are marked already, remove their marks."""
        all_ids = set(ids)
        self.lost_marks.clear()
        self.marked = self.marked - all_ids if all_ids <= self.marked else self.marked | all_ids

    def clear_marks(self) -> None:
        """Remove all marks, and forget those that were removed with their vehicles."""
        self.marked.clear()
        self.lost_marks.clear()

    def targets(self, under_cursor: UUID | None, on_screen: Collection[UUID]) -> Targets:
        """Return the targets of an action: the marked vehicles, else the one under the cursor.

        The cursor counts only while its vehicle is shown, and not in place of marked vehicles
        that were removed.
        """
        shown = {vehicle.id for vehicle in self.shown}
        ids = self.marked or (set() if self.lost_marks else shown & {under_cursor})
        return Targets(
            tuple(vehicle for vehicle in self._all if vehicle.id in ids),
            hidden=frozenset(ids - shown),
            off_screen=frozenset((ids & shown).difference(on_screen)),
            hidden_by=self.hidden_by,
            lost=self.lost_text(with_cursor=not self.marked),
        )

    def lost_text(self, *, with_cursor: bool = True) -> str:
        """Say which marked vehicles were removed, else which one under the cursor."""
        if self.lost_marks:
            what = f"it {gone(self.tags)}" if self.tags else "removed meanwhile"
            return f"{listed(self.lost_marks)}: marked, and {what}"
        lost = self.lost_cursor if with_cursor else ""
        return f"{lost} {gone(self.tags)}" if lost else ""

    def lost_briefly(self) -> str:
        """Say the same as `lost_text` where there is little room: how many, or a part of a name."""
        if self.lost_marks:
            number = len(self.lost_marks)
            return f"{number} marked {'is' if number == 1 else 'are'} gone"
        return f"{cut(self.lost_cursor, _BRIEF_CELLS)} is gone" if self.lost_cursor else ""

    @property
    def hidden_by(self) -> str:
        """What keeps vehicles of the fleet from being shown; empty if nothing does."""
        parts = ["problems only"] if self.problems_only else []
        parts += [f"the filter {self.filter.text}"] if self.filter.text else []
        return " and ".join(parts)

    @property
    def marks_text(self) -> str:
        """How many vehicles are marked, and how many of them are not shown; empty without marks."""
        if not self.marked:
            return ""
        hidden = len(self.marked) - sum(vehicle.id in self.marked for vehicle in self.shown)
        return f"{len(self.marked)} marked" + (f", {hidden} not shown" if hidden else "")
