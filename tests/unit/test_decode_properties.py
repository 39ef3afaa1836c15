import json
import math
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleetsyncd.errors import BadAnswer
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle import decode

OLDEST = datetime(2025, 1, 1, tzinfo=UTC)
NEWEST = datetime(2026, 3, 1, tzinfo=UTC)
SPAN_MS = (NEWEST - OLDEST) // timedelta(milliseconds=1)
LIMIT = 50

UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def is_harmless(text: str) -> bool:
    """Tell whether no character of `text` can steer a terminal."""
    return not any(unicodedata.category(character) in UNSAFE for character in text)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
names = st.sampled_from(["rows", "truncated", "software_version", "db_ok"]) | st.sampled_from(
    ["channel_id", "value", "time", "name", "unit", "phys_min", "phys_max", "message"]
)
near_json = st.recursive(
    any_json, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=8
)
moments = st.integers(0, SPAN_MS - 1).map(lambda ms: OLDEST + timedelta(milliseconds=ms))
good_rows = st.tuples(
    moments,
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
bad_fields = st.sampled_from(
    [("channel_id", text) for text in ("null", '"1"', "2147483648", "1.5", "NaN", "[]", "1e400")]
    + [("channel_id", text) for text in ("1e-1", "2147483648.0", f"1e{10**30}", "true", "0.1e0")]
    + [("value", text) for text in ("NaN", "-Infinity", "Infinity", "1e999", '"1"', "{}", "true")]
    + [("value", f'"{text}"') for text in ("\\ud800", "x, NaN, y", "\\\\", '\\"')]
    + [("time", text) for text in ("null", "5", '""', '"\\ud83d"', '"2026-02-22T12:00:00"')]
    + [("time", f'"{year}-01-01T00:00:00Z"') for year in ("0001", "1970", "2027", "9999")]
)
filler = st.none() | st.text(st.characters()).map(json.dumps) | st.just('"reads NaN, [Infinity] "')


def written(row: tuple[datetime, int, float], note: str | None, **changed: str) -> str:
    moment, channel_id, value = row
    fields = {"channel_id": str(channel_id), "value": repr(value), "time": f'"{iso_ms(moment)}"'}
    fields |= changed | ({} if note is None else {"note": note})
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"


def decode_all(body: bytes) -> None:
    """Give the body to every decoder; anything but BadAnswer is let through to fail the test."""
    with suppress(BadAnswer):
        decode.status(body)
    with suppress(BadAnswer):
        decode.channels(body)
    with suppress(BadAnswer):
        decode.alarms(body, OLDEST, NEWEST)
    with suppress(BadAnswer):
        check(decode.page(body, LIMIT, OLDEST, NEWEST))


def check(page: Any) -> None:
    rows = list(page.measurements.rows())
    assert rows == sorted(rows)
    for moment, channel_id, value in rows:
        assert OLDEST <= moment < NEWEST
        assert -(2**31) <= channel_id < 2**31
        assert math.isfinite(value)
    for bad in page.bad:
        assert is_harmless(bad.raw + bad.reason)


@settings(deadline=None)
@given(any_json | near_json)
def test_arbitrary_json_raises_nothing_but_bad_answer(value: object) -> None:
    decode_all(json.dumps(value).encode())


@settings(deadline=None)
@given(near_json, near_json)
def test_arbitrary_rows_raise_nothing_but_bad_answer(rows: object, flag: object) -> None:
    decode_all(json.dumps({"rows": [rows], "truncated": False}).encode())
    decode_all(json.dumps({"rows": rows, "truncated": flag}).encode())
    decode_all(json.dumps([rows]).encode())


@settings(deadline=None)
@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_bad_answer(body: bytes) -> None:
    decode_all(body)


@settings(deadline=None)
@given(st.lists(good_rows, max_size=3), st.data())
def test_a_page_damaged_anywhere_raises_nothing_but_bad_answer(
    rows: list[tuple[datetime, int, float]], data: st.DataObject
) -> None:
    body = f'{{"truncated":false,"rows":[{",".join(written(row, None) for row in rows)}]}}'.encode()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, len(body)))
    splinters = st.binary(max_size=4) | st.sampled_from([b"NaN", b'"', b"\\", b"\\ud800", b"1e999"])
    decode_all(body[:start] + data.draw(splinters) + body[end:])


Mixed = list[tuple[tuple[datetime, int, float], str | None, tuple[str, str] | None]]


@settings(deadline=None)
@given(st.lists(st.tuples(good_rows, filler, st.none() | bad_fields), max_size=LIMIT - 1))
@example([((OLDEST, 1, 0.5), '"x, NaN, y"', None), ((OLDEST, 2, 0.5), None, ("value", "NaN"))])
def test_of_any_mixture_the_good_rows_are_stored_and_the_bad_ones_quarantined(mixed: Mixed) -> None:
    texts = [written(row, note, **dict([bad] if bad else [])) for row, note, bad in mixed]
    body = f'{{"rows":[{",".join(texts)}],"truncated":false}}'.encode()
    page = decode.page(body, LIMIT, OLDEST, NEWEST)
    check(page)
    assert list(page.measurements.rows()) == sorted(row for row, _, bad in mixed if bad is None)
    assert len(page.bad) == sum(bad is not None for _, _, bad in mixed)
    assert not page.truncated
