"""Decode a vehicle's answers into telemetry; a bad row never spoils the other rows."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fleetsyncd.errors import BadAnswer
from fleetsyncd.models import Window
from fleetsyncd.telemetry import Alarm, BadRow, Channel, DataPage, Status
from fleetsyncd.text import sanitise
from fleetsyncd.time_limits import check_time
from fleetsyncd.times import floor_ms, iso_ms
from fleetsyncd.vehicle.cpu_slices import CpuSlices
from fleetsyncd.vehicle.measurement_rows import Int4, RawPage, RowReader
from fleetsyncd.vehicle.notations import parse_time
from fleetsyncd.vehicle.parsing import (
    DECODE_ERRORS,
    MAX_ALARMS,
    MAX_CHANNELS,
    NAME_LIMIT,
    RAW_LIMIT,
    BadRowCollector,
    check_size,
    decode_body,
    decode_entries,
    decode_list,
)

Int8 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Label = str | int | float
"""A text of which nothing but its look matters, so that a number is as good."""

LATEST_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""Not every reader of the database can handle later times."""


class _Status(Struct):
    software_version: Label | None = None
    db_ok: bool | None = None
    vehicle_id_hint: object = None
    """Of any type: nothing that is pulled depends on it."""


class _Channel(Struct):
    channel_id: Int4
    name: str
    phys_min: float | None = None
    phys_max: float | None = None
    unit: str | None = None


class _Alarm(Struct):
    alarm_id: Int8
    message: str
    triggered_at: str
    channel_id: Int4 | None = None
    severity: Label | None = None
    resolved_at: str | None = None


class _Timed(Struct):
    time: str


_raw_page = msgspec.json.Decoder(RawPage)
_timed = msgspec.json.Decoder(_Timed)
_status = msgspec.json.Decoder(_Status)
_channel = msgspec.json.Decoder(_Channel)
_alarm = msgspec.json.Decoder(_Alarm)


def status(body: bytes) -> Status:
    """Decode an answer to `/status`; raise BadAnswer."""
    call = "/status"
    answer = decode_body(call, _status, body, CpuSlices(call))
    hint = answer.vehicle_id_hint
    return Status(
        _label(answer.software_version),
        db_ok=answer.db_ok is not False,
        id_hint=_label(hint) if isinstance(hint, Label) else None,
    )


def channels(body: bytes) -> tuple[tuple[Channel, ...], tuple[BadRow, ...]]:
    """Decode an answer to `/channels`; of entries with one channel id the last one counts."""
    call = "/channels"
    slices, bad = CpuSlices(call), BadRowCollector(call)
    entries = decode_list(call, body, MAX_CHANNELS, slices)
    good = decode_entries(entries, _channel, _to_channel, bad, slices)
    return tuple({c.channel_id: c for c in good}.values()), bad.rows()


def alarms(
    body: bytes, oldest: datetime, newest: datetime, slices: CpuSlices | None = None
) -> tuple[list[Alarm], tuple[BadRow, ...]]:
    """Decode an answer to `/alarms`: alarms triggered in [oldest, newest), each once.

    A vehicle that counts its alarms anew may have several of one id, told apart by their time.
    A resolution may lie in the future, since the vehicle's clock may: a refused alarm might not be
    sent again.
    """
    call = "/alarms"

    def convert(raw: _Alarm) -> Alarm:
        alarm = _to_alarm(raw)
        check_time(alarm.triggered_at, oldest, newest)
        if alarm.resolved_at is not None and alarm.resolved_at >= LATEST_TIME:
            raise ValueError("resolved_at is after the year 9998")
        if alarm.resolved_at is not None:
            check_time(alarm.resolved_at, oldest, LATEST_TIME)
        return alarm

    slices, bad = slices or CpuSlices(call), BadRowCollector(call)
    entries = decode_list(call, body, MAX_ALARMS, slices)
    unique = {alarm.key: alarm for alarm in decode_entries(entries, _alarm, convert, bad, slices)}
    return sorted(unique.values(), key=lambda alarm: alarm.key[:2]), bad.rows()


def page(
    body: bytes,
    limit: int,
    oldest: datetime,
    newest: datetime,
    window: Window | None = None,
    slices: CpuSlices | None = None,
) -> DataPage:
    """Decode an answer to `/data`; a row whose time is not in [oldest, newest) is bad.

    An answer with as many rows as the `limit` that was asked for counts as truncated, whatever it
    says. One with more rows is refused before much time is spent on it. If it names its interval,
    that must be the `window` that was asked for: otherwise the watermark would move over rows that
    never came.
    """
    call = "/data"
    slices = slices or CpuSlices(call)
    if body.count(b'"channel_id"') > limit:
        raise BadAnswer(call, f"more than the {limit} rows asked for")
    slices.pause()
    check_size(call, body, limit)
    slices.pause()
    reader = RowReader(call, oldest, newest, slices)
    answer, rows, bad = reader.read(body, limit)
    if window is not None:
        _check_interval(call, answer.start, answer.end, window)
    truncated = answer.truncated or len(answer.rows) >= limit
    return DataPage(rows, truncated, bad, reader.newest)


def oldest_time(
    body: bytes, most: int, window: Window, limit: int, slices: CpuSlices | None = None
) -> datetime | None:
    """Return the oldest time in `window` of the first `most` rows of an answer to `/data`.

    Whatever a row's value is, its time counts. The end of the window if there is no row, None if
    none of these rows has a time that can be read. Raises BadAnswer, also for over `limit` rows.
    """
    call = "/data"
    slices = slices or CpuSlices(call)
    check_size(call, body, limit)
    answer = decode_body(call, _raw_page, body, slices)
    _check_interval(call, answer.start, answer.end, window)
    times = []
    for raw in slices.each(answer.rows[:most], every=8):
        with suppress(*DECODE_ERRORS):
            times.append(parse_time(_timed.decode(raw).time))
    known = [time for time in times if window.start <= time < window.end]
    if known:
        return min(known)
    return None if answer.rows or answer.truncated else window.end


def _check_interval(call: str, start: str | None, end: str | None, window: Window) -> None:
    """Refuse an answer for another interval than `window`; a vehicle may name none."""
    for named, expected in ((start, window.start), (end, window.end)):
        if named is None:
            continue
        try:
            answered = floor_ms(parse_time(named))
        except msgspec.ValidationError:
            raise BadAnswer(
                call, f"answers for {sanitise(named, 40)}, which is not a time"
            ) from None
        if answered != floor_ms(expected):  # finer than that nobody can ask
            raise BadAnswer(
                call, f"answers for {sanitise(named, 40)} when asked for {iso_ms(expected)}"
            )


def _to_channel(raw: _Channel) -> Channel:
    if not all(math.isfinite(end or 0) for end in (raw.phys_min, raw.phys_max)):
        raise ValueError("range is not finite")
    unit = None if raw.unit is None else sanitise(raw.unit, NAME_LIMIT)
    return Channel(raw.channel_id, sanitise(raw.name, NAME_LIMIT), unit, raw.phys_min, raw.phys_max)


def _to_alarm(raw: _Alarm) -> Alarm:
    return Alarm(
        raw.alarm_id,
        raw.channel_id,
        None if raw.severity is None else sanitise(str(raw.severity), NAME_LIMIT),
        sanitise(raw.message, RAW_LIMIT),
        _time("triggered_at", raw.triggered_at),
        None if raw.resolved_at is None else _time("resolved_at", raw.resolved_at),
    )


def _label(told: Label | None) -> str | None:
    """Return a text as it is stored; None if there is none, or a blank one."""
    return None if told is None else sanitise(str(told), NAME_LIMIT).strip() or None


def _time(field: str, text: str) -> datetime:
    try:
        return parse_time(text)
    except msgspec.ValidationError as error:
        raise ValueError(f"{error} - at `$.{field}`") from None
