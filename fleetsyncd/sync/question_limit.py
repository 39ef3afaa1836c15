"""The limits of one pull: it ends when it is to stop, and before it takes too long."""

from collections.abc import Callable

from fleetsyncd.errors import PullOverrun, PullStopped

LONGEST_SEC = 600.0
"""For one pull of measurements. A longer gap goes on in the vehicle's next cycle."""
MOST_QUESTIONS = 2_000
LONGEST_ALARMS_SEC = 120.0
MOST_ALARMS_QUESTIONS = 200


class QuestionLimit:
    """Counts the questions of one pull; `stop_reason` names the reason to end early."""

    def __init__(
        self,
        stop_reason: Callable[[], str | None],
        seconds: float,
        questions: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._stop_reason = stop_reason
        self._seconds = seconds
        self._questions = questions
        self._monotonic = monotonic
        self._ends = monotonic() + seconds
        self._asked = 0

    def check(self) -> None:
        """Count a question that is about to be asked; raise PullStopped or PullOverrun instead."""
        if reason := self._stop_reason():
            raise PullStopped(reason)
        if self._monotonic() >= self._ends:
            raise PullOverrun(f"{self._seconds:g} s are over")
        if self._asked >= self._questions:
            raise PullOverrun(f"{self._questions} questions are asked")
        self._asked += 1
