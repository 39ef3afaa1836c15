"""Which vehicles are left alone for a while, because they asked for it by `Retry-After`.

Kept in memory: a daemon that does not know of a rest asks once, and is told again.
"""

import time
from collections.abc import Callable
from uuid import UUID


class Rests:
    """The vehicles that are at rest, on the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until: dict[UUID, float] = {}

    def note(self, vehicle_id: UUID, seconds: float | None) -> None:
        """Leave a vehicle alone for so long from now on; None changes nothing."""
        if seconds is not None:
            self._until[vehicle_id] = self._monotonic() + seconds

    def current(self) -> set[UUID]:
        """Return the vehicles that are to be left alone now."""
        now = self._monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        return set(self._until)
