"""The strip of the last 24 hours: what it shows, and what it costs to read."""

from collections.abc import Callable, Mapping
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.journal_hours import HourCount, JournalHours
from fleetsyncd.errors import DatabaseError
from tests.tui.driving import Driver, add, attempts, drive, small_fleet
from tui.gateway import Gateway
from tui.model import day_strips
from tui.model.day_strips import HOURS, DayStrips, strip, strip_text

TRUCK, OTHER = UUID(int=1), UUID(int=2)
NOW = 500_000
Since = Callable[[int], Mapping[UUID, int]]
counts = st.builds(
    lambda attempts, failed: HourCount(attempts, attempts - min(failed, attempts)),
    st.integers(1, 200), st.integers(0, 200),
)  # fmt: skip


def test_each_kind_of_hour_has_a_sign_of_its_own() -> None:
    ended_well = (HourCount(4, number) for number in (0, 1, 2, 3, 4))
    day = (None, HourCount(), *ended_well)
    assert strip_text(day) == " ·▁▃▃▆█"
    assert strip(day).plain == strip_text(day)
    assert len({span.style for span in strip(day).spans}) == 4
    for sign in strip_text(day)[1:]:
        assert f"{sign} " in day_strips.LEGEND


@given(st.dictionaries(st.integers(NOW - 40, NOW), counts), st.integers(NOW - 60, NOW))
def test_an_hour_stands_where_its_time_is_and_nothing_is_made_of_what_is_not_known(
    hours: dict[int, HourCount], oldest: int
) -> None:
    strips = DayStrips()
    since = strips.since([TRUCK], NOW)[TRUCK]
    assert since == NOW - HOURS + 1
    read = {hour: count for hour, count in hours.items() if hour >= since}
    strips.keep(JournalHours(NOW, {TRUCK: read}, {TRUCK: oldest}), 0.0)
    day = strips.day(TRUCK)
    assert day is not None
    assert len(day) == HOURS
    for hour, shown in enumerate(day, since):
        if hour in hours:
            assert shown == hours[hour]
        elif hour < oldest or hour == NOW:
            assert shown is None
        else:
            assert shown == HourCount()


def test_a_vehicle_without_a_journal_has_a_day_that_is_not_known() -> None:
    strips = DayStrips()
    assert strips.day(TRUCK) is None
    strips.keep(JournalHours(NOW, {TRUCK: {}}), 0.0)
    assert strip_text(strips.day(TRUCK)) == " " * HOURS


def test_an_hour_that_is_over_is_read_once_and_the_last_one_again_each_minute() -> None:
    strips = DayStrips()
    full = {hour: HourCount(120, 120) for hour in range(NOW - 23, NOW + 1)}
    strips.keep(JournalHours(NOW, {TRUCK: full}, {TRUCK: NOW - 99}), 0.0)
    assert strips.due([TRUCK, OTHER], 59.0) == [OTHER]
    assert strips.due([TRUCK, OTHER], 60.0) == [TRUCK, OTHER]
    assert strips.since([TRUCK, OTHER], NOW + 1) == {TRUCK: NOW - 1, OTHER: NOW - 22}
    assert strips.since([TRUCK], NOW + 90) == {TRUCK: NOW + 67}
    late = {NOW: HourCount(120, 119), NOW + 1: HourCount(1, 1)}
    strips.keep(JournalHours(NOW + 1, {TRUCK: late}, {TRUCK: NOW - 99}), 60.0)
    assert strip_text(strips.day(TRUCK)) == "█" * 22 + "▆█"


def test_hours_of_a_pull_that_has_not_ended_are_not_known_and_get_its_end_later() -> None:
    strips = DayStrips()
    before = {hour: HourCount(120, 120) for hour in range(NOW - 23, NOW - 5)}
    strips.keep(JournalHours(NOW, {TRUCK: before}, {TRUCK: NOW - 99}, {TRUCK: NOW - 1}), 0.0)
    assert strip_text(strips.day(TRUCK)) == "█" * 18 + " " * 6
    strips.keep(JournalHours(NOW, {TRUCK: {}}, {TRUCK: NOW - 99}, {TRUCK: NOW - 4}), 60.0)
    assert strip_text(strips.day(TRUCK)) == "█" * 18 + "  ··· ", "nobody pulls any more"
    ended = {hour: HourCount(1, 1) for hour in range(NOW - 6, NOW + 1)}
    strips.keep(JournalHours(NOW, {TRUCK: ended}, {TRUCK: NOW - 99}), 120.0)
    assert strip_text(strips.day(TRUCK)) == "█" * 24


def test_the_days_of_a_fleet_that_was_paged_through_are_forgotten() -> None:
    strips = DayStrips()
    for number in range(day_strips.MOST_VEHICLES + 5):
        strips.keep(JournalHours(NOW, {UUID(int=number): {}}), float(number))
    assert strips.day(UUID(int=4)) is None
    assert strips.day(UUID(int=5)) is not None


class Counting(Gateway):
    """Counts the vehicles whose day is read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, 30)
        self.read: list[int] = []

    def journal_hours(self, since: Since) -> JournalHours:
        found = super().journal_hours(since)
        self.read.append(len(found.counts))
        return found


def failures_two_hours_ago(database: Database, vehicle: UUID) -> None:
    attempts(database, vehicle, 2, every="2 h", status="timeout", rows=0)
    attempts(database, vehicle, 3)


def test_the_day_stands_on_the_vehicles_page_with_what_its_signs_mean(
    database: Database,
) -> None:
    ids = small_fleet(database)
    failures_two_hours_ago(database, ids["Crane-02"])

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees(" 24 h ", day_strips.LEGEND)
        await it.settled()
        line = next(line for line in it.lines() if " 24 h " in line)
        shown = line.removeprefix(" 24 h ")[:HOURS]
        assert shown.count("▁") == 2
        assert shown.rstrip()[-1] in "█·"
        assert shown.startswith(" " * 18), "nothing is known of the time before the first entry"

    drive(database, look)


def test_a_wide_fleet_shows_the_day_of_the_vehicles_on_the_screen_and_reads_it_once(
    database: Database,
) -> None:
    ids = small_fleet(database)
    failures_two_hours_ago(database, ids["Crane-02"])
    for number in range(20):
        add(database, f"Grader-{number:02}", f"10.9.0.{number + 1}")
    gateway = Counting(database)

    async def look(it: Driver) -> None:
        await it.sees("24H")
        await it.until(lambda: sum(gateway.read) == 24)
        await it.settled()
        line = next(line for line in it.lines() if "Crane-02" in line)
        assert line.count("▁") >= 2
        for _ in range(3):
            await it.refresh()
        await it.settled()
        assert sum(gateway.read) == 24
        assert max(gateway.read) <= 8

    drive(gateway, look, size=(160, 45))


def test_a_narrow_fleet_reads_no_days(database: Database) -> None:
    small_fleet(database)
    gateway = Counting(database)

    async def look(it: Driver) -> None:
        await it.refresh()
        await it.settled()
        assert "24H" not in it.screen()

    drive(gateway, look, size=(140, 45))
    assert gateway.read == []


class Failing(Counting):
    """Cannot read the days at first."""

    failing = True

    def journal_hours(self, since: Since) -> JournalHours:
        if self.failing:
            raise DatabaseError("permission denied for table sync_journal")
        return super().journal_hours(since)


def test_a_day_that_cannot_be_read_is_said_and_read_again(database: Database) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Crane-02"], 3)
    gateway = Failing(database)

    async def look(it: Driver) -> None:
        await it.press("enter")
        await it.sees("could not be read: permission denied for table sync_journal")
        gateway.failing = False
        await it.refresh()
        await it.sees(day_strips.LEGEND)
        await it.sees_no("permission denied")

    drive(gateway, look)
