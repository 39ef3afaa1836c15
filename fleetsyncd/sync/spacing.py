"""How far apart a cycle's vehicles are started, so that they do not queue for the database.

A vehicle that is asked before its rows can be stored waits with them, and what it answered is older
by that wait when it is committed. So where the vehicles of the last cycle had to queue for a
connection, those of this one are started as fast as connections came free then, and no faster. The
fleet is through as early as before; each vehicle is asked later.
"""

from dataclasses import dataclass

SLOWER = 1.05
"""A little slower than connections came free, so that a queue gets shorter."""
FASTER = 0.95
"""Without a queue, the vehicles are so much closer together in each cycle: not much, so that each
is still asked an interval after the last time."""
AT_REST = 0.5
"""The same where nothing had to queue at all: the database was slow for a moment, and is not."""
LEAST_QUEUE_SEC = 0.5
"""A shorter queue says little about how fast it went."""
MOST_OF_INTERVAL = 0.8
"""The last vehicle is started within this part of the interval, however long the queue was."""

SHORTEST_SEC = 0.001
"""A shorter wait is none: a free connection is taken at once."""


@dataclass(slots=True)
class Queueing:
    """What was counted of them since the fleet's cycle began."""

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


class Spacing:
    """Learns from each cycle how far apart the vehicles of the next one are started."""

    def __init__(self, sync_interval_sec: float) -> None:
        self._interval_sec = sync_interval_sec
        self._queueing = Queueing()
        self._started = 0
        self._has_begun = False
        """Whether a cycle is over: the first one opens connections and stores channels."""
        self._gap_sec = 0.0

    def note_started(self) -> None:
        """Count a vehicle of those that are started apart; the others answer hardly ever."""
        self._started += 1

    def note_wait(self, began: float, got: float) -> None:
        """Take in when a transaction of a cycle asked for a connection, and when it got one.

        Those of others, as of gaps, do not count: they wait for themselves, however many they are.
        """
        self._queueing.note(began, got)

    def new_fleet_cycle(self) -> None:
        """Learn from the cycle that is over."""
        if self._has_begun:
            self._learn()
        self._has_begun = self._has_begun or self._started > 0
        self._queueing, self._started = Queueing(), 0

    def _learn(self) -> None:
        found = self._queueing
        if found.seconds < LEAST_QUEUE_SEC or not self._started:
            self._gap_sec *= FASTER if found.queued else AT_REST
        else:
            each = found.transactions / self._started
            wanted = SLOWER * each * found.seconds / found.queued
            self._gap_sec += (min(wanted, self._most(self._started)) - self._gap_sec) / 2

    def gap_sec(self, vehicles: int) -> float:
        """Return how many seconds apart so many vehicles are started."""
        return min(self._gap_sec, self._most(vehicles))

    def _most(self, vehicles: int) -> float:
        return MOST_OF_INTERVAL * self._interval_sec / max(1, vehicles)
