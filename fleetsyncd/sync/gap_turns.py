"""In which order the vehicles' gaps get slots."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.gaps import OpenGap
from fleetsyncd.loss_forecast import forecast_loss

URGENT_SHARE = 2
"""One slot of so many for gaps goes first to those of which a part will be lost."""
Turn = tuple[UUID, bool]
"""A vehicle, and whether its gap is urgent: a part of it will be lost at the present pace."""


class GapTurns:
    """Remembers who had a turn when; at most `most` gaps are pulled at the same time."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self.most = most
        self._monotonic = monotonic
        self._waiting: deque[Turn] = deque()
        self._served_at: dict[UUID, float] = {}
        self.was_crowded = False
        """Whether a gap waited for a slot when slots were given last."""

    def order(self, due: Sequence[OpenGap], urgent_running: int, now: datetime) -> list[Turn]:
        """Return the vehicles in the order in which their gaps are pulled.

        Half of the slots go to urgent ones first; a vehicle may lie, so the other half goes to
        whoever has waited longest for a turn.
        """
        due = sorted(due, key=lambda gap: self._served_at.get(gap.vehicle_id, 0.0))
        is_urgent = {
            gap.vehicle_id: forecast_loss(gap.history, gap.whole, now) is not None for gap in due
        }
        first = max(0, self.most // URGENT_SHARE - urgent_running)
        preferred = [key for key in is_urgent if is_urgent[key]][:first]
        return [(key, is_urgent[key]) for key in dict.fromkeys([*preferred, *is_urgent])]

    def give(self, turns: Sequence[Turn], room: int) -> dict[UUID, bool]:
        """Return the first turns, as many as there is room for; the others wait."""
        room = max(room, 0)
        self._waiting = deque(turns[room:])
        self.was_crowded = bool(self._waiting)
        return dict(turns[:room])

    def next(self) -> Turn | None:
        """Return the next turn of those that wait, None if none does."""
        return self._waiting.popleft() if self._waiting else None

    def cancel_waiting(self) -> None:
        """Let none wait, until turns are given again."""
        self._waiting.clear()

    def note_served(self, vehicle_id: UUID) -> None:
        """Take in that a vehicle's turn is over."""
        self._served_at[vehicle_id] = self._monotonic()

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that are not in `fleet`."""
        self._served_at = {key: at for key, at in self._served_at.items() if key in fleet}
