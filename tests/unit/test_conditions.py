"""What operators are told of the fleet, and when: nothing twice, nothing in a flood."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from fleetsyncd.conditions.found import audit_notices
from fleetsyncd.conditions.judging import judge
from fleetsyncd.conditions.model import Daemon, Facts, Key, Known, Terms
from fleetsyncd.notices import TITLE_LIMIT, Notice, NoticeKind, Weight
from fleetsyncd.states import GapOverview, State, VehicleOverview
from fleetsyncd.terms import Terms as OwnTerms

START = datetime(2026, 2, 23, 3, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AFTER = 10 * MINUTE


def vehicle(number: int, state: State = State.ONLINE, **changes: Any) -> VehicleOverview:
    values: dict[str, Any] = {
        "id": UUID(int=number),
        "name": f"Truck-{number:02}",
        "address": f"10.8.0.{number}:8001",
        "host": f"10.8.0.{number}",
        "port": 8001,
        "state": state,
        "software_version": "1.0",
        "seen_age": 1.0,
        "lag": 5.0,
        "data_age": 5.0,
        "rows": 540,
        "failures": 0,
        "catching_up": None,
        "backfill": None,
        "last_error": None,
        "state_age": 60.0,
        **changes,
    }
    return VehicleOverview(**values)


def failing(number: int, seconds: float, error: str = "no answer") -> VehicleOverview:
    return vehicle(
        number, State.TIMEOUT, lag=seconds, state_age=seconds, failures=9, last_error=error
    )


def losing(number: int, seconds: float) -> VehicleOverview:
    gap = GapOverview(START, START + HOUR, 3600.0, loses_from=START, loses_in_sec=seconds)
    return vehicle(number, State.CATCHING_UP, gap=gap)


@dataclass
class Desk:
    """Judges one set of facts after the other, and remembers as the database does."""

    terms: Terms = field(default_factory=lambda: Terms(AFTER))
    now: datetime = START
    known: dict[Key, Known] = field(default_factory=dict)
    is_first: bool = True

    def look(
        self, *fleet: VehicleOverview, after: timedelta = MINUTE, **facts: Any
    ) -> list[Notice]:
        self.now += after
        given = Facts(now=self.now, fleet=fleet, **facts)
        found = judge(given, self.terms, list(self.known.values()), is_first=self.is_first)
        self.is_first = False
        self.known |= {each.key: each for each in found.known}
        return found.notices

    def told(self, *fleet: VehicleOverview, **facts: Any) -> list[str]:
        return [each.title for each in self.look(*fleet, **facts)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_vehicle_without_a_good_cycle_for_long_is_told_once_with_the_reason(desk: Desk) -> None:
    assert desk.look(vehicle(1), failing(2, 599)) == []
    (notice,) = desk.look(vehicle(1), failing(2, 600))
    assert notice.title == "Truck-02 has not been pulled for 10m: no answer"
    assert (notice.kind, notice.severity) == (NoticeKind.DOWN, Weight.CRITICAL)
    assert notice.vehicle is not None
    assert notice.vehicle.id == UUID(int=2)
    assert "10.8.0.2:8001" in notice.detail
    assert desk.look(vehicle(1), failing(2, 660)) == []


@pytest.mark.parametrize("length", [60, 61, 200])
def test_a_title_has_room_for_what_has_happened_however_long_a_name_and_a_reason_are(
    desk: Desk, length: int
) -> None:
    name, reason = "N" * (length - 3) + "-07", "the answer is no JSON " + "R" * 400
    gap = GapOverview(START, START + HOUR, 3600.0, loses_from=START, loses_in_sec=7200.0)
    titles = []
    for minute in range(1, 4):
        away = msgspec.structs.replace(failing(7, 600 + minute, reason), name=name)
        (down,) = desk.look(vehicle(1), away)
        assert reason in down.detail
        titles.append(down.title)
        back = vehicle(7, name=name)
        titles += desk.told(vehicle(1), back)
    titles += desk.told(vehicle(1), vehicle(7, name=name, gap=gap))
    titles += desk.told(vehicle(1), back, skews={UUID(int=7): 900.0})
    titles += [each.title for each in audit_notices([back], {UUID(int=7): 9})]
    assert all(len(title) <= TITLE_LIMIT and "-07" in title for title in titles)
    assert len(set(titles)) >= 5
    assert titles[0].partition("-07")[2].startswith(" has not been pulled for 10m: the answer is")
    assert titles[1].endswith("-07 is back, after 11m")
    assert "(it flaps: 3 times within an hour)" in titles[4]


def test_that_it_is_back_is_told_with_how_long_it_was_away_and_how_its_gap_stands(
    desk: Desk,
) -> None:
    desk.look(vehicle(1), failing(2, 600))
    gap = GapOverview(START, START + HOUR, 3 * 3600.0)
    (notice,) = desk.look(vehicle(1), vehicle(2, State.CATCHING_UP, gap=gap), after=170 * MINUTE)
    assert notice.title == "Truck-02 is back, after 3h"
    assert notice.detail == "3h of its measurements are still missing."
    assert notice.severity is Weight.INFO
    assert desk.look(vehicle(1), vehicle(2)) == []


def test_a_short_failure_is_told_neither_in_the_beginning_nor_in_the_end(desk: Desk) -> None:
    assert desk.look(vehicle(1), failing(2, 300)) == []
    assert desk.look(vehicle(1), vehicle(2)) == []


@pytest.mark.parametrize("count", [3, 300])
def test_an_outage_of_this_side_is_one_message_and_its_end_another(desk: Desk, count: int) -> None:
    fleet = [vehicle(number) for number in range(count)]
    assert desk.told(*fleet) == []
    told = []
    for minute in range(1, 20):
        away = [failing(number, 60 * minute + number % 7) for number in range(count)]
        told += desk.told(*away)
    text = f"{count} of {count} vehicles cannot be pulled since 2026-02-23 03:01:00 UTC"
    assert told == [text]
    # They come back one after the other, some of them much later.
    for part in range(1, 6):
        returned = count * part // 6
        mixed = [
            vehicle(n, state_age=5.0) if n < returned else failing(n, 1200 + 60 * part)
            for n in range(count)
        ]
        told += desk.told(*mixed, after=timedelta(seconds=20))
    told += desk.told(*fleet)
    assert len(told) == 2
    assert "answer again" in told[1]


def test_two_vehicles_are_no_outage(desk: Desk) -> None:
    assert len(desk.told(failing(1, 700), failing(2, 700))) == 2


def test_a_vehicle_that_does_not_come_back_after_an_outage_is_told_then(desk: Desk) -> None:
    desk.look(*(failing(number, 700) for number in range(5)))
    (over,) = desk.look(*(vehicle(number) for number in range(4)), failing(4, 800))
    assert over.kind is NoticeKind.OUTAGE
    told = []
    for minute in range(20):
        told += desk.told(*(vehicle(number) for number in range(4)), failing(4, 900 + 60 * minute))
    assert [text.split(" has not")[0] for text in told] == ["Truck-04"]


def test_an_outage_ends_for_the_few_that_answer_for_long(desk: Desk) -> None:
    desk.look(*(failing(number, 700) for number in range(9)))
    few = [vehicle(0, state_age=30.0), *(failing(number, 800) for number in range(1, 9))]
    assert desk.told(*few) == []
    few[0] = vehicle(0, state_age=601.0)
    assert desk.told(*few) == ["1 of 9 vehicles answer again, after 14m"]


def test_a_vehicle_that_flaps_is_said_to_flap_once_an_hour(desk: Desk) -> None:
    told: list[str] = []
    for _ in range(6):
        told += desk.told(vehicle(1), failing(2, 600), after=MINUTE)
        told += desk.told(vehicle(1), vehicle(2), after=11 * MINUTE)
    assert len(told) == 5, told
    assert "it flaps: 3 times within an hour" in told[4]
    # Up for an hour, it is back.
    told = []
    for _ in range(70):
        told += desk.told(vehicle(1), vehicle(2))
    assert [text.startswith("Truck-02 is back") for text in told] == [True]


def test_a_vehicle_that_stays_down_after_flapping_is_told_within_the_hour(desk: Desk) -> None:
    told: list[str] = []
    for _ in range(3):
        told += desk.told(vehicle(1), failing(2, 600), after=MINUTE)
        told += desk.told(vehicle(1), vehicle(2), after=11 * MINUTE)
    assert "it flaps" in told[-1]
    told = []
    for minute in range(70):
        told += desk.told(vehicle(1), failing(2, 600 + 60 * minute))
    assert len(told) == 1, told
    assert told[0].startswith("Truck-02 has not been pulled for ")


def test_after_flapping_it_is_said_how_long_the_last_time_was(desk: Desk) -> None:
    for _ in range(3):
        desk.look(vehicle(1), failing(2, 600), after=MINUTE)
        desk.look(vehicle(1), vehicle(2), after=MINUTE)
    told = [text for _ in range(70) for text in desk.told(vehicle(1), vehicle(2))]
    assert told == ["Truck-02 is back, after 11m"]


def test_who_has_had_no_time_to_be_heard_of_is_not_silent(desk: Desk) -> None:
    dead = Daemon("b:7", "b", 61.0, 9e3)
    fleet = (vehicle(1), failing(2, 9e3))
    assert desk.look(*fleet, daemons=[dead], is_settled=False) == []
    assert len(desk.look(*fleet, daemons=[dead])) == 2
    assert desk.look(*fleet, daemons=[dead], is_settled=False) == []
    assert len(desk.look(vehicle(1), vehicle(2), daemons=[dead])) == 1


def test_how_long_a_vehicle_is_down_is_told_by_this_sides_clock(desk: Desk) -> None:
    two = UUID(int=2)
    behind = vehicle(2, State.ERROR, lag=900.0, state_age=30.0)
    told = desk.look(vehicle(1), behind, skews={two: -890.0})
    assert [each.kind for each in told] == [NoticeKind.CLOCK]
    ahead = vehicle(2, State.ERROR, lag=-290.0, state_age=30.0)
    told = desk.look(vehicle(1), ahead, skews={two: 900.0})
    assert [each.kind for each in told] == [NoticeKind.DOWN]


def test_a_vehicle_that_never_sent_anything_is_down_since_it_is_in_the_fleet(desk: Desk) -> None:
    never = vehicle(3, State.ERROR, lag=None, state_age=9.0)
    assert desk.look(vehicle(1), never, begun={UUID(int=3): 599.0}) == []
    assert len(desk.look(vehicle(1), never, begun={UUID(int=3): 600.0})) == 1


def test_operators_are_reminded_if_they_want(desk: Desk) -> None:
    desk.terms = Terms(AFTER, repeat=6 * HOUR)
    desk.look(vehicle(1), failing(2, 600))
    assert desk.look(vehicle(1), failing(2, 9e3), after=5 * HOUR) == []
    assert desk.told(vehicle(1), failing(2, 9e4), after=HOUR)[0].startswith("still: Truck-02")
    assert desk.look(vehicle(1), failing(2, 9e5), after=5 * HOUR) == []
    desk.terms = Terms(AFTER)
    assert desk.look(vehicle(1), failing(2, 9e5), after=99 * HOUR) == []


def test_a_pause_or_a_removal_is_no_return(desk: Desk) -> None:
    desk.look(vehicle(1), failing(2, 600), failing(3, 600), vehicle(4))
    assert desk.look(vehicle(1), vehicle(2, State.PAUSED), vehicle(4)) == []


def test_what_is_muted_is_told_when_that_is_over_and_it_still_is_the_case(desk: Desk) -> None:
    muted = [UUID(int=2)]
    assert desk.look(vehicle(1), failing(2, 600), muted=muted) == []
    assert desk.look(vehicle(1), failing(2, 900), muted=muted) == []
    assert len(desk.look(vehicle(1), failing(2, 1200))) == 1
    assert desk.look(vehicle(1), vehicle(2), muted=muted) == []


def test_an_outage_is_muted_while_all_that_fail_are(desk: Desk) -> None:
    fleet = [failing(number, 700) for number in range(4)]
    muted = [UUID(int=number) for number in range(4)]
    assert desk.look(*fleet, muted=muted) == []
    assert desk.look(*fleet, muted=muted) == []
    (begin,) = desk.look(*fleet, muted=muted[1:])
    assert begin.kind is NoticeKind.OUTAGE
    assert desk.look(*fleet, muted=muted) == []
    assert desk.look(*fleet) == []
    (end,) = desk.look(*map(vehicle, range(4)))
    assert "answer again" in end.title


def test_an_outage_that_begins_and_ends_under_a_mute_is_never_told(desk: Desk) -> None:
    muted = [UUID(int=number) for number in range(4)]
    assert desk.look(*(failing(number, 700) for number in range(4)), muted=muted) == []
    assert desk.look(*map(vehicle, range(4)), muted=muted) == []
    assert desk.look(*map(vehicle, range(4))) == []


def test_of_an_outage_the_muted_ones_that_answer_do_not_matter(desk: Desk) -> None:
    fleet = [failing(number, 700) for number in range(3)]
    own = OwnTerms(interval_sec=3600)
    unasked = vehicle(9, seen_age=900.0, terms=own)
    assert len(desk.look(*fleet, unasked, muted=[UUID(int=9)])) == 1


def test_the_end_of_an_outage_under_a_mute_of_all_is_not_told(desk: Desk) -> None:
    assert len(desk.look(*(failing(number, 700) for number in range(4)))) == 1
    muted = [UUID(int=number) for number in range(4)]
    assert desk.look(*map(vehicle, range(4)), muted=muted) == []


def test_data_that_will_be_lost_is_told(desk: Desk) -> None:
    what = "what it measured from 2026-02-23 03:00:00 UTC on"
    assert desk.told(losing(1, 0)) == [f"Truck-01 loses data now: {what}"]
    assert desk.look(losing(1, 0)) == []
    assert desk.look(vehicle(1)) == []
    assert desk.told(losing(1, 5 * 3600)) == [f"Truck-01 loses data in 5h: {what}"]


def test_a_loss_is_told_when_it_is_near_and_not_again_as_its_forecast_varies(desk: Desk) -> None:
    assert desk.look(losing(1, 90 * 86_400)) == []
    assert desk.look(losing(1, 86_400)) == []
    assert len(desk.look(losing(1, 86_399))) == 1
    for seconds in (90_000, 80_000, 170_000, 80_000):
        assert desk.look(losing(1, seconds)) == []
    assert desk.look(losing(1, 172_800)) == []
    assert len(desk.look(losing(1, 80_000))) == 1


def test_a_wrong_clock_is_told_and_that_it_is_right_again(desk: Desk) -> None:
    one = UUID(int=1)
    assert desk.look(vehicle(1), skews={one: 119.0}) == []
    assert desk.told(vehicle(1), skews={one: -7200.0}) == ["Truck-01: its clock is 2h behind"]
    assert desk.look(vehicle(1), skews={one: -61.0}) == []
    assert desk.told(vehicle(1), skews={one: -59.0}) == ["Truck-01: its clock is right again"]


def test_a_wrong_clock_is_not_told_again_after_a_pause(desk: Desk) -> None:
    one = UUID(int=1)
    assert len(desk.look(vehicle(1), skews={one: 300.0})) == 1
    assert desk.look(vehicle(1, State.PAUSED), skews={one: 300.0}) == []
    assert desk.look(vehicle(1), skews={one: 300.0}) == []
    assert desk.look(vehicle(1, State.PAUSED)) == []
    assert desk.told(vehicle(1)) == ["Truck-01: its clock is right again"]


def test_a_quarantine_that_fills_up_is_told_by_the_thousand(desk: Desk) -> None:
    counts = [999, 1000, 1500, 2100, 2100, 10, 1100]
    told = [desk.told(quarantined=count) for count in counts]
    assert [len(each) for each in told] == [0, 1, 0, 1, 0, 0, 1]
    assert told[1][0].startswith("1,000 more rows were refused")
    assert told[6][0].startswith("1,000 more rows were refused")
    wobbling = [desk.told(quarantined=count) for count in (2000, 1999, 2000, 1999, 2000)]
    assert [len(each) for each in wobbling] == [1, 0, 0, 0, 0]


def test_a_disk_that_will_be_full_is_told_and_nothing_of_it_where_that_is_not_known(
    desk: Desk,
) -> None:
    soon = START + timedelta(days=9)
    assert desk.look(full_at=START + timedelta(days=30)) == []
    assert desk.told(full_at=soon) == ["the database's disk is full on 2026-03-04 UTC at this pace"]
    assert desk.look(knows_disk=False) == []
    assert desk.known[NoticeKind.STORAGE, "disk"].ended_at is None


def test_a_daemon_that_died_is_told_unless_another_one_has_replaced_it(desk: Desk) -> None:
    alive, dead = Daemon("a:1", "a", 2.0, 9e3), Daemon("b:7", "b", 61.0, 9e3)
    (notice,) = desk.look(daemons=[alive, dead])
    assert notice.title == "the daemon b:7 has been silent for 61s"
    assert notice.kind is NoticeKind.DAEMON
    restarted = Daemon("b:8", "b", 1.0, 55.0)
    (back,) = desk.look(daemons=[alive, dead, restarted])
    assert (back.severity, "b:7" in back.title) == (Weight.INFO, True)
    assert Desk().look(daemons=[alive, dead, restarted]) == []


def test_a_heartbeat_ahead_of_the_databases_clock_replaces_no_dead_daemon(desk: Desk) -> None:
    alive, dead = Daemon("a:1", "a", 2.0, 9e3), Daemon("b:7", "b", 61.0, 9e3)
    ahead = Daemon("b:8", "b", -3540.0, 55.0)
    (notice,) = desk.look(daemons=[alive, dead, ahead])
    assert notice.title == "the daemon b:7 has been silent for 61s"


def test_a_dead_daemon_that_is_no_longer_listed_is_not_said_to_live(desk: Desk) -> None:
    alive, dead = Daemon("a:1", "a", 2.0, 9e3), Daemon("b:7", "b", 61.0, 9e3)
    neighbour = Daemon("b:6", "b", 2.0, 9e3)
    desk.look(daemons=[alive, dead, neighbour])
    assert desk.look(daemons=[alive, neighbour]) == []


def test_a_daemon_that_was_started_when_the_dead_one_was_no_longer_listed_replaces_it(
    desk: Desk,
) -> None:
    dead = Daemon("b:7", "b", 61.0, 9e3)
    assert len(desk.look(daemons=[dead])) == 1
    (back,) = desk.look(daemons=[Daemon("b:8", "b", 1.0, 30.0)], after=25 * HOUR)
    assert back.title == "the daemon b:7 is alive again, or was replaced"


def test_a_daemon_that_had_only_hung_is_alive_again(desk: Desk) -> None:
    assert len(desk.look(daemons=[Daemon("b:7", "b", 61.0, 9e3)])) == 1
    (back,) = desk.look(daemons=[Daemon("b:7", "b", 1.0, 9e3)])
    assert back.severity is Weight.INFO


def test_a_vehicle_with_a_long_interval_is_down_after_three_of_its_own() -> None:
    desk, own = Desk(), OwnTerms(interval_sec=3600)
    others = [vehicle(2), vehicle(3)]

    def away(seconds: float) -> VehicleOverview:
        return msgspec.structs.replace(failing(1, seconds), terms=own)

    assert not desk.look(away(3 * 3600 - 60), *others)
    (notice,) = desk.look(away(3 * 3600 + 60), *others)
    assert notice.kind is NoticeKind.DOWN


def test_one_that_was_not_asked_since_does_not_keep_an_outage_from_being_told() -> None:
    fleet = [failing(number, 700) for number in (1, 2, 3)]
    unasked = vehicle(4, seen_age=900.0, terms=OwnTerms(interval_sec=1800))
    (notice,) = Desk().look(*fleet, unasked)
    assert notice.kind is NoticeKind.OUTAGE
    answering = vehicle(4, seen_age=100.0, terms=OwnTerms(interval_sec=1800))
    assert {each.kind for each in Desk().look(*fleet, answering)} == {NoticeKind.DOWN}


def test_those_that_were_not_asked_since_end_no_outage() -> None:
    desk, own = Desk(), OwnTerms(interval_sec=7200)
    unasked = [vehicle(number, seen_age=900.0, terms=own) for number in range(4, 10)]
    (begin,) = desk.look(*(failing(number, 700) for number in (1, 2, 3)), *unasked)
    assert begin.kind is NoticeKind.OUTAGE
    unasked = [msgspec.structs.replace(each, seen_age=960.0) for each in unasked]
    still = [failing(number, 760) for number in (1, 2, 3)]
    assert desk.look(*still, *unasked) == []
    back = [vehicle(1), vehicle(2), failing(3, 820)]
    assert desk.told(*back, *unasked) == ["2 of 9 vehicles answer again, after 14m"]


def test_one_that_was_pulled_last_in_the_last_good_cycle_ends_no_outage() -> None:
    desk, own = Desk(), OwnTerms(interval_sec=7200)
    pulled_last = vehicle(4, seen_age=690.0, state_age=9e5, terms=own)
    begin = desk.look(*(failing(number, 700) for number in (1, 2, 3)), pulled_last)
    assert [each.kind for each in begin] == [NoticeKind.OUTAGE]
    pulled_last = msgspec.structs.replace(pulled_last, seen_age=750.0)
    assert desk.look(*(failing(number, 760) for number in (1, 2, 3)), pulled_last) == []


def test_one_that_is_asked_seldom_ends_an_outage_though_another_has_just_failed() -> None:
    desk, own = Desk(), OwnTerms(interval_sec=7200)
    assert len(desk.look(*(failing(number, 700) for number in (1, 2, 3)))) == 1
    back = [vehicle(number, seen_age=50.0, terms=own) for number in (1, 2)]
    (end,) = desk.look(*back, failing(3, 40))
    assert end.title.startswith("2 of 3 vehicles answer again")


def test_one_that_was_pulled_last_in_the_last_good_cycle_does_not_either() -> None:
    fleet = [
        msgspec.structs.replace(failing(number, 700), interval_sec=30.0) for number in (1, 2, 3)
    ]
    own = OwnTerms(interval_sec=1800)
    (notice,) = Desk().look(*fleet, vehicle(4, seen_age=611.0, terms=own))
    assert notice.kind is NoticeKind.OUTAGE
    since = vehicle(4, seen_age=609.0, terms=own)
    assert {each.kind for each in Desk().look(*fleet, since)} == {NoticeKind.DOWN}


def test_a_daemon_with_a_name_is_replaced_by_that_name_only(desk: Desk) -> None:
    dead = Daemon("a@2", "a", 61.0, 9e3, is_named=True)
    neighbour = Daemon("a@1", "a", 2.0, 30.0, is_named=True)
    (notice,) = desk.look(daemons=[neighbour, dead])
    assert notice.title == "the daemon a@2 has been silent for 61s"
    successor = Daemon("a@2", "a", 2.0, 30.0, is_named=True)
    (back,) = desk.look(daemons=[successor, dead])
    assert back.title.startswith("the daemon a@2 is alive again")


@pytest.mark.parametrize("step", [1, -1])
def test_of_a_daemon_that_died_again_and_again_the_last_death_is_told(
    desk: Desk, step: int
) -> None:
    deaths = [Daemon("a@1", "a", silent, 9e4, is_named=True) for silent in (70.0, 7200.0, 9e3)]
    alive = Daemon("b@1", "b", 2.0, 9e4, is_named=True)
    (notice,) = desk.look(daemons=[alive, *deaths[::step]])
    assert notice.title == "the daemon a@1 has been silent for 70s"
