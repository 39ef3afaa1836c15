"""Of a vehicle's alarms what is grave is told, in time, and once: also after a mute."""

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest

from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import conditions, pausing
from fleetsyncd.database.pool import Database
from fleetsyncd.severities import Severity
from fleetsyncd.times import iso_ms
from tests.integration.rig import Ask, Reply, Rig, rig

TERMS = Terms(timedelta(minutes=10))
COOLANT, OIL = "Coolant too hot", "Oil pressure"


class Cab:
    """A vehicle whose alarms begin and end as a test says, with what operators are told."""

    def __init__(self, it: Rig) -> None:
        self.it = it
        self.alarms: dict[int, dict[str, Any]] = {}
        it.told_alarms = Severity.CRITICAL
        it.simulated.hook = self._answer
        it.cycle()
        self.judge()

    def _answer(self, path: str, query: str, ask: Ask) -> Reply:
        if path != "/alarms":
            return ask(query)
        return HTTPStatus.OK, json.dumps(list(self.alarms.values())).encode()

    def begin(self, text: str = COOLANT, severity: str = "critical") -> int:
        number = len(self.alarms) + 1
        self.alarms[number] = {
            "alarm_id": number,
            "channel_id": 1,
            "severity": severity,
            "message": text,
            "triggered_at": iso_ms(self.it.now),
            "resolved_at": None,
        }
        return number

    def end(self, number: int) -> None:
        self.alarms[number]["resolved_at"] = iso_ms(self.it.now)

    def pull(self, after: float = 30) -> list[str]:
        """Return what is told by the next cycle."""
        before = self._told()
        self.it.cycle(after=after)
        return self._told()[len(before) :]

    def judge(self) -> list[str]:
        before = self._told()
        judge = partial(conditions.judge_fleet, terms=TERMS, view=conditions.View(30))
        assert self.it.database.run(judge) is not None
        return self._told()[len(before) :]

    def _told(self) -> list[str]:
        return [title for (title,) in self.it.run("SELECT title FROM fleetsync.notice ORDER BY id")]

    def mute(self) -> None:
        self.it.run("INSERT INTO fleetsync.mute (muted_by) VALUES ('me')")

    def unmute(self) -> None:
        self.it.run("DELETE FROM fleetsync.mute")


@pytest.fixture
def cab(database: Database) -> Iterator[Cab]:
    with rig(database, watermark_ago=60, channels=3) as it:
        yield Cab(it)


def test_an_alarm_and_its_end_are_told_once(cab: Cab) -> None:
    number = cab.begin()
    assert cab.pull() == [f"Truck-01, critical: {COOLANT}"]
    assert cab.pull() == []
    cab.end(number)
    assert cab.pull() == [f"Truck-01, critical: {COOLANT} (resolved)"]
    assert cab.judge() == []


def test_alarms_of_a_mute_that_are_open_at_its_end_are_told_then(cab: Cab) -> None:
    cab.mute()
    cab.begin()
    assert cab.pull() == []
    over = cab.begin(OIL)
    cab.begin("Belt")
    assert cab.pull() == []
    cab.end(over)
    assert cab.pull() == []
    assert cab.judge() == []
    cab.unmute()
    assert cab.judge() == [f"Truck-01: 2 alarms, the worst critical: {COOLANT}"]
    assert cab.judge() == []
    cab.end(1)
    assert cab.pull() == [f"Truck-01, critical: {COOLANT} (resolved)"]


def test_the_end_of_an_alarm_whose_beginning_was_muted_is_not_told(cab: Cab) -> None:
    cab.mute()
    number = cab.begin()
    assert cab.pull() == []
    cab.unmute()
    cab.end(number)
    assert cab.pull() == []
    assert cab.judge() == []


def test_an_alarm_of_a_mute_whose_number_is_used_again_is_told_at_its_end(cab: Cab) -> None:
    cab.mute()
    cab.begin()
    cab.pull()
    cab.alarms[1] = {**cab.alarms[1], "triggered_at": iso_ms(cab.it.now), "message": OIL}
    cab.pull()
    cab.unmute()
    assert cab.judge() == [f"Truck-01: 2 alarms, the worst critical: {COOLANT}"]


def test_a_vehicle_that_is_paused_at_the_end_of_a_mute_is_told_of_when_it_is_resumed(
    cab: Cab,
) -> None:
    cab.mute()
    cab.begin()
    cab.pull()
    pause = partial(pausing.set_paused, vehicle_id=cab.it.vehicle_id)
    cab.it.database.run(partial(pause, paused=True))
    cab.unmute()
    assert cab.judge() == []
    cab.it.database.run(partial(pause, paused=False))
    assert cab.judge() == [f"Truck-01, critical: {COOLANT}"]


def test_alarms_below_the_severity_are_not_told_at_the_end_of_a_mute_either(cab: Cab) -> None:
    cab.mute()
    cab.begin(severity="warning")
    cab.pull()
    cab.unmute()
    assert cab.judge() == []


def come_and_go(cab: Cab, times: int, after: float = 30) -> list[str]:
    """Let an alarm begin and end again and again; return what is told."""
    told = []
    for _ in range(times):
        number = cab.begin()
        told += cab.pull(after)
        cab.end(number)
        told += cab.pull(after)
    return told


BEGUN, OVER = f"Truck-01, critical: {COOLANT}", f"Truck-01, critical: {COOLANT} (resolved)"


def test_alarms_that_come_and_go_are_told_so_once_an_hour(cab: Cab) -> None:
    assert come_and_go(cab, 60) == [
        BEGUN,
        OVER,
        BEGUN,
        OVER,
        f"Truck-01: its alarms come and go (3 within an hour), critical: {COOLANT}",
    ]
    again = f"Truck-01: its alarms come and go (60 within an hour), critical: {COOLANT}"
    assert come_and_go(cab, 60) == [again]
    assert cab.judge() == []


def test_another_alarm_is_told_while_one_comes_and_goes(cab: Cab) -> None:
    come_and_go(cab, 5)
    number = cab.begin(OIL)
    assert come_and_go(cab, 3) == [f"Truck-01, critical: {OIL}"]
    cab.end(number)
    assert come_and_go(cab, 3) == [f"Truck-01, critical: {OIL} (resolved)"]


def test_an_alarm_that_came_and_went_and_then_stays_is_told(cab: Cab) -> None:
    come_and_go(cab, 5)
    cab.begin()
    assert cab.pull() == []
    assert cab.judge() == []
    cab.it.run("UPDATE fleetsync.condition SET flap_told_at = flap_told_at - interval '1 h'")
    assert cab.judge() == [BEGUN]
    assert cab.judge() == []
    cab.end(len(cab.alarms))
    assert cab.pull() == [OVER]


def test_after_an_hour_of_quiet_an_alarm_is_told_as_before(cab: Cab) -> None:
    come_and_go(cab, 5)
    assert cab.pull(after=3601) == []
    number = cab.begin()
    assert cab.pull() == [BEGUN]
    cab.end(number)
    assert cab.pull() == [OVER]


def test_three_different_alarms_are_told_each(cab: Cab) -> None:
    texts = ["Coolant", "Oil", "Belt", "Brake", "Door"]
    for text in texts:
        cab.begin(text)
        assert cab.pull() == [f"Truck-01, critical: {text}"]
    cab.begin("Door", severity="alarm")
    cab.it.told_alarms = Severity.ALARM
    assert cab.pull() == ["Truck-01, alarm: Door"], "another severity is another alarm"
