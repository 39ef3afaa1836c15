import json
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import parse_qs

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.reports import Outcome
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle import decode
from tests.integration.rig import Ask, Hook, Reply, Rig, rig

MOST = 40


@pytest.fixture(autouse=True)
def few_alarms_in_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_ALARMS", MOST)


def storm(it: Rig, moments: list[datetime]) -> Hook:
    """Let an alarm trigger at each of `moments`, and filter by that alone."""

    def hook(path: str, query: str, ask: Ask) -> Reply:
        it.asked.append((path, query))
        if path != "/alarms":
            return ask(query)
        arguments = parse_qs(query)
        start, end = arguments["from"][0], arguments["to"][0]
        alarms = [
            {
                "alarm_id": number,
                "channel_id": 1,
                "message": "Oil pressure low",
                "triggered_at": iso_ms(at),
                "resolved_at": iso_ms(at),
            }
            for number, at in enumerate(moments)
            if start <= iso_ms(at) < end
        ]
        return HTTPStatus.OK, json.dumps(alarms).encode()

    return hook


def stored(it: Rig) -> list[int]:
    return [row[0] for row in it.run("SELECT alarm_id FROM alarms_log ORDER BY alarm_id")]


def alarm_watermark(it: Rig) -> datetime | None:
    return it.vehicle().alarm_watermark


def test_more_alarms_than_one_answer_may_hold_are_requested_by_halves(database: Database) -> None:
    with rig(database, watermark_ago=1800) as it:
        moments = [it.now - timedelta(seconds=1700 - n) for n in range(10 * MOST)]
        it.simulated.hook = storm(it, moments)
        assert it.cycle().outcome is Outcome.OK
        assert it.journal()[0][2] is None
        assert stored(it) == list(range(10 * MOST))
        assert alarm_watermark(it) == it.now


def test_windows_before_one_that_fails_are_stored_and_not_requested_again(
    database: Database,
) -> None:
    with rig(database, watermark_ago=1800) as it:
        burst = it.now - timedelta(seconds=600)
        early = [it.now - timedelta(seconds=1700 - n) for n in range(MOST)]
        it.simulated.hook = storm(it, early + [burst] * (MOST + 1))
        assert it.cycle().outcome is Outcome.OK
        assert "more than the 40 allowed" in it.journal()[0][2]
        assert stored(it) == list(range(MOST))
        assert alarm_watermark(it) == burst
        it.asked.clear()
        it.simulated.hook = storm(it, early)
        it.cycle(after=30)
        (alarms,) = (query for path, query in it.asked if path == "/alarms")
        assert f"from={iso_ms(burst - it.overlap)}" in alarms
        assert alarm_watermark(it) == it.now


@pytest.mark.parametrize(("late", "early"), [(0.5, 5), (20, 40)])
def test_alarms_are_asked_for_again_as_rows_are_but_never_less_than_the_setting(
    database: Database, late: float, early: float
) -> None:
    with rig(database) as it:
        it.simulated.hook = storm(it, [])
        it.cycle()
        milliseconds = int(late * 1000)
        it.run(
            "UPDATE fleetsync.vehicle_state SET late_ms = %s, overlap_ms = %s",
            milliseconds,
            2 * milliseconds,
        )
        reached = alarm_watermark(it)
        assert reached is not None
        it.asked.clear()
        it.cycle(after=30)
        (alarms,) = (query for path, query in it.asked if path == "/alarms")
        assert f"from={iso_ms(reached - timedelta(seconds=early))}" in alarms


def test_alarms_missing_since_the_clock_was_set_back_are_requested_again(
    database: Database,
) -> None:
    with rig(database) as it:
        it.cycle(after=30)
        it.offset = -timedelta(hours=1)
        at = it.now + it.offset + timedelta(seconds=10)
        down: Reply = (HTTPStatus.SERVICE_UNAVAILABLE, b"{}")
        it.simulated.hook = lambda path, query, ask: down if path == "/alarms" else ask(query)
        it.cycle(after=30)
        it.simulated.hook = storm(it, [at])
        it.cycle(after=30)
        assert stored(it)[:1] == [0]
