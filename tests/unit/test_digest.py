"""What one message says, whatever vehicles call themselves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fleetsyncd.notices import Notice, NoticeKind, StoredNotice, Subject, Weight
from fleetsyncd.notify.digest import FRESH, MOST_LINES, digest

AT = datetime(2026, 2, 23, 3, 7, 9, tzinfo=UTC)
NOW = AT + timedelta(minutes=1)


def truck(number: int) -> Subject:
    return Subject(UUID(int=number), f"Truck-{number:02}", ("site-a",))


def stored(
    number: int,
    title: str,
    severity: Weight = Weight.CRITICAL,
    kind: NoticeKind = NoticeKind.DOWN,
    detail: str = "",
    at: datetime = AT,
    vehicle: int | None = None,
) -> StoredNotice:
    subject = truck(number if vehicle is None else vehicle)
    return StoredNotice(number, at, Notice(kind, severity, title, detail, subject))


def test_a_single_notice_is_told_as_it_is_with_its_time() -> None:
    message = digest(
        [stored(1, "Truck-01 is back", Weight.INFO, detail="Nothing is missing.")], NOW
    )
    assert message.title == "Truck-01 is back"
    assert message.body == "Nothing is missing.\nat 2026-02-23 03:07:09 UTC"
    assert message.severity is Weight.INFO


def test_a_single_notice_that_waited_says_for_how_long() -> None:
    late = digest([stored(1, "Truck-01 is back")], AT + timedelta(hours=3))
    assert late.body == "at 2026-02-23 03:07:09 UTC, 3h ago"


def test_what_a_target_refuses_is_shortened_to_words_of_this_side_alone() -> None:
    single = digest([stored(1, "evil " * 30)], NOW).shorter
    assert [each.title for each in single] == [("evil " * 30)[:79] + "…", "1 vehicle down"]
    kinds = [stored(n, "evil", kind=kind) for n, kind in enumerate(NoticeKind)]
    (several,) = digest(kinds, NOW).shorter
    assert len(several.title) == 80
    assert "evil" not in several.title + several.body


def test_several_are_counted_by_kind_and_listed_with_the_gravest_first() -> None:
    message = digest(
        [
            stored(1, "Truck-01 is back", Weight.INFO),
            stored(2, "Truck-02: its clock is 3m behind", Weight.WARNING, NoticeKind.CLOCK, "x"),
            stored(3, "Truck-03 is down", detail="10.8.0.3"),
            stored(4, "Truck-04 is down"),
        ],
        NOW,
    )
    assert message.title == "2 vehicles down, 1 wrong clock, 1 vehicle back"
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
    message = digest(
        [stored(number, f"Truck-{number} is down") for number in range(10)], NOW, counts, 91_020
    )
    assert message.title == "90,000 vehicles with alarms, 20 vehicles down, 1,000 vehicles back"
    assert message.body.splitlines()[-1] == "- and 91,010 more: `fleetsyncd notify list`"


def test_of_very_many_the_first_are_named_and_the_rest_is_counted() -> None:
    message = digest([stored(number, f"Truck-{number} is down") for number in range(5_000)], NOW)
    lines = message.body.splitlines()
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"- and {5_000 - MOST_LINES:,} more: `fleetsyncd notify list`"
    assert message.title == "5,000 vehicles down"


def test_what_waited_is_told_with_its_time_and_with_the_date_of_another_day() -> None:
    yesterday = AT - timedelta(hours=4)
    message = digest([stored(1, "Truck-01 is down"), stored(2, "old", at=yesterday)], NOW)
    assert message.body.splitlines() == [
        "- 2026-02-22 23:07 UTC old",
        "- 03:07 UTC Truck-01 is down",
    ]
    later = digest([stored(1, "Truck-01 is down"), stored(2, "b")], NOW + FRESH)
    assert later.body.splitlines() == ["- 03:07 UTC Truck-01 is down", "- 03:07 UTC b"]


def test_a_vehicle_counts_once_however_much_is_told_of_it() -> None:
    alarms = [stored(n, f"alarm {n}", kind=NoticeKind.ALARM, vehicle=n % 2) for n in range(6)]
    found = [stored(9, "audit", Weight.WARNING, NoticeKind.AUDIT, vehicle=1)] * 2
    message = digest([*alarms, stored(7, "x", Weight.WARNING, NoticeKind.AUDIT), *found], NOW)
    assert message.title == "2 vehicles with alarms, 2 audits with findings"
    assert len(message.body.splitlines()) == 9


def test_a_message_of_what_is_over_alone_says_what_is_over() -> None:
    message = digest(
        [
            stored(1, "Truck-01 is back, after 3h", Weight.INFO),
            stored(2, "Truck-02: its clock is right again", Weight.INFO, NoticeKind.CLOCK),
            stored(3, "Truck-03, alarm: hot (resolved)", Weight.INFO, NoticeKind.ALARM),
        ],
        NOW,
    )
    assert message.title == "1 vehicle back, 1 clock right again, 1 vehicle with resolved alarms"
    assert message.severity is Weight.INFO


def test_nobody_is_called_by_what_a_vehicle_is_called() -> None:
    message = digest([stored(1, "@everyone is down", detail="ask @here")], NOW)
    assert "@everyone" not in message.title
    assert "@here" not in message.body
    assert "@here" not in digest([stored(1, "a"), stored(2, "b", detail="@here")], NOW).body


def test_a_notice_is_chosen_by_kind_severity_and_the_vehicles_tags() -> None:
    assert stored(1, "x").routes == {"down", "critical", "site-a"}
