"""How fast a vehicle's gap may fill its link: a bucket of bytes, paid when an answer has come.

What is live is not held back, and not paid for. An answer comes as fast as the link carries it, so
a question asks for so little that its answer is no long burst; then nothing is asked until it is
paid.
"""

from datetime import timedelta

from fleetsyncd.models import Window

KBIT_BYTES = 125
"""Bytes in a kilobit."""
ANSWER_SEC = 2.0
"""One answer has about as many bytes as the rate carries in so long; as much may be saved."""
MOST_DEBT_SEC = 60.0
"""An answer that is far larger than expected is not paid for longer."""
FIRST, SHORTEST = timedelta(seconds=30), timedelta(seconds=1)
"""How much is asked for of a vehicle of which nothing is known, and at least."""
GROWTH = 2
"""The most by which one answer makes the next question longer: it may ask for denser data."""
MILLISECOND = timedelta(milliseconds=1)


class Pace:
    """The bucket of one vehicle, kept between its jobs; times are on the monotonic clock."""

    def __init__(self, kbit: int, now: float) -> None:
        self.kbit = kbit
        self._rate = float(kbit * KBIT_BYTES)
        self._level = self._rate * ANSWER_SEC
        self._filled_at = now
        self._length = FIRST

    def pay(self, size: int, now: float) -> None:
        """Take in that so many bytes were carried."""
        self._fill(now)
        self._level = max(self._level - size, -self._rate * MOST_DEBT_SEC)

    def wait_sec(self, now: float) -> float:
        """Return in how many seconds the next question may be asked."""
        self._fill(now)
        return max(0.0, -self._level / self._rate)

    def fit(self, window: Window) -> Window:
        """Return as much of `window`, from its start, as may be asked for at once."""
        return Window(window.start, min(window.start + self._length, window.end))

    def learn(self, window: Window, size: int) -> None:
        """Learn from an answer how much of the vehicle's time is worth how many bytes."""
        fitting = window.length * (self._rate * ANSWER_SEC / max(size, 1))
        length = min(max(fitting, SHORTEST), max(self._length, window.length) * GROWTH)
        self._length = length // MILLISECOND * MILLISECOND

    def _fill(self, now: float) -> None:
        elapsed, self._filled_at = now - self._filled_at, now
        self._level = min(self._level + elapsed * self._rate, self._rate * ANSWER_SEC)
