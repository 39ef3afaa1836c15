"""Rounds of work beside the main loop: when they begin, and how errors end them."""

import logging
from collections.abc import Callable

import pytest

from fleetsyncd.errors import DatabaseError, DatabaseLost
from fleetsyncd.sync.rounds import Rounds

EVERY_SEC = 60.0
log = logging.getLogger("sync.rounds")


class Rig:
    """Rounds whose work waits to be run by the test."""

    def __init__(self, error: Exception | None = None) -> None:
        self.spawned: list[Callable[[], None]] = []
        self.lost: list[DatabaseError] = []
        self._error = error
        self.rounds = Rounds(
            self._work, EVERY_SEC, self.spawned.append, self.lost.append, name="the work", log=log
        )

    def _work(self) -> None:
        if self._error is not None:
            raise self._error


def test_a_round_is_due_at_first_and_after_every_interval() -> None:
    it = Rig()
    assert it.rounds.is_due(0.0)
    it.rounds.start(0.0)
    it.spawned.pop()()
    assert not it.rounds.is_due(EVERY_SEC - 1)
    assert it.rounds.is_due(EVERY_SEC)


def test_none_is_due_while_one_runs() -> None:
    it = Rig()
    it.rounds.start(0.0)
    assert not it.rounds.is_due(2 * EVERY_SEC)
    it.spawned.pop()()
    assert it.rounds.is_due(2 * EVERY_SEC)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DatabaseError("no room"), ["the work ended, the next round tries again: no room"]),
        (RuntimeError("oops"), ["internal error, please report: the work ended"]),
        (DatabaseLost("gone"), []),
    ],
)
def test_an_error_ends_its_round_alone(
    error: Exception, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    it = Rig(error)
    it.rounds.start(0.0)
    it.spawned.pop()()
    assert caplog.messages == told
    assert it.lost == [each for each in [error] if isinstance(each, DatabaseLost)]
    assert it.rounds.is_due(EVERY_SEC)
