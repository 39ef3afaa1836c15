"""When a closed month is tidied: each hour, but not while the past is pulled."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

import pytest

from fleetsyncd.database.tidying import Tidied, Tidying
from fleetsyncd.errors import DatabaseError, DatabaseLost
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
        self.lost: list[DatabaseError] = []
        self.tidier = Tidier(
            cast("Tidying", self.tidying),
            utc_now,
            self.begun.append,
            self.lost.append,
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


def test_a_lost_database_is_told_and_any_other_error_waits_for_the_next_round(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.tidying.error = DatabaseLost("gone")
    rig.tick(0)
    assert rig.lost == [rig.tidying.error]
    rig.tidying.error = DatabaseError("a disk is full")
    rig.tick(EVERY_SEC)
    assert caplog.messages == ["no month could be tidied: a disk is full"]
    rig.tidying.error = None
    assert rig.tick(2 * EVERY_SEC) == 3
