"""How far apart a cycle's vehicles are started, so that they do not queue for the database.

A vehicle that is asked before its rows can be stored waits with them, and what it answered is older
by that wait when it is committed. So where the vehicles of the last cycle had to queue for a
connection, those of this one are started as fast as connections came free then, and no faster. The
fleet is through as early as before; each vehicle is asked later.
"""

from collections.abc import Callable

from fleetsyncd.database.queueing import Queueing

SLOWER = 1.05
"""A little slower than connections came free, so that a queue gets shorter."""
FASTER = 0.95
"""Without a queue, the vehicles are so much closer together in each cycle: not much, so that each
is still asked an interval after the last time."""
LEAST_QUEUE_SEC = 0.5
"""A shorter queue says little about how fast it went."""
MOST_OF_INTERVAL = 0.8
"""The last vehicle is started within this part of the interval, however long the queue was."""


class Pace:
    """Learns from each cycle how far apart the vehicles of the next one are started."""

    def __init__(self, queueing: Callable[[], Queueing], sync_interval_sec: float) -> None:
        self._queueing = queueing
        self._before: Queueing | None = None
        """None before the first cycle, which opens connections and stores channels: it is slow."""
        self._interval_sec = sync_interval_sec
        self._started = 0
        self._gap_sec = 0.0

    def note_started(self) -> None:
        """Count a vehicle of those that are started apart; the others answer hardly ever."""
        self._started += 1

    def new_fleet_cycle(self) -> None:
        """Learn from the cycle that is over."""
        now, before = self._queueing(), self._before
        if before is not None:
            self._learn(before, now)
        self._before, self._started = (now if before or self._started else None), 0

    def _learn(self, before: Queueing, now: Queueing) -> None:
        seconds = now.seconds - before.seconds
        queued, transactions = now.queued - before.queued, now.transactions - before.transactions
        if seconds < LEAST_QUEUE_SEC or not self._started:
            self._gap_sec *= FASTER
        else:
            each = transactions / self._started
            wanted = SLOWER * each * seconds / queued
            self._gap_sec += (wanted - self._gap_sec) / 2

    def gap_sec(self, vehicles: int) -> float:
        """Return how many seconds apart so many vehicles are started."""
        return min(self._gap_sec, MOST_OF_INTERVAL * self._interval_sec / max(1, vehicles))
