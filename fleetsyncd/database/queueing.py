"""How fast transactions get through when they have to queue for a connection."""

from dataclasses import dataclass

SHORTEST_SEC = 0.001
"""A shorter wait is none: a free connection is taken at once."""


@dataclass(slots=True)
class Queueing:
    """Counts since the start; two of them, one later than the other, tell what was meanwhile."""

    transactions: int = 0
    """All of them."""
    queued: int = 0
    """Those that had to wait for a connection."""
    seconds: float = 0.0
    """How long there was a queue."""
    _until: float = 0.0

    def note(self, began: float, got: float) -> None:
        """Take in a transaction that began to wait, and got its connection, on one clock."""
        self.transactions += 1
        if got - began >= SHORTEST_SEC:
            self.queued += 1
            self.seconds += max(0.0, got - max(began, self._until))
            self._until = got

    def copy(self) -> "Queueing":
        """Return the counts as they are now."""
        return Queueing(self.transactions, self.queued, self.seconds, self._until)
