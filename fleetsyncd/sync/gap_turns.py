"""In which order the vehicles' gaps get slots."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from uuid import UUID

from fleetsyncd.database.gaps import OpenGap
from fleetsyncd.loss_forecast import forecast_loss

URGENT_SHARE = 2
"""One slot of so many for gaps goes first to those of which a part will be lost.

With fewer slots it is one turn of so many.
"""
Turn = tuple[UUID, bool]
"""A vehicle, and whether its gap is urgent: a part of it will be lost at the present pace."""


class GapTurns:
    """Remembers who had a turn when; at most `most` gaps are pulled at the same time."""

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self.most = most
        self._monotonic = monotonic
        self._waiting: deque[Turn] = deque()
        self._served_at: dict[UUID, float] = {}
        self._was_urgent = False
        """Whether the turn that was given last was an urgent one's."""
        self.was_crowded = False
        """Whether a gap waited for a slot when slots were given last."""

    def order(self, due: Sequence[OpenGap], urgent_running: int, now: datetime) -> list[Turn]:
        """Return the vehicles in the order in which their gaps are pulled.

        Half of the slots go to urgent ones first, of a single one every second turn; a vehicle may
        lie, so the other half goes to whoever has waited longest for a turn.
        """
        due = sorted(due, key=lambda gap: self._served_at.get(gap.vehicle_id, 0.0))
        is_urgent = {
            gap.vehicle_id: forecast_loss(gap.history, gap.whole, now) is not None for gap in due
        }
        urgent = [key for key in is_urgent if is_urgent[key]]
        if self.most < URGENT_SHARE:
            lists = (is_urgent, urgent) if self._was_urgent else (urgent, is_urgent)
            keys = _alternating(*lists)
        else:
            first = max(0, self.most // URGENT_SHARE - urgent_running)
            keys = dict.fromkeys([*urgent[:first], *is_urgent])
        return [(key, is_urgent[key]) for key in keys]

    def give(self, turns: Sequence[Turn], room: int) -> dict[UUID, bool]:
        """Return the first turns, as many as there is room for; the others wait."""
        room = max(room, 0)
        self._note_given(turns[:room])
        self._waiting = deque(turns[room:])
        self.was_crowded = bool(self._waiting)
        return dict(turns[:room])

    def next(self) -> Turn | None:
        """Return the next turn of those that wait, None if none does."""
        if not self._waiting:
            return None
        turn = self._waiting.popleft()
        self._note_given([turn])
        return turn

    def _note_given(self, turns: Sequence[Turn]) -> None:
        if turns:
            self._was_urgent = turns[-1][1]

    def cancel_waiting(self) -> None:
        """Let none wait, until turns are given again."""
        self._waiting.clear()

    def note_served(self, vehicle_id: UUID) -> None:
        """Take in that a vehicle's turn is over."""
        self._served_at[vehicle_id] = self._monotonic()

    def retain(self, fleet: Collection[UUID]) -> None:
        """Forget the vehicles that are not in `fleet`."""
        self._served_at = {key: at for key, at in self._served_at.items() if key in fleet}


def _alternating(first: Iterable[UUID], second: Iterable[UUID]) -> dict[UUID, None]:
    """Return the keys of both in turns, each once; when one has no more, the rest of the other."""
    keys: dict[UUID, None] = {}
    lists = [iter(first), iter(second)]
    while lists:
        for each in list(lists):
            key = next((key for key in each if key not in keys), None)
            if key is None:
                lists.remove(each)
            else:
                keys[key] = None
    return keys
