import json
from datetime import UTC, datetime
from typing import Any

import pytest

from fleetsyncd.errors import BadAnswer
from fleetsyncd.telemetry import Alarm, BadRow, Channel
from fleetsyncd.vehicle import decode

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
NOON = "2026-02-22T12:00:00.123Z"
NOON_AT = datetime(2026, 2, 22, 12, 0, 0, 123_000, UTC)
HARMFUL = "a\x1b]52;c;eA==\x07\u202e\x9b\r\nb\0"
HARMLESS = "a�]52;c;eA==���⏎b�"


def channel(**changed: Any) -> dict[str, Any]:
    return {
        "channel_id": 1,
        "name": "Engine speed",
        "unit": "rpm",
        "raw_min": 0.0,
        "raw_max": 10_000.0,
        "phys_min": 0.0,
        "phys_max": 3000,
        "signal_type": "encoder_frequency",
        "enabled": True,
        "updated_at": NOON,
    } | changed


def alarm(**changed: Any) -> dict[str, Any]:
    return {
        "alarm_id": 2**53 + 1,
        "channel_id": 4,
        "severity": "critical",
        "message": "Engine oil pressure low",
        "triggered_at": NOON,
        "resolved_at": None,
    } | changed


def channels(*entries: object) -> tuple[tuple[Channel, ...], tuple[BadRow, ...]]:
    return decode.channels(json.dumps(entries).encode())


def alarms(*entries: object) -> tuple[list[Alarm], tuple[BadRow, ...]]:
    return decode.alarms(json.dumps(entries).encode(), OLDEST, NEWEST)


def test_a_channel_keeps_its_physical_range() -> None:
    assert channels(channel()) == ((Channel(1, "Engine speed", "rpm", 0.0, 3000.0),), ())


@pytest.mark.parametrize(
    ("low", "high"), [(None, None), (0, None), (None, 0.0), (-0.0, 5), (5, -5)]
)
def test_a_channel_needs_no_range(low: float | None, high: float | None) -> None:
    given = {"phys_min": low, "phys_max": high}
    expected = (Channel(1, "Engine speed", "rpm", low, high),)
    assert channels(channel(**given)) == (expected, ())
    told = {name: end for name, end in given.items() if end is not None}
    without = {name: text for name, text in channel().items() if name not in given}
    assert channels(without | told) == (expected, ())


def test_a_channel_needs_nothing_that_is_not_read() -> None:
    (known,), bad = channels({"channel_id": 1.0, "name": ""})
    assert (known, bad) == (Channel(1, "", None, None, None), ())


def test_a_channel_needs_no_unit() -> None:
    ((known,), _) = channels(channel(unit=None))
    assert known.unit is None


def test_control_characters_in_names_and_units_become_harmless() -> None:
    ((known,), _) = channels(channel(name=HARMFUL, unit=HARMFUL))
    assert (known.name, known.unit) == (HARMLESS, HARMLESS)


def test_a_name_without_end_is_cut() -> None:
    ((known,), _) = channels(channel(name="x" * 5000))
    assert len(known.name) == 200


def test_a_channel_listed_twice_is_one_with_the_last_values() -> None:
    known, bad = channels(channel(), channel(channel_id=2), channel(name="Revolutions"))
    assert [(c.channel_id, c.name) for c in known] == [(1, "Revolutions"), (2, "Engine speed")]
    assert bad == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel_id": 2**31},
        {"channel_id": "1"},
        {"name": None},
        {"name": 5},
        {"unit": 5},
        {"phys_min": "0"},
        {"phys_min": True},
        {"phys_min": float("-inf")},
        {"phys_min": None, "phys_max": float("nan")},
        {"channel_id": 1.5},
        {"channel_id": True},
        {"phys_max": float("nan")},
        {"phys_max": float("inf")},
    ],
)
def test_a_bad_channel_is_quarantined_and_its_neighbours_kept(wrong: dict[str, Any]) -> None:
    known, bad = channels(channel(), channel(**wrong), channel(channel_id=2))
    assert [c.channel_id for c in known] == [1, 2]
    assert [entry.call for entry in bad] == ["/channels"]
    assert bad[0].reason


def test_an_alarm_keeps_all_64_bits_of_its_id() -> None:
    (known,), bad = alarms(alarm(resolved_at=NOON))
    assert known == Alarm(
        2**53 + 1, 4, "critical", "Engine oil pressure low", NOON_AT, resolved_at=NOON_AT
    )
    assert bad == ()


def test_an_alarm_of_the_whole_vehicle_has_no_channel() -> None:
    nowhere = {name: text for name, text in alarm(alarm_id=2).items() if name != "channel_id"}
    good, bad = alarms(alarm(alarm_id=1, channel_id=None), nowhere)
    assert [(a.alarm_id, a.channel_id) for a in good] == [(1, None), (2, None)]
    assert bad == ()


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("9007199254740993.0", 2**53 + 1),
        ("9223372036854775807.000", 2**63 - 1),
        ("-9223372036854775808.0", -(2**63)),
        ("9.223372036854775807E18", 2**63 - 1),
        ("9007199254740993", 2**53 + 1),
        ("1e3", 1000),
    ],
)
def test_an_alarm_id_that_is_an_integral_float_is_read_exactly(written: str, number: int) -> None:
    body = json.dumps([alarm(channel_id=4.0, alarm_id="?")]).replace('"?"', written)
    (known,), bad = decode.alarms(body.encode(), OLDEST, NEWEST)
    assert (known.alarm_id, known.channel_id, bad) == (number, 4, ())


@pytest.mark.parametrize("written", ["9223372036854775808.0", "1e19", "0.5", "1.5e0", '"7"', "NaN"])
def test_an_alarm_id_that_is_no_integer_is_refused_as_it_was_written(written: str) -> None:
    body = json.dumps([alarm(alarm_id="?")]).replace('"?"', written)
    good, (bad,) = decode.alarms(body.encode(), OLDEST, NEWEST)
    assert good == []
    assert written.strip('"') in bad.raw


def test_the_times_of_an_alarm_may_be_written_in_every_notation() -> None:
    late = "2026-02-22 14:30:00,123+0230"
    (known,), bad = alarms(alarm(triggered_at="2026-02-22T12:00:00.123+00", resolved_at=late))
    assert (known.triggered_at, known.resolved_at, bad) == (NOON_AT, NOON_AT, ())


def test_a_bad_time_of_an_alarm_is_named_with_its_field() -> None:
    _, (bad,) = alarms(alarm(resolved_at="soon"))
    assert bad.reason == "Invalid RFC3339 encoded datetime - at `$.resolved_at`"


@pytest.mark.parametrize(("told", "severity"), [(3, "3"), (2.5, "2.5"), ("HIGH", "HIGH")])
def test_a_severity_is_kept_as_it_is_told(told: object, severity: str) -> None:
    (known,), _ = alarms(alarm(severity=told))
    assert known.severity == severity


def test_an_alarm_may_last_and_have_no_severity() -> None:
    (known,), _ = alarms(alarm(severity=None))
    assert (known.severity, known.resolved_at) == (None, None)


def test_control_characters_in_messages_and_severities_become_harmless() -> None:
    (known,), _ = alarms(alarm(message=HARMFUL, severity=HARMFUL))
    assert (known.message, known.severity) == (HARMLESS, HARMLESS)


def test_alarms_with_half_a_surrogate_pair_survive() -> None:
    good, bad = alarms(
        alarm(alarm_id=1, message="hot \ud83d"),
        alarm(alarm_id=2, message="\udc00", severity="\udfff"),
        alarm(alarm_id=3, message="whole \U0001f525"),
    )
    assert [a.message for a in good] == ["hot �", "�", "whole \U0001f525"]
    assert bad == ()


def test_an_alarm_whose_message_mentions_nan_does_not_spoil_the_others() -> None:
    good, _ = alarms(alarm(alarm_id=1, message="reads NaN, check"), alarm(message="\ud800"))
    assert [a.message for a in good] == ["reads NaN, check", "�"]


def test_an_alarm_listed_twice_is_one_with_the_last_values_and_all_are_in_order() -> None:
    good, _ = alarms(alarm(alarm_id=9), alarm(alarm_id=3), alarm(alarm_id=9, resolved_at=NOON))
    assert [(a.alarm_id, a.resolved_at) for a in good] == [(3, None), (9, NOON_AT)]


def test_alarms_of_one_id_and_other_times_are_several_in_the_order_of_their_times() -> None:
    later, sooner = "2026-02-22T11:59:59Z", "2026-02-22T11:00:00Z"
    good, bad = alarms(*(alarm(alarm_id=9, triggered_at=at) for at in (later, sooner)))
    assert [a.triggered_at.hour * 60 + a.triggered_at.minute for a in good] == [660, 719]
    assert bad == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"alarm_id": 2**63},
        {"alarm_id": None},
        {"alarm_id": True},
        {"channel_id": "4"},
        {"channel_id": False},
        {"severity": True},
        {"severity": ["high"]},
        {"channel_id": -(2**31) - 1},
        {"message": None},
        {"triggered_at": None},
        {"triggered_at": "2026-02-22T12:00:00"},
        {"triggered_at": "1970-01-01T00:00:00Z"},
        {"triggered_at": "2030-01-01T00:00:00Z"},
        {"resolved_at": "1970-01-01T00:00:00Z"},
        {"resolved_at": "9999-12-31T23:59:59Z"},
        {"resolved_at": "soon"},
    ],
)
def test_a_bad_alarm_is_quarantined_and_its_neighbours_kept(wrong: dict[str, Any]) -> None:
    good, bad = alarms(alarm(alarm_id=1), alarm(**wrong), alarm(alarm_id=2))
    assert [a.alarm_id for a in good] == [1, 2]
    assert [entry.call for entry in bad] == ["/alarms"]


def test_far_too_many_entries_are_refused() -> None:
    with pytest.raises(BadAnswer, match="5001 entries, more than the 5000 allowed"):
        channels(*[0] * 5_001)
    with pytest.raises(BadAnswer, match="2001 entries, more than the 2000 allowed"):
        alarms(*[0] * 2_001)


def test_a_resolution_ahead_of_our_clock_does_not_cost_the_alarm() -> None:
    (known,), bad = alarms(alarm(resolved_at="2030-01-01T00:00:00Z"))
    assert known.resolved_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert bad == ()
