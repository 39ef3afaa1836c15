"""Refused rows that an operator has chosen: whole groups, or single rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.database.quarantine import QuarantinedRow, RefusedGroup

MAX_NAMES = 3


@dataclass(frozen=True, slots=True)
class Refused:
    """Groups or rows, never both, as they were shown when they were chosen."""

    groups: Sequence[RefusedGroup] = ()
    rows: Sequence[QuarantinedRow] = ()

    def __bool__(self) -> bool:
        """Tell whether anything was chosen."""
        return bool(self.groups or self.rows)

    @property
    def count(self) -> int:
        """How many rows they are."""
        return sum(group.rows for group in self.groups) + len(self.rows)

    @property
    def _lines(self) -> list[RefusedGroup | QuarantinedRow]:
        return [*self.groups, *self.rows]

    @property
    def vehicles(self) -> dict[UUID, str]:
        """The names of their vehicles."""
        return {each.vehicle_id: each.vehicle for each in self._lines}

    @property
    def whose(self) -> str:
        """Their vehicles in words."""
        names = list(self.vehicles.values())
        return ", ".join(names) if len(names) <= MAX_NAMES else f"{len(names)} vehicles"

    @property
    def what(self) -> str:
        """What they are, for a question: calls and reasons with their numbers."""
        numbers: dict[str, int] = {}
        for each in self._lines:
            name = f"{each.call}: {each.reason}"
            numbers[name] = numbers.get(name, 0) + (
                each.rows if isinstance(each, RefusedGroup) else 1
            )
        return "\n".join(f"{number:,} × {name}" for name, number in numbers.items())
