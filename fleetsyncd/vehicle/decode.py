"""Decode a vehicle's answers into models; a bad row never spoils the other rows."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Alarm, BadRow, Channel, DataPage, Measurements, Status, Window
from fleetsyncd.text import sanitise
from fleetsyncd.times import floor_ms, iso_ms
from fleetsyncd.vehicle.parsing import (
    DECODE_ERRORS,
    NAME_LIMIT,
    RAW_LIMIT,
    check_size,
    decode_body,
    decode_entries,
    decode_list,
    excerpt,
)

Int4 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int8 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
AwareTime = Annotated[datetime, Meta(tz=True)]

LATEST_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""Not every reader of the database can handle later times."""


class _Status(Struct):
    software_version: str | None = None
    db_ok: bool = True


class _Channel(Struct):
    channel_id: Int4
    name: str
    phys_min: float
    phys_max: float
    unit: str | None = None


class _Row(Struct, gc=False):
    channel_id: Int4
    time: str
    value: float | None


class _Page(Struct):
    rows: list[_Row]
    truncated: bool
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")


class _RawPage(Struct):
    rows: list[Raw]
    truncated: bool
    start: str | None = msgspec.field(default=None, name="from")
    end: str | None = msgspec.field(default=None, name="to")


class _Alarm(Struct):
    alarm_id: Int8
    channel_id: Int4
    message: str
    triggered_at: AwareTime
    severity: str | None = None
    resolved_at: AwareTime | None = None


_status = msgspec.json.Decoder(_Status)
_page = msgspec.json.Decoder(_Page)
_raw_page = msgspec.json.Decoder(_RawPage)
_row = msgspec.json.Decoder(_Row)
_channel = msgspec.json.Decoder(_Channel)
_alarm = msgspec.json.Decoder(_Alarm)


def status(body: bytes) -> Status:
    """Decode an answer to `/status`; raise BadAnswer."""
    answer = decode_body("/status", _status, body)
    return Status(sanitise(answer.software_version or "?", NAME_LIMIT), answer.db_ok)


def channels(body: bytes) -> tuple[tuple[Channel, ...], tuple[BadRow, ...]]:
    """Decode an answer to `/channels`; of entries with one channel id the last one counts."""
    good, bad = decode_entries(
        "/channels", decode_list("/channels", body), _channel, _check_channel
    )
    return tuple({c.channel_id: c for c in map(_to_channel, good)}.values()), tuple(bad)


def alarms(body: bytes, oldest: datetime, newest: datetime) -> tuple[list[Alarm], list[BadRow]]:
    """Decode an answer to `/alarms`: alarms triggered in [oldest, newest), each id once.

    A resolution may lie in the future, since the vehicle's clock may: a refused alarm might not be
    sent again.
    """

    def check(alarm: _Alarm) -> None:
        _check_time(alarm.triggered_at, oldest, newest)
        if alarm.resolved_at is not None:
            _check_time(alarm.resolved_at, oldest, LATEST_TIME)

    good, bad = decode_entries("/alarms", decode_list("/alarms", body), _alarm, check)
    unique = {a.alarm_id: a for a in map(_to_alarm, good)}
    return sorted(unique.values(), key=lambda alarm: alarm.alarm_id), bad


def page(
    body: bytes, limit: int, oldest: datetime, newest: datetime, window: Window | None = None
) -> DataPage:
    """Decode an answer to `/data`; a row whose time is not in [oldest, newest) is bad.

    An answer with as many rows as the `limit` that was asked for counts as truncated, whatever it
    says. One with more rows is refused before much time is spent on it. If it names its interval,
    that must be the `window` that was asked for: otherwise the watermark would move over rows that
    never came.
    """
    call = "/data"
    if body.count(b'"channel_id"') > limit:
        raise BadAnswer(call, f"more than the {limit} rows asked for")
    check_size(call, body, limit)
    bad: list[BadRow] = []
    answer: _Page | _RawPage
    try:
        answer = _page.decode(body)
        rows = answer.rows
    except DECODE_ERRORS:
        answer = decode_body(call, _raw_page, body)
        if len(answer.rows) > limit:
            raise BadAnswer(call, f"more than the {limit} rows asked for") from None
        rows, bad = decode_entries(call, answer.rows, _row, _accept_any)
    if len(rows) > limit:
        raise BadAnswer(call, f"more than the {limit} rows asked for")
    if window is not None:
        _check_interval(call, answer.start, answer.end, window)
    truncated = answer.truncated or len(rows) + len(bad) >= limit
    times, faults = _parse_times({row.time for row in rows}, oldest, newest)
    if faults:
        refused = [row for row in rows if row.time in faults and row.value is not None]
        bad += (BadRow(call, excerpt(msgspec.json.encode(r)), faults[r.time]) for r in refused)
        rows = [row for row in rows if row.time not in faults]
    with_value = [(times[r.time], r.channel_id, r.value) for r in rows if r.value is not None]
    return DataPage(Measurements.from_rows(with_value), truncated, tuple(bad))


def _check_interval(call: str, start: str | None, end: str | None, window: Window) -> None:
    """Refuse an answer for another interval than `window`; a vehicle may name none."""
    for named, expected in ((start, window.start), (end, window.end)):
        if named is None:
            continue
        try:
            answered = floor_ms(msgspec.convert(named, AwareTime))
        except msgspec.ValidationError:
            raise BadAnswer(
                call, f"answers for {sanitise(named, 40)}, which is not a time"
            ) from None
        if answered != expected:
            raise BadAnswer(
                call, f"answers for {sanitise(named, 40)} when asked for {iso_ms(expected)}"
            )


def _parse_times(
    texts: Iterable[str], oldest: datetime, newest: datetime
) -> tuple[dict[str, datetime], dict[str, str]]:
    """Parse each distinct time once: all channels of one reading share it.

    Returns the parsed times, and for the others the reason why they are refused.
    """
    times: dict[str, datetime] = {}
    faults: dict[str, str] = {}
    for text in texts:
        try:
            time = msgspec.convert(text, AwareTime)
            _check_time(time, oldest, newest)
        except (msgspec.ValidationError, ValueError) as error:
            faults[text] = sanitise(str(error), NAME_LIMIT)
        else:
            times[text] = time
    return times, faults


def _check_time(time: datetime, oldest: datetime, newest: datetime) -> None:
    if time < oldest:
        raise ValueError(f"time is before {oldest:%Y-%m-%d}, the oldest that is kept")
    if time >= newest:
        raise ValueError("time is more than 10 minutes ahead of the central clock")


def _check_channel(channel: _Channel) -> None:
    if not (math.isfinite(channel.phys_min) and math.isfinite(channel.phys_max)):
        raise ValueError("range is not finite")


def _to_channel(raw: _Channel) -> Channel:
    unit = None if raw.unit is None else sanitise(raw.unit, NAME_LIMIT)
    return Channel(raw.channel_id, sanitise(raw.name, NAME_LIMIT), unit, raw.phys_min, raw.phys_max)


def _to_alarm(raw: _Alarm) -> Alarm:
    severity = None if raw.severity is None else sanitise(raw.severity, NAME_LIMIT)
    return Alarm(
        raw.alarm_id,
        raw.channel_id,
        severity,
        sanitise(raw.message, RAW_LIMIT),
        raw.triggered_at,
        raw.resolved_at,
    )


def _accept_any(_entry: object) -> None:
    """Accept an entry that needs no check beyond its type."""
