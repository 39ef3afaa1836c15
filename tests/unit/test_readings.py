import json
import subprocess
import sys
from itertools import pairwise

import pytest

from fleetsyncd.demo import readings
from fleetsyncd.demo.readings import CHANNELS

SEED = readings.seed_of("Truck-01")
NOON = 1_771_761_600_000
HOUR = 3_600_000
HALF_MINUTE = 30_000


def as_json(start_ms: int, end_ms: int, limit: int = 10**9, **chosen: int) -> list[object]:
    text = readings.page(SEED, start_ms, end_ms, limit, **chosen).json
    return [tuple(row.values()) for row in json.loads(f"[{text}]")]


def as_rows(start_ms: int, end_ms: int, **chosen: int) -> list[object]:
    rows = readings.rows(SEED, start_ms, end_ms, **chosen)
    return [(channel_id, value, readings.iso(time_ms)) for channel_id, time_ms, value in rows]


def test_all_five_signal_types_are_used() -> None:
    assert {channel.signal_type for channel in CHANNELS} == {
        "analog_420",
        "voltage_010",
        "digital",
        "encoder_counter",
        "encoder_frequency",
    }


def test_eighteen_channels_are_numbered_from_one_and_named_apart() -> None:
    assert [channel.channel_id for channel in CHANNELS] == list(range(1, 19))
    assert len({channel.name for channel in CHANNELS}) == 18


def test_half_a_minute_is_540_rows_ascending_by_time() -> None:
    times = [time_ms for _, time_ms, _ in readings.rows(SEED, NOON, NOON + HALF_MINUTE)]
    assert len(times) == 540
    assert times == sorted(times)


def test_every_value_lies_in_its_physical_range_with_at_most_three_decimals() -> None:
    for channel_id, _, value in readings.rows(SEED, NOON, NOON + HOUR + 10_000):
        channel = CHANNELS[channel_id - 1]
        if value is not None:
            assert channel.phys_min <= value <= channel.phys_max
            assert value == round(value, 3)
            assert repr(value) != "-0.0"


def test_every_channel_changes_within_an_hour() -> None:
    seen: dict[int, set[float | None]] = {}
    for channel_id, _, value in readings.rows(SEED, NOON, NOON + HOUR):
        seen.setdefault(channel_id, set()).add(value)
    assert all(len(values - {None}) >= 2 for values in seen.values())


def test_all_channels_of_a_second_share_one_stamp_less_than_300_ms_late() -> None:
    for second in range(NOON // 1000, NOON // 1000 + 600):
        stamps = {
            time_ms for _, time_ms, _ in readings.rows(SEED, second * 1000, second * 1000 + 1000)
        }
        assert stamps == {readings.stamp_ms(SEED, second)}
        assert 0 <= readings.stamp_ms(SEED, second) - second * 1000 < 300


def test_one_channel_is_null_for_a_minute_in_about_a_thousand_seconds() -> None:
    nulls = [row for row in readings.rows(SEED, NOON, NOON + 997_000) if row[2] is None]
    assert len(nulls) == 60
    assert len({channel_id for channel_id, _, _ in nulls}) <= 2


def test_engine_hours_never_run_backwards() -> None:
    hours = [value for _, _, value in readings.rows(SEED, NOON, NOON + 3 * HOUR, 18)]
    known = [value for value in hours if value is not None]
    assert all(before <= after for before, after in pairwise(known))
    assert known[-1] > known[0]


@pytest.mark.parametrize("cut", [NOON, NOON + 1, NOON + 137, NOON + 15_299, NOON + 29_999])
def test_an_interval_cut_anywhere_gives_the_same_rows_once(cut: int) -> None:
    whole = list(readings.rows(SEED, NOON, NOON + HALF_MINUTE))
    first, second = readings.rows(SEED, NOON, cut), readings.rows(SEED, cut, NOON + HALF_MINUTE)
    assert [*first, *second] == whole


def test_an_interval_excludes_its_end_and_includes_its_start() -> None:
    stamp = readings.stamp_ms(SEED, NOON // 1000)
    assert len(list(readings.rows(SEED, stamp, stamp + 1))) == 18
    assert not list(readings.rows(SEED, stamp - 1, stamp))
    assert not list(readings.rows(SEED, stamp, stamp))


def test_the_json_page_equals_the_rows() -> None:
    assert as_json(NOON, NOON + HOUR) == as_rows(NOON, NOON + HOUR)


def test_the_json_page_of_one_channel_equals_the_rows() -> None:
    chosen = {"channel_id": 7}
    assert as_json(NOON, NOON + HOUR, **chosen) == as_rows(NOON, NOON + HOUR, **chosen)


def test_a_vehicle_with_fewer_channels_serves_the_first_ones() -> None:
    chosen = {"channels": 5}
    assert as_json(NOON, NOON + HOUR, **chosen) == as_rows(NOON, NOON + HOUR, **chosen)
    assert {row[0] for row in readings.rows(SEED, NOON, NOON + 1000, channels=5)} == {1, 2, 3, 4, 5}


def test_an_unknown_channel_has_no_rows_however_long_the_interval() -> None:
    assert readings.page(SEED, 0, NOON, 100, 19) == readings.Page("", 0, False)
    assert readings.page(SEED, 0, NOON, 100, 6, channels=5) == readings.Page("", 0, False)


@pytest.mark.parametrize(
    ("limit", "truncated"), [(1, True), (18, True), (539, True), (540, False), (541, False)]
)
def test_a_page_is_truncated_exactly_when_rows_were_left_out(limit: int, truncated: bool) -> None:
    page = readings.page(SEED, NOON, NOON + HALF_MINUTE, limit)
    assert (page.count, page.truncated) == (min(limit, 540), truncated)
    expected = as_rows(NOON, NOON + HALF_MINUTE)[:limit]
    assert as_json(NOON, NOON + HALF_MINUTE, limit) == expected


def test_another_process_computes_the_same_rows_and_alarms() -> None:
    program = (
        "from fleetsyncd.demo import readings as s; seed = s.seed_of('Truck-01');"
        f"print(list(s.rows(seed, {NOON}, {NOON + 2000})), s.alarms(seed, {NOON}, {NOON + HOUR}))"
    )
    command = [sys.executable, "-c", program]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = list(readings.rows(SEED, NOON, NOON + 2000))
    assert other.stdout.strip() == f"{rows} {readings.alarms(SEED, NOON, NOON + HOUR)}"


def test_vehicles_do_not_run_in_step() -> None:
    other = readings.seed_of("Excavator-02")
    ours, theirs = (list(readings.rows(seed, NOON, NOON + 1000)) for seed in (SEED, other))
    assert ours != theirs


def test_times_before_1970_are_served_as_well() -> None:
    assert as_json(-5000, 5000) == as_rows(-5000, 5000)
    assert readings.iso(-1) == "1969-12-31T23:59:59.999Z"


def test_a_vehicle_has_about_twelve_alarms_an_hour_of_one_to_four_minutes() -> None:
    alarms = readings.alarms(SEED, NOON, NOON + 24 * HOUR)
    assert 280 <= len(alarms) <= 296
    assert all(60_000 <= alarm.resolved_ms - alarm.triggered_ms <= 240_000 for alarm in alarms)
    assert {alarm.severity for alarm in alarms} == {None, "warning", "critical"}


def test_alarm_ids_are_int64_unique_and_beyond_what_a_float_holds() -> None:
    ids = [alarm.alarm_id for alarm in readings.alarms(SEED, NOON, NOON + 24 * HOUR)]
    assert len(set(ids)) == len(ids)
    assert all(2**53 < alarm_id < 2**63 for alarm_id in ids)


def test_alarms_of_an_interval_cut_anywhere_are_the_same_ones_once() -> None:
    whole = readings.alarms(SEED, NOON, NOON + HOUR)
    cut = whole[3].triggered_ms
    first, second = readings.alarms(SEED, NOON, cut), readings.alarms(SEED, cut, NOON + HOUR)
    assert [*first, *second] == whole
    assert second[0] == whole[3]


def test_alarms_name_only_channels_the_vehicle_has() -> None:
    alarms = readings.alarms(SEED, NOON, NOON + 24 * HOUR, channels=5)
    assert alarms
    assert all(alarm.channel_id <= 5 for alarm in alarms)
