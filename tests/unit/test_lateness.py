"""A vehicle that commits late: what a window contains when, and that nothing is left out."""

import json
from itertools import pairwise
from typing import Any

import pytest

from fleetsyncd.demo import readings
from fleetsyncd.demo.faults import Faults
from fleetsyncd.demo.lateness import PROMPT, Lateness
from fleetsyncd.demo.vehicle import SimulatedVehicle

KEY = "secret"
NAME = "Truck-01"
SEED = readings.seed_of(NAME)
CHANNELS = 3
NOW = 1_771_761_600.0
NOW_MS = 1_771_761_600_000
MINUTE_MS = 60_000
UP_TO_8 = Lateness(8)
KINDS = {
    **{f"all {seconds} s late": Lateness(seconds, seconds) for seconds in (2, 8, 20, 90)},
    "up to 8 s late": UP_TO_8,
    "20 to 90 s late": Lateness(90, 20),
    "up to 0.3 s late": Lateness(0.3),
    "late from the middle on": Lateness(20, since=NOW - 30),
    "late until the middle": Lateness(20, 20, until=NOW - 30),
}
every_kind = pytest.mark.parametrize("lateness", KINDS.values(), ids=KINDS)


class Late:
    """A vehicle that commits late, asked at any time without a network."""

    def __init__(self, lateness: Lateness, clock_offset_s: float = 0.0) -> None:
        self.now = NOW
        self.vehicle = SimulatedVehicle(
            NAME,
            KEY,
            faults=Faults(lateness=lateness, clock_offset_s=clock_offset_s),
            channels=CHANNELS,
            clock=lambda: self.now,
        )

    def get(self, call: str, **params: object) -> Any:
        query = "&".join(f"{name}={value}" for name, value in params.items())
        status, body = self.vehicle.answer(call, query, KEY)
        assert status == 200
        return json.loads(body)

    def page(self, at: float, start_ms: int, end_ms: int, **params: int) -> Any:
        self.now = at
        interval = {"from": readings.iso(start_ms), "to": readings.iso(end_ms)}
        return self.get("/data", **interval, **params)

    def rows(self, at: float, start_ms: int, end_ms: int, **params: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page(at, start_ms, end_ms, **params)["rows"]
        return found


def truth(start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    rows = readings.rows(SEED, start_ms, end_ms, channels=CHANNELS)
    return [{"channel_id": c, "value": v, "time": readings.iso(at)} for c, at, v in rows]


@every_kind
def test_a_window_asked_again_and_again_becomes_exactly_the_truth(lateness: Lateness) -> None:
    window = (NOW_MS - MINUTE_MS, NOW_MS)
    late = Late(lateness)
    answers = [late.rows(NOW + second, *window) for second in range(-40, 92, 2)]
    assert answers[0] != answers[-1] == truth(*window)
    for earlier, later in pairwise(answers):
        assert [row for row in later if row in earlier] == earlier


@every_kind
def test_each_row_is_there_from_its_own_moment_on_and_not_before(lateness: Lateness) -> None:
    late = Late(lateness)
    for channel_id, stamp, _ in readings.rows(SEED, NOW_MS - 5_000, NOW_MS, channels=CHANNELS):
        there = (stamp + lateness.of(SEED, channel_id, stamp)) / 1000
        window = (stamp, stamp + 1)
        assert late.rows(there - 0.001, *window, channel_id=channel_id) == []
        assert len(late.rows(there + 0.0005, *window, channel_id=channel_id)) == 1


def test_rows_of_one_stamp_come_each_at_its_own_time() -> None:
    stamps = [readings.stamp_ms(SEED, second) for second in range(1000, 3000)]
    drawn = [[UP_TO_8.of(SEED, channel, stamp) for channel in (1, 2)] for stamp in stamps]
    assert sum(first != second for first, second in drawn) > 1900
    of_one = [first for first, _ in drawn]
    assert (min(of_one) < 100, max(of_one) > 7900, max(of_one) <= 8000) == (True, True, True)
    assert 3700 < sum(of_one) / len(of_one) < 4300


def test_lateness_is_the_same_in_every_run_and_another_for_another_vehicle() -> None:
    assert [UP_TO_8.of(7, channel, NOW_MS) for channel in range(1, 5)] == [3452, 5374, 6071, 2417]
    assert UP_TO_8.of(7, 1, NOW_MS) != UP_TO_8.of(8, 1, NOW_MS)


def test_rows_are_late_only_within_the_episode() -> None:
    episode = Lateness(8, 8, since=NOW, until=NOW + 60)
    found = [episode.of(SEED, 1, NOW_MS + at) for at in (-1, 0, 59_999, 60_000)]
    assert found == [0, 8000, 8000, 0]
    assert PROMPT.of(SEED, 1, NOW_MS) == 0


def test_lateness_goes_by_the_clock_of_the_vehicle() -> None:
    window = (NOW_MS - MINUTE_MS, NOW_MS)
    behind = Late(UP_TO_8, clock_offset_s=-40).rows(NOW + 40, *window)
    assert behind == Late(UP_TO_8).rows(NOW, *window) != truth(*window)


@pytest.mark.parametrize("limit", [1, 100, 170, 180, 10_000])
def test_a_limit_counts_the_rows_that_are_there(limit: int) -> None:
    late, window = Late(UP_TO_8), (NOW_MS - MINUTE_MS, NOW_MS)
    there = late.rows(NOW, *window)
    page = late.page(NOW, *window, limit=limit)
    assert page["rows"] == there[:limit]
    assert (page["count"], page["truncated"]) == (len(page["rows"]), limit < len(there))


def test_latest_is_the_newest_row_of_each_channel_that_is_there() -> None:
    late = Late(UP_TO_8)
    newest = {row["channel_id"]: row for row in late.rows(NOW, NOW_MS - MINUTE_MS, NOW_MS + 1)}
    latest = late.get("/data/latest")
    assert latest == [newest[channel] for channel in (1, 2, 3)]
    assert len({row["time"] for row in latest}) > 1
    assert late.get("/status")["last_measurement_at"] == max(row["time"] for row in latest)


def test_a_vehicle_that_fell_silent_still_commits_what_it_had_measured() -> None:
    late = Late(Lateness(20, 20))
    late.vehicle.silent_from_ms = NOW_MS
    window = (NOW_MS - MINUTE_MS, NOW_MS + MINUTE_MS)
    assert late.rows(NOW + 10, *window) == truth(NOW_MS - MINUTE_MS, NOW_MS - 10_000 + 1)
    assert late.rows(NOW + 60, *window) == truth(NOW_MS - MINUTE_MS, NOW_MS)
    assert late.get("/data/latest") == truth(NOW_MS - MINUTE_MS, NOW_MS)[-3:]


def test_what_is_old_is_the_same_page_as_that_of_a_prompt_vehicle() -> None:
    window = (NOW_MS - 600_000, NOW_MS - MINUTE_MS)
    assert Late(UP_TO_8).page(NOW, *window) == Late(PROMPT).page(NOW, *window)
