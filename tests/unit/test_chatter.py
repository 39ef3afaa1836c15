"""What is known of alarms that come and go, in bounded memory."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleetsyncd.conditions.chatter import MOST_TEXTS, Chatter
from fleetsyncd.telemetry import Alarm

NOW = datetime(2026, 2, 23, 3, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def alarm(text: str = "Coolant", number: int = 1) -> Alarm:
    return Alarm(number, 1, "critical", text, NOW, None)


def hear(chatter: Chatter, vehicle: int, *alarms: Alarm, at: datetime = NOW) -> tuple[int, int]:
    """Return how many are told, and how many come and go."""
    key = UUID(int=vehicle)
    beginning = chatter.divide(key, alarms, at)
    chatter.note(key, beginning, 0, at)
    return len(beginning.told), len(beginning.withheld)


def test_one_vehicle_s_chatter_withholds_nothing_of_another() -> None:
    chatter = Chatter()
    told = [hear(chatter, 1, alarm(), at=NOW + number * MINUTE) for number in range(5)]
    assert told == [(1, 0)] * 3 + [(0, 1)] * 2
    assert hear(chatter, 2, alarm(), at=NOW + 5 * MINUTE) == (1, 0)


def test_what_was_not_committed_counts_nothing() -> None:
    chatter = Chatter()
    for _ in range(9):
        assert chatter.divide(UUID(int=1), [alarm()], NOW).told


def test_an_answer_with_many_alarms_is_one_notice() -> None:
    chatter = Chatter()
    assert hear(chatter, 1, *(alarm(number=n) for n in range(500))) == (500, 0)
    assert hear(chatter, 1, alarm()) == (1, 0)


def test_vehicles_and_texts_that_are_over_are_forgotten() -> None:
    chatter = Chatter()
    for number in range(100):
        hear(chatter, number, alarm())
    for number in range(100):
        hear(chatter, 1_000 + number, alarm(), at=NOW + HOUR)
    assert len(chatter._vehicles) == 100
    many = [alarm(f"Coolant {number}") for number in range(3 * MOST_TEXTS)]
    for minute in range(3):
        hear(chatter, 1, *many, at=NOW + 2 * HOUR + minute * MINUTE)
    told, withheld = hear(chatter, 1, *many, at=NOW + 2 * HOUR + 3 * MINUTE)
    assert (told, withheld) == (2 * MOST_TEXTS, MOST_TEXTS)
