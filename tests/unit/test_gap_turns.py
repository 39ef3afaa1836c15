"""In which order gaps are pulled if there is one slot for them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from fleetsyncd.database.gaps import OpenGap
from fleetsyncd.models import HistoryLook, Window
from fleetsyncd.sync.gap_turns import GapTurns, Turn

NOW = datetime(2026, 2, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAP = Window(NOW - 3 * HOUR, NOW)


def due(*, urgent: int, others: int) -> list[OpenGap]:
    """Return open gaps; the vehicles of the urgent ones have dropped a part already."""
    begins = [9] * others + [1] * urgent
    return [
        OpenGap(UUID(int=number), GAP, HistoryLook(NOW - hours * HOUR, NOW, GAP.start))
        for number, hours in enumerate(begins)
    ]


def turns_given(turns: GapTurns, open_gaps: list[OpenGap], count: int) -> list[Turn]:
    """Let gaps have turns one after the other; none of them ends."""
    given = []
    for _ in range(count):
        ((key, is_urgent),) = turns.give(turns.order(open_gaps, 0, NOW), room=1).items()
        turns.note_served(key)
        given.append((key, is_urgent))
    return given


def made() -> GapTurns:
    ticks = iter(range(1_000))
    return GapTurns(1, lambda: float(next(ticks)))


@pytest.mark.parametrize(("urgent", "others"), [(2, 4), (1, 4), (4, 2)])
def test_of_a_single_slot_every_second_turn_is_an_urgent_ones(urgent: int, others: int) -> None:
    given = turns_given(made(), due(urgent=urgent, others=others), 12)
    assert [is_urgent for _key, is_urgent in given[::2]] == [True] * 6
    assert len({key for key, _urgent in given}) == urgent + others, "and nobody is left out"


def test_what_waits_for_a_single_slot_alternates() -> None:
    turns = made()
    turns.give(turns.order(due(urgent=2, others=4), 0, NOW), room=0)
    given = []
    while (turn := turns.next()) is not None:
        given.append(turn)
    assert [is_urgent for _key, is_urgent in given] == [True, False, True, False, False, False]


def test_after_an_urgent_turn_comes_whoever_has_waited_longest() -> None:
    turns = made()
    turns.give(turns.order(due(urgent=1, others=0), 0, NOW), room=1)
    waited = due(urgent=2, others=1)
    assert [urgent for _key, urgent in turns.order(waited, 1, NOW)] == [False, True, True]
    turns.give(turns.order(waited, 1, NOW), room=0)
    assert turns.next() == (UUID(int=0), False)
    assert next(iter(turns.order(waited, 0, NOW)))[1] is True
