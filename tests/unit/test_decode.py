import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Window
from fleetsyncd.telemetry import DataPage, Measurements, Status
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.measurement_rows import AT_ONCE_BYTES, CHUNK

OLDEST = datetime(2025, 1, 1, tzinfo=UTC)
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
LIMIT = 10
NOON = "2026-02-22T12:00:00.123Z"
NOON_AT = datetime(2026, 2, 22, 12, 0, 0, 123_000, UTC)
GOOD = f'{{"channel_id":1,"value":1.5,"time":"{NOON}"}}'


def page(body: str | bytes) -> DataPage:
    sent = body.encode() if isinstance(body, str) else body
    return decode.page(sent, LIMIT, OLDEST, NEWEST)


def body_of(*rows: str, truncated: str = "false") -> str:
    return f'{{"from":"x","to":"y","count":1,"truncated":{truncated},"rows":[{",".join(rows)}]}}'


def row(**changed: str) -> str:
    fields = {"channel_id": "1", "value": "1.5", "time": f'"{NOON}"'} | changed
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if text) + "}"


WINDOW = Window(OLDEST, NEWEST)


def oldest_time(*rows: str) -> datetime | None:
    body = f'{{"truncated":false,"rows":[{",".join(rows)}]}}'
    return decode.oldest_time(body.encode(), 3, WINDOW, LIMIT)


@pytest.mark.parametrize("value", ["null", '"off"', "NaN", "1e999", ""])
def test_the_oldest_time_of_an_answer_is_that_of_its_first_row_whatever_its_value(
    value: str,
) -> None:
    later = row(time='"2026-02-22T12:00:01Z"')
    assert oldest_time(row(value=value), later) == NOON_AT


def test_rows_without_a_readable_time_in_the_interval_tell_no_oldest_time() -> None:
    odd = (row(time='"soon"'), row(time='"1970-01-01T00:00:00Z"'), "7")
    assert oldest_time(*odd) is None
    assert oldest_time(*odd[:2], row()) == NOON_AT
    assert oldest_time(*odd, row()) is None, "only the first rows are looked at"
    assert oldest_time() == NEWEST


def in_bytes(body: str) -> bytes:
    """Return a body in which ÿ stands for a byte that is no UTF-8."""
    return body.encode().replace("\xff".encode(), b"\xff")


def test_a_good_page_becomes_columns_ordered_by_time_and_then_channel() -> None:
    later = '"2026-02-22T12:00:01.000Z"'
    got = page(
        body_of(
            row(channel_id="3", time=later),
            row(channel_id="2", value="-7"),
            row(channel_id="2", value="0.1", time=later),
            row(value="2e3"),
        )
    )
    after = datetime(2026, 2, 22, 12, 0, 1, tzinfo=UTC)
    assert got == DataPage(
        Measurements((NOON_AT, NOON_AT, after, after), (1, 2, 2, 3), (2000.0, -7.0, 0.1, 1.5)),
        truncated=False,
    )


def test_a_page_without_rows_is_good() -> None:
    assert page(body_of()) == DataPage(Measurements((), (), ()), truncated=False)


def test_nulls_are_not_stored_and_not_bad() -> None:
    got = page(body_of(GOOD, row(channel_id="2", value="null")))
    assert (got.measurements.channels, got.bad) == ((1,), ())


def test_times_with_another_offset_are_the_same_moment() -> None:
    (moment,) = page(body_of(row(time='"2026-02-22T14:30:00.123+02:30"'))).measurements.times
    assert moment == NOON_AT


GOOD_CHANNELS = {
    "1.0": 1,
    " 1.000 ": 1,
    "1e0": 1,
    "1.2345678E7": 12_345_678,
    "120e-1": 12,
    "-0.0": 0,
    "2147483647.0": 2**31 - 1,
    "-2.147483648e9": -(2**31),
}


@pytest.mark.parametrize("written", GOOD_CHANNELS)
@pytest.mark.parametrize("others", [0, 2_000])
def test_an_integral_float_is_the_integer_it_is(written: str, others: int) -> None:
    rows = [GOOD] * others + [row(channel_id=written, value="1.0", note='"_id\\": 1.5"')]
    body = body_of(*rows).encode()
    assert (len(body) > AT_ONCE_BYTES) == (others > 0)
    got = decode.page(body, 50_000, OLDEST, NEWEST)
    assert got.bad == ()
    assert set(got.measurements.channels) == {GOOD_CHANNELS[written]} | ({1} if others else set())


def test_a_page_whose_channels_are_all_floats_costs_little_more_than_any_other() -> None:
    def seconds(channel: str) -> float:
        rows = [row(channel_id=channel, value=str(n)) for n in range(40_000)]
        body = body_of(*rows).encode()
        began = time.process_time()
        assert len(decode.page(body, 50_000, OLDEST, NEWEST).measurements) == 40_000
        return time.process_time() - began

    assert min(seconds("1.0") for _ in range(3)) < 12 * min(seconds("1") for _ in range(3))


OTHER_TIMES = [
    "2026-02-22T12:00:00.123z",
    "2026-02-22t12:00:00.123Z",
    "2026-02-22 12:00:00.123Z",
    "2026-02-22T12:00:00,123Z",
    "2026-02-22T12:00:00.123+0000",
    "2026-02-22 12:00:00.123+00",
    "2026-02-22T12:00:00.123-00:00",
    "2026-02-22T14:30:00.123+0230",
    "2026-02-22T04:00:00.123-08",
    "2026-02-22T12:00:00.123000000Z",
]


@pytest.mark.parametrize("text", OTHER_TIMES)
def test_every_notation_of_a_time_with_a_zone_is_the_same_moment(text: str) -> None:
    got = page(body_of(row(time=f'"{text}"')))
    assert (got.measurements.times, got.bad) == ((NOON_AT,), ())


@pytest.mark.parametrize(
    "text", ["2026-02-22T12:00:00Z", "2026-02-22T12:00Z", "2026-02-22 12:00+00"]
)
def test_a_time_needs_no_fraction_and_no_seconds(text: str) -> None:
    (moment,) = page(body_of(row(time=f'"{text}"'))).measurements.times
    assert moment == NOON_AT.replace(microsecond=0)


BAD_ROWS = {
    "half a channel": (row(channel_id="1.5"), "Expected `int`, got `float`"),
    "nearly a channel": (row(channel_id="1.00000000000000000000000000001"), "Expected `int`"),
    "channel a flag": (row(channel_id="true"), "Expected `int`, got `bool`"),
    "channel null": (row(channel_id="null"), "Expected `int`, got `null`"),
    "channel float over int4": (row(channel_id="2147483648.0"), "2147483647"),
    "channel with a huge exponent": (row(channel_id="1e999999999"), "out of range"),
    "channel with an endless exponent": (row(channel_id="1e" + "9" * 30), "out of range"),
    "channel with a tiny exponent": (row(channel_id="1e-" + "9" * 30), "Expected `int`"),
    "channel of many digits": (row(channel_id="1." + "0" * 50), "Expected `int`"),
    "channel as a text of a float": (row(channel_id='"1.0"'), "Expected `int`"),
    "a fraction of a minute": (row(time='"2026-02-22T12:00.5Z"'), "Invalid RFC3339"),
    "a naive time with a comma": (row(time='"2026-02-22T12:00:00,123"'), "Invalid RFC3339"),
    "a leap second": (row(time='"2026-02-22T12:00:60Z"'), "Invalid RFC3339"),
    "midnight as 24:00": (row(time='"2026-02-22T24:00Z"'), "Invalid RFC3339"),
    "an offset of a day": (row(time='"2026-02-22T12:00:00+24"'), "Invalid RFC3339"),
    "digits of another script": (row(time='"٢٠٢٦-02-22T12:00Z"'), "Invalid RFC3339"),
    "channel as text": (row(channel_id='"1"'), "Expected `int`"),
    "channel missing": (row(channel_id=""), "missing required field `channel_id`"),
    "channel over int4": (row(channel_id="2147483648"), "<= 2147483647"),
    "channel under int4": (row(channel_id="-2147483649"), ">= -2147483648"),
    "channel over int8": (row(channel_id="9" * 30), "Expected `int`"),
    "value as text": (row(value='"1.5"'), "Expected `float | null`"),
    "value as flag": (row(value="true"), "Expected `float | null`"),
    "value missing": (row(value=""), "missing required field `value`"),
    "NaN": (row(value="NaN"), "Expected `float | null`"),
    "Infinity": (row(value="Infinity"), "Expected `float | null`"),
    "-Infinity": (row(value=" -Infinity "), "Expected `float | null`"),
    "1e999": (row(value="1e999"), "out of range"),
    "-1e999": (row(value="-1e999"), "out of range"),
    "400 digits": (row(value="9" * 400), "out of range"),
    "no time": (row(time=""), "missing required field `time`"),
    "time null": (row(time="null"), "Expected `str`"),
    "time a number": (row(time="1771761600"), "Expected `str`"),
    "time NaN": (row(time="NaN"), "Invalid RFC3339"),
    "naive time": (row(time='"2026-02-22T12:00:00.123"'), "timezone"),
    "no such day": (row(time='"2026-02-30T12:00:00Z"'), "Invalid RFC3339"),
    "1970": (row(time='"1970-01-01T00:00:07Z"'), "before 2025-01-01"),
    "year 1": (row(time='"0001-01-01T00:00:00+23:59"'), "before 2025-01-01"),
    "far future": (row(time='"2027-01-01T00:00:00Z"'), "ahead of the central clock"),
    "year 9999": (row(time='"9999-12-31T23:59:59-23:59"'), "ahead of the central clock"),
    "half a surrogate pair": (row(time='"\\ud800"'), "Invalid RFC3339"),
    "the other half": (row(time='"2026-02-22T12:00:00\\uDFFFZ"'), "Invalid RFC3339"),
    "invalid UTF-8": (row(time='"\xff"'), "utf-8"),
    "a list": ("[1,2]", "Expected `object`, got `array`"),
    "null": ("null", "Expected `object`, got `null`"),
    "a bare NaN": ("NaN", "Expected `object`"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_quarantined_with_its_reason_and_its_neighbours_are_kept(name: str) -> None:
    text, reason = BAD_ROWS[name]
    got = page(in_bytes(body_of(GOOD, text, row(channel_id="2"))))
    assert got.measurements.channels == (1, 2)
    (bad,) = got.bad
    assert bad.call == "/data"
    assert reason in bad.reason
    assert len(bad.raw) <= 2000
    assert (bad.raw + bad.reason).isprintable()


def test_many_bad_rows_at_once_are_all_quarantined() -> None:
    rows = [text for text, _ in BAD_ROWS.values()]
    body = in_bytes(body_of(GOOD, *rows, row(channel_id="2")))
    got = decode.page(body, 100, OLDEST, NEWEST)
    assert got.measurements.channels == (1, 2)
    assert len(got.bad) == len(rows)


LONG = ("NaN " * 5_000, '\\"' * 9 + "NaN", "\\\\" * 20_000 + "NaN", '\\" NaN' * 9_000)


@pytest.mark.parametrize(
    "text",
    [
        '"x, NaN, y"',
        '"[Infinity]"',
        '"\\" : NaN ,"',
        '"\\\\ud800"',
        *(f'"{long}"' for long in LONG),
    ],
    ids=range(8),
)
def test_a_string_that_only_looks_like_a_bad_number_spoils_nothing(text: str) -> None:
    got = page(body_of(row(note=text), row(value="NaN"), row(channel_id="2", note='"\\ud800"')))
    assert (got.measurements.channels, len(got.bad)) == ((1, 2), 1)


def test_the_bounds_include_the_oldest_and_exclude_the_newest() -> None:
    times = [f'"{edge}T00:00:00Z"' for edge in ("2025-01-01", "2026-03-01")]
    got = page(body_of(*(row(time=text) for text in times)))
    assert got.measurements.times == (OLDEST,)
    assert len(got.bad) == 1


@pytest.mark.parametrize(("text", "truncated"), [("true", True), ("false", False)])
def test_the_truncated_flag_is_passed_on(text: str, truncated: bool) -> None:
    assert page(body_of(GOOD, truncated=text)).truncated is truncated
    assert page(body_of(GOOD, "NaN", truncated=text)).truncated is truncated


@pytest.mark.parametrize("last", [GOOD, row(value="null"), row(value="NaN"), "{}"])
def test_a_full_page_counts_as_truncated_whatever_its_flag(last: str) -> None:
    assert not page(body_of(*[GOOD] * (LIMIT - 2), last)).truncated
    assert page(body_of(*[GOOD] * (LIMIT - 1), last)).truncated


def test_more_rows_than_requested_are_refused() -> None:
    with pytest.raises(BadAnswer, match="more than the 10 rows asked for"):
        page(body_of(*[GOOD] * (LIMIT + 1)))


NO_PAGES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty answer"),
    "HTML": (b"\n <html>\r\n<title>Bad \x1b Gateway", "HTML instead of JSON: "),
    "cut": (body_of(GOOD).encode()[:-30], "truncated"),
    "invalid UTF-8": (b'{"rows":[],"\xff\xfe":1', "not the JSON expected"),
    "UTF-16": ('{"rows":[]}'.encode("utf-16"), "not the JSON expected"),
    "two answers": (body_of().encode() * 2, "trailing"),
    "a list": (b"[]", "Expected `object`, got `array`"),
    "a number": (b"5", "Expected `object`, got `int`"),
    "null": (b"null", "Expected `object`, got `null`"),
    "no rows": (b'{"truncated":false}', "missing required field `rows`"),
    "rows null": (b'{"rows":null}', "Expected `array`"),
    "flag as text": (b'{"rows":[],"truncated":"no"}', "Expected `bool`"),
    "deep": (b"[" * 100_000, "Expected `object`"),
    "deep rows": (b'{"rows":' + b"[" * 100_000, "recursion"),
    "deep field": (b'{"x":' * 100_000, "recursion"),
    "deep row": (b'{"rows":[' + b'{"x":' * 100_000 + b"}" * 100_000 + b"]}", "recursion"),
}


@pytest.mark.parametrize("name", NO_PAGES)
def test_what_is_no_page_is_a_bad_answer_with_a_readable_reason(name: str) -> None:
    body, reason = NO_PAGES[name]
    with pytest.raises(BadAnswer) as caught:
        page(body)
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b"5", b"\xff", b"[" * 100_000])
def test_the_other_calls_refuse_what_is_no_answer_as_well(body: bytes) -> None:
    with pytest.raises(BadAnswer, match=r"^/status: "):
        decode.status(body)
    with pytest.raises(BadAnswer, match=r"^/channels: "):
        decode.channels(body)
    with pytest.raises(BadAnswer, match=r"^/alarms: "):
        decode.alarms(body, OLDEST, NEWEST)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"software_version": "1.1.0", "db_ok": False, "uptime_sec": 5}, Status("1.1.0", False)),
        ({"software_version": None}, Status(None, True)),
        ({}, Status(None, True)),
        ({"software_version": ""}, Status(None, True)),
        ({"software_version": " \t"}, Status("�", True)),
        ({"software_version": "  "}, Status(None, True)),
        ({"software_version": 2.1}, Status("2.1", True)),
        ({"software_version": 7, "db_ok": None}, Status("7", True)),
        ({"software_version": "1\x1b[2J\n2"}, Status("1�[2J⏎2", True)),
        ({"software_version": "\ud800", "uptime_sec": float("nan")}, Status("�", True)),
    ],
)
def test_a_status_is_read_and_made_harmless(body: dict[str, Any], status: Status) -> None:
    assert decode.status(json.dumps(body).encode()) == status


@pytest.mark.parametrize("entry", ["1", '{"channel\\u005fid":1,"value":1,"time":"x"}'])
def test_a_page_of_far_too_many_entries_is_refused_before_it_costs_anything(entry: str) -> None:
    body = f'{{"truncated":false,"rows":[{",".join([entry] * 2_000_000)}]}}'.encode()
    began = time.process_time()
    with pytest.raises(BadAnswer, match="far more values"):
        decode.page(body, 50_000, OLDEST, NEWEST)
    assert time.process_time() - began < 1


def test_more_entries_than_requested_are_refused_however_their_keys_are_written() -> None:
    entry = '{"channel\\u005fid":1,"value":1,"time":"2026-02-22T12:00:00Z"}'
    for bad in ("", ",1"):
        body = f'{{"truncated":false,"rows":[{",".join([entry] * 11)}{bad}]}}'.encode()
        with pytest.raises(BadAnswer, match="more than the 10 rows asked for"):
            decode.page(body, 10, OLDEST, NEWEST)


def test_an_answer_for_another_interval_is_refused() -> None:
    noon = datetime(2026, 2, 22, 12, tzinfo=UTC)
    window = Window(noon, noon + timedelta(minutes=1))
    body = '{{"from":"{}","to":"{}","truncated":false,"rows":[]}}'
    right = body.format("2026-02-22T12:00:00.000Z", "2026-02-22T14:01:00+02:00").encode()
    stale = body.format("2026-02-22T11:59:00.000Z", "2026-02-22T12:00:00.000Z").encode()
    assert not decode.page(right, LIMIT, OLDEST, NEWEST, window).truncated
    with pytest.raises(BadAnswer, match=r"answers for 2026-02-22T11:59:00\.000Z when asked for"):
        decode.page(stale, LIMIT, OLDEST, NEWEST, window)


def test_an_answer_that_does_not_say_whether_it_is_complete_is_refused() -> None:
    with pytest.raises(BadAnswer, match="truncated"):
        page('{"rows":[]}')


def test_a_page_of_many_chunks_is_ordered_though_the_vehicle_sent_it_backwards() -> None:
    times = [NEWEST - timedelta(seconds=number) for number in range(1, 3 * CHUNK)]
    rows = [{"channel_id": 1, "value": 0.5, "time": iso_ms(time)} for time in times]
    body = json.dumps({"rows": rows, "truncated": False}).encode()
    assert len(body) > AT_ONCE_BYTES
    got = decode.page(body, 50_000, OLDEST, NEWEST)
    assert list(got.measurements.times) == sorted(times)
