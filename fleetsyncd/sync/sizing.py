"""How much of a vehicle's time one question may cover, so that its answer fits the link.

Cycles and backfills, measurements and alarms share it. What is learned is stored with the vehicle.
"""

from datetime import timedelta

from fleetsyncd.models import Window

SHORTEST, LONGEST = timedelta(milliseconds=1), timedelta(days=400)
SHORTEST_AFTER_SILENCE = timedelta(seconds=1)
"""A vehicle that sends nothing at all may have other reasons than the size of the question."""
LEAST_COMPLETE = timedelta(seconds=1)
"""No complete answer makes questions shorter, however slow it was."""
TARGET_SHARE = 1 / 3
"""Of the deadline, that an answer may take to arrive: a link may become three times slower."""
GROWTH, SHRINKAGE = 1.25, 4
"""The most by which one answer changes the length: a link that cut a longer answer off is tried
again in small steps."""


class QuestionSize:
    """The longest window that is asked for at present; changes with every answer.

    Of a link of which nothing is known everything is asked for: most carry it, and from an answer
    that broke off it is known how much they carry.
    """

    def __init__(
        self, length: timedelta | None, deadline_sec: float, most_sec: float | None = None
    ) -> None:
        self._most = LONGEST if most_sec is None else timedelta(seconds=most_sec)
        """What an operator allows of this vehicle. Nothing is learned from it: its link may carry
        more."""
        self.length = min(max(length or LONGEST, SHORTEST), LONGEST)
        self._target_sec = deadline_sec * TARGET_SHARE

    def fit(self, window: Window) -> Window:
        """Return as much of `window`, from its start, as is asked for at once."""
        return Window(window.start, min(window.start + min(self.length, self._most), window.end))

    def answered(self, window: Window, seconds: float) -> None:
        """Learn that the body of the answer for `window` took `seconds`.

        What the vehicle needs before it sends does not count: a smaller question may not be
        answered sooner. A shorter window than the longest one says little about how much there is
        room for.
        """
        ratio = self._target_sec / max(seconds, 1e-6)
        if ratio < 1:
            fitting = window.length * max(ratio, 1 / SHRINKAGE)
            self._set(min(self.length, max(fitting, LEAST_COMPLETE)))
        else:
            self._set(max(self.length, window.length * min(ratio, GROWTH)))

    def broke(self, window: Window, share: float | None = None) -> None:
        """Learn that the deadline came when a `share` of the answer was there; None: unknown.

        The length is at least halved.
        """
        factor = 1 / 2 if share is None else min(1 / 2, share * TARGET_SHARE)
        self._set(min(self.length, window.length) * factor)

    def stayed_silent(self, window: Window) -> None:
        """Learn that nothing came before the deadline, though the vehicle is there."""
        self._set(
            max(min(self.length, window.length) / 2, min(self.length, SHORTEST_AFTER_SILENCE))
        )

    def _set(self, length: timedelta) -> None:
        """Keep whole milliseconds, the resolution of the vehicle API."""
        self.length = min(max(length // SHORTEST * SHORTEST, SHORTEST), LONGEST)
