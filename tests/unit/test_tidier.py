"""When a closed month is tidied: each hour, but not while the past is pulled."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

import pytest

from fleetsyncd.database.tidying import Tidied, Tidying
from fleetsyncd.errors import DatabaseError, DatabaseLost, NotTidied, OthersTidy
from fleetsyncd.monitoring import events
from fleetsyncd.sync.tidier import EVERY_SEC, Tidier
from fleetsyncd.times import utc_now


class Recorded:
    """A tidying that does nothing but count, or fails."""

    def __init__(self) -> None:
        self.rounds = 0
        self.error: Exception | None = None

    def run(self, _now: datetime) -> Tidied | None:
        self.rounds += 1
        if self.error is not None:
            raise self.error
        return Tidied("measurements_2026_10", 90, 50)


class Rig:
    """A tidier whose work begins when the test says so."""

    def __init__(self) -> None:
        self.tidying = Recorded()
        self.gaps = False
        self.begun: list[Callable[[], None]] = []
        self.emitted: list[events.Event] = []
        self.tidier = Tidier(
            cast("Tidying", self.tidying),
            utc_now,
            self.begun.append,
            self.emitted.append,
            lambda: self.gaps,
        )

    def tick(self, monotonic: float) -> int:
        """Let the main loop look, and run what it starts; return the number of rounds so far."""
        self.tidier.run_if_due(monotonic)
        while self.begun:
            self.begun.pop()()
        return self.tidying.rounds


def test_a_round_begins_at_the_start_and_every_hour() -> None:
    rig = Rig()
    assert [rig.tick(at) for at in (0, 1, EVERY_SEC - 1, EVERY_SEC, EVERY_SEC + 1)] == [
        1,
        1,
        1,
        2,
        2,
    ]
    assert rig.emitted == [events.MonthTidied(40)] * 2


def test_a_round_that_is_due_begins_when_the_last_gap_is_pulled() -> None:
    rig = Rig()
    rig.gaps = True
    assert [rig.tick(at) for at in (0, 10, EVERY_SEC)] == [0, 0, 0]
    rig.gaps = False
    assert rig.tick(EVERY_SEC + 5) == 1


def test_no_second_round_begins_beside_one_that_lasts() -> None:
    rig = Rig()
    rig.tidier.run_if_due(0)
    rig.tidier.run_if_due(EVERY_SEC)
    assert len(rig.begun) == 1


@pytest.mark.parametrize(
    "error", [DatabaseLost("too many connections"), DatabaseError("disk full")]
)
def test_any_error_is_told_and_waits_for_the_next_round(
    error: DatabaseError, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    rig.tidying.error = error
    assert rig.tick(0) == 1
    assert caplog.messages == [f"no month could be tidied: {error}"]
    rig.tidying.error = None
    assert rig.tick(EVERY_SEC) == 2


def test_what_could_not_be_tidied_is_told_and_another_daemon_at_work_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.tidying.error = OthersTidy("another one is tidying a month")
    rig.tick(0)
    assert caplog.messages == []
    rig.tidying.error = NotTidied("public.m", "m could not be tidied: a disk is full")
    rig.tick(EVERY_SEC)
    assert caplog.messages == [
        "m could not be tidied: a disk is full; it is tried again in a later round"
    ]
    assert rig.emitted == []
