"""Vehicles that lie about their past, as the daemon's client sees them."""

from contextlib import closing, nullcontext
from datetime import datetime, timedelta
from random import Random

import pytest

from fleetsyncd.demo.vehicle import SimulatedVehicle
from fleetsyncd.errors import VehicleRefused
from fleetsyncd.models import Window
from fleetsyncd.telemetry import DataPage
from fleetsyncd.times import floor_ms, iso_ms, utc_now
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import PAGE_LIMIT, VehicleClient
from tests.chaos import kinds
from tests.chaos.faults import FAULTS
from tests.chaos.honest import Honest
from tests.hostile import Answer, HostileServer, http

KEY = "storm-key"
LIES = ("other-past", "past-flood", "no-past")
MAX_BODY_MB = 8
MINUTE = timedelta(minutes=1)
NOW = floor_ms(utc_now())
NEWEST = Window(NOW - MINUTE, NOW + 60 * MINUTE)
PAST = Window(NOW - 11 * MINUTE, NOW - 10 * MINUTE)


def honest(window: Window) -> Honest:
    vehicle = SimulatedVehicle("Truck-01", KEY, clock=NOW.timestamp)
    query = f"from={iso_ms(window.start)}&to={iso_ms(window.end)}&limit={PAGE_LIMIT}"
    _, body = vehicle.answer("/data", query, KEY)
    date = "Date: Sun, 22 Feb 2026 12:00:00 GMT"
    (wire,) = http(body, date)
    assert isinstance(wire, bytes)
    return Honest("/data", query, KEY, "", wire, date, body)


def asked(answer: Answer, window: Window) -> DataPage:
    """Return what a client has understood of an answer."""
    with HostileServer([answer]) as server:
        client = VehicleClient(
            server.host,
            server.port,
            KEY,
            pull_timeout_sec=10,
            pull_max_body_mb=MAX_BODY_MB,
            deadline=lambda _seconds, _error: nullcontext(),
        )
        with closing(client):
            body = client.data(window).body
    assert len(body) < MAX_BODY_MB << 20
    return decode.page(body, PAGE_LIMIT, window.start, window.end, window)


def lied(kind: str, seed: int, window: Window = PAST) -> DataPage:
    return asked(FAULTS[kind](honest(window), Random(seed)), window)


def values(page: DataPage) -> dict[tuple[datetime, int], float]:
    return {(at, channel): value for at, channel, value in page.measurements.rows()}


def truth(window: Window) -> dict[tuple[datetime, int], float]:
    return values(asked([honest(window).wire], window))


@pytest.mark.parametrize("kind", LIES)
def test_a_liar_answers_its_newest_window_honestly(kind: str) -> None:
    assert values(lied(kind, 1, NEWEST)) == truth(NEWEST) != {}


def test_the_past_is_another_every_time_in_rows_and_in_values() -> None:
    true, first, second = truth(PAST), *(values(lied("other-past", seed)) for seed in (1, 2))
    for told, other in ((first, true), (second, true), (first, second)):
        assert len(told) > 500
        assert told.keys() - other.keys()
        assert other.keys() - told.keys()
        assert any(told[key] != other[key] for key in told.keys() & other.keys())


def test_a_flood_has_as_many_rows_as_may_come_and_others_every_time() -> None:
    first, second = lied("past-flood", 1), lied("past-flood", 2)
    assert PAGE_LIMIT - 100 < len(first.measurements) < PAGE_LIMIT
    assert (first.truncated, len(first.bad)) == (False, 0)
    assert values(first).keys().isdisjoint(values(second).keys())


def test_a_denied_past_is_empty_or_not_found() -> None:
    met = set()
    for seed in range(8):
        try:
            page = lied("no-past", seed)
        except VehicleRefused as error:
            met.add(error.status)
        else:
            assert (len(page.measurements), page.truncated) == (0, False)
            met.add(200)
    assert met == {200, 404}


def test_only_hostile_vehicles_lie_about_their_past() -> None:
    assert set(LIES) <= set(kinds.MALICE) & set(kinds.WORST)
    for kind in LIES:
        number = kinds.WORST.index(kind)
        found = [kinds.malice(number, 1, call)[0] for call in ("/status", "/data", "/alarms")]
        assert found == [None, kind, None]
