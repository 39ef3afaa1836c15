"""What a pull's answers tell of the vehicle's link, and what they cost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fleetsyncd.errors import AnswerCutOff, AnswerTooLarge, VehicleError, VehicleTimeout
from fleetsyncd.models import LearnedWindows, Window
from fleetsyncd.sync.payment import PAUSE_AFTER_TOO_LARGE_SEC, pay
from fleetsyncd.sync.sizing import QuestionSize
from fleetsyncd.sync.window import MILLISECOND, Splitter
from fleetsyncd.vehicle.answer import Answer
from fleetsyncd.vehicle.cpu_slices import CpuSlices

MOST_BROKEN = 3
"""Answers in a row of which only a part came; then the pull ends, and with it what is thrown away.
The next one goes on with the smaller questions."""
LONG_LATENCY_SEC, LATENCY_BOUND = 0.1, 4
"""If a link's latency is longer, and an answer takes less than so many times as long, longer
windows are worth while."""


@dataclass(slots=True, kw_only=True)
class Link:
    """The link to a vehicle, as a pull learns to know it."""

    data_size: QuestionSize
    alarms_size: QuestionSize
    broken_answers: int = 0
    discarded_bytes: int = 0
    """Of answers that broke off, were truncated or too large, compressed."""
    _broken_in_a_row: int = 0
    _latency_bound: bool = False

    @property
    def learned(self) -> LearnedWindows:
        """What the next pull should begin with."""
        return LearnedWindows(self.data_size.length, self.alarms_size.length)

    @property
    def broken_remark(self) -> str | None:
        """Say what the link did not carry; None if nothing."""
        if not self.broken_answers:
            return None
        size = f"{self.discarded_bytes / 1000:.0f} kB"
        return f"{self.broken_answers} answer(s) broke off, {size} thrown away: asking for less"

    @contextmanager
    def _paid(self, answer: Answer, slices: CpuSlices) -> Iterator[list[int]]:
        """Pause after an answer that has cost more than its good rows are worth.

        Their number is put into the list. So one vehicle takes a small share of the CPU only. An
        error of decoding gets to know how many bytes came in vain.
        """
        worth: list[int] = []
        try:
            yield worth
        except VehicleError as error:
            error.received = answer.received
            raise
        finally:
            pay(answer.cpu_sec + slices.used_sec, sum(worth))

    def _learn(self, size: QuestionSize, window: Window, answer: Answer) -> None:
        """Learn from a complete answer how much can be asked for."""
        self._broken_in_a_row = 0
        self._latency_bound = (
            answer.latency_sec > LONG_LATENCY_SEC
            and answer.transfer_sec < answer.latency_sec * LATENCY_BOUND
        )
        size.answered(window, answer.transfer_sec)

    def _ask_for_less(
        self,
        error: VehicleError,
        window: Window,
        size: QuestionSize,
        splitter: Splitter,
        most_rows: int,
    ) -> bool:
        """Learn from an answer that did not come; tell whether a smaller question may help now."""
        self.discarded_bytes += error.received
        pay(error.cpu_sec)
        if isinstance(error, AnswerTooLarge):
            time.sleep(PAUSE_AFTER_TOO_LARGE_SEC)
            return splitter.shrink(window, most_rows)
        if not isinstance(error, VehicleTimeout | AnswerCutOff):
            return False
        if not error.received:
            size.stayed_silent(window)
            return False
        self.broken_answers += 1
        self._broken_in_a_row += 1
        late = isinstance(error, VehicleTimeout)
        size.broke(window, error.received / error.expected if late and error.expected else None)
        return late and self._broken_in_a_row < MOST_BROKEN and window.length > MILLISECOND
