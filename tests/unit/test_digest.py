"""What one message says, whatever vehicles call themselves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleetsyncd.notices import Notice, NoticeKind, StoredNotice, Subject, Weight
from fleetsyncd.notify.digest import MOST_LINES, digest

AT = datetime(2026, 2, 23, 3, 7, 9, tzinfo=UTC)
TRUCK = Subject(UUID(int=1), "Truck-01", ("site-a",))


def stored(
    number: int,
    title: str,
    severity: Weight = Weight.CRITICAL,
    kind: NoticeKind = NoticeKind.DOWN,
    detail: str = "",
) -> StoredNotice:
    at = AT + timedelta(seconds=number)
    return StoredNotice(number, at, Notice(kind, severity, title, detail, TRUCK))


def test_a_single_notice_is_told_as_it_is_with_its_time() -> None:
    message = digest([stored(1, "Truck-01 is back", Weight.INFO, detail="Nothing is missing.")])
    assert message.title == "Truck-01 is back"
    assert message.body == "Nothing is missing.\nat 2026-02-23 03:07:10 UTC"
    assert message.severity is Weight.INFO


def test_several_are_counted_by_kind_and_listed_with_the_gravest_first() -> None:
    message = digest(
        [
            stored(1, "Truck-01 is back", Weight.INFO),
            stored(2, "Truck-02: its clock is 3m behind", Weight.WARNING, NoticeKind.CLOCK, "x"),
            stored(3, "Truck-03 is down", detail="10.8.0.3"),
            stored(4, "Truck-04 is down"),
        ]
    )
    assert message.title == "2 vehicles down, 1 wrong clock, 1 over"
    assert message.body.splitlines() == [
        "- Truck-03 is down",
        "- Truck-04 is down",
        "- Truck-02: its clock is 3m behind",
        "- Truck-01 is back",
    ]
    assert message.severity is Weight.CRITICAL


def test_what_is_only_counted_is_in_the_title_and_in_the_last_line() -> None:
    counts = {
        (NoticeKind.ALARM, False): 90_000,
        (NoticeKind.DOWN, False): 20,
        (NoticeKind.DOWN, True): 1_000,
    }
    message = digest([stored(number, f"Truck-{number} is down") for number in range(10)], counts)
    assert message.title == "90,000 vehicles with alarms, 20 vehicles down, 1,000 over"
    assert message.body.splitlines()[-1] == "- and 91,010 more: `fleetsyncd notify list`"


def test_of_very_many_the_first_are_named_and_the_rest_is_counted() -> None:
    message = digest([stored(number, f"Truck-{number} is down") for number in range(5_000)])
    lines = message.body.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"- and {5_000 - MOST_LINES:,} more: `fleetsyncd notify list`"
    assert message.title == "5,000 vehicles down"


def test_nobody_is_called_by_what_a_vehicle_is_called() -> None:
    message = digest([stored(1, "@everyone is down", detail="ask @here")])
    assert "@everyone" not in message.title
    assert "@here" not in message.body
    assert "@here" not in digest([stored(1, "a"), stored(2, "b", detail="@here")]).body


def test_a_notice_is_chosen_by_kind_severity_and_the_vehicles_tags() -> None:
    assert stored(1, "x").routes == {"down", "critical", "site-a"}
