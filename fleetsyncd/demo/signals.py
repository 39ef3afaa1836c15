"""What a simulated vehicle measures: pure functions of (seed, channel, vehicle time).

Nothing here holds state, so a checker in another process computes the very rows a vehicle
served. Times are integer milliseconds since 1970 UTC; intervals are half-open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from itertools import islice
from math import pi, sin
from time import gmtime, strftime
from typing import NamedTuple

PERIOD_S = 3607  # prime: no sampling interval ever falls into step with the waveforms
JITTER_MS = 300
MAX_ALARM_MS = 240_000

_MIN_ALARM_MS = 60_000
_ALARM_SLOT_MS = 300_000
_SILENCE_EVERY_S = 997
_SILENCE_S = 60
_WORK_CYCLES = 13
_SWINGS = 200
_RAMP = 0.03
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Channel:
    """One input of the collector; raw in mA, V, counts or Hz, phys in `unit`."""

    channel_id: int
    name: str
    unit: str | None
    raw_min: float
    raw_max: float
    phys_min: float
    phys_max: float
    signal_type: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm with its whole life, the future included; times in ms."""

    alarm_id: int
    channel_id: int
    severity: str | None
    message: str
    triggered_ms: int
    resolved_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as the inside of a JSON list, how many, and whether some were left out."""

    json: str
    count: int
    truncated: bool


class _Wave(NamedTuple):
    """Weights of a channel's components, in the channel's unit; `decimals` kept."""

    idle: float
    load: float = 0.0
    travel: float = 0.0
    slow: float = 0.0
    drift: float = 0.0
    swing: float = 0.0
    noise: float = 0.0
    decimals: int = 2


class _Table(NamedTuple):
    """A period of readings of all channels: as floats, and as JSON up to the time's digits."""

    values: tuple[tuple[float, ...], ...]
    fragments: tuple[tuple[str, ...], ...]


_RAW = {
    "analog_420": (4.0, 20.0),
    "voltage_010": (0.0, 10.0),
    "digital": (0.0, 1.0),
    "encoder_counter": (0.0, 4294967295.0),
    "encoder_frequency": (0.0, 10000.0),
}
_CATALOGUE: tuple[tuple[str, str | None, float, float, str, _Wave], ...] = (
    ("Engine speed", "rpm", 0, 3000, "encoder_frequency", _Wave(820, 1080, 880, 0, 0, 90, 12, 0)),
    ("Vehicle speed", "km/h", 0, 80, "encoder_frequency", _Wave(0, 2, 38, 0, 0, 1.5, 0.6, 1)),
    ("Coolant temperature", "°C", -40, 140, "analog_420", _Wave(84, 3, 1, 5, 0, 0, 0.2)),
    ("Engine oil pressure", "bar", 0, 10, "analog_420", _Wave(2.1, 2.4, 2.0, -0.2, 0, 0.2, 0.05)),
    ("Engine oil temperature", "°C", -40, 160, "analog_420", _Wave(92, 4, 2, 7, 0, 0, 0.2)),
    ("Hydraulic pressure", "bar", 0, 400, "analog_420", _Wave(28, 190, 25, 0, 0, 95, 4, 1)),
    ("Hydraulic oil temperature", "°C", -40, 120, "analog_420", _Wave(52, 4, 1, 9, 0, 0, 0.2)),
    ("Fuel level", "%", 0, 100, "voltage_010", _Wave(18, 0, 0, 0, 74, 0, 0.3, 1)),
    ("Battery voltage", "V", 0, 36, "voltage_010", _Wave(27.4, 0.5, 0.4, 0.1, 0, 0, 0.05)),
    ("Boost pressure", "bar", 0, 4, "analog_420", _Wave(0.08, 1.5, 1.1, 0, 0, 0.25, 0.03, 3)),
    ("Exhaust temperature", "°C", 0, 900, "analog_420", _Wave(170, 310, 220, 20, 0, 25, 3, 1)),
    ("Engine load", "%", 0, 100, "voltage_010", _Wave(9, 66, 48, 0, 0, 18, 1.5, 1)),
    ("Boom angle", "°", -10, 75, "voltage_010", _Wave(4, 24, 2, 0, 0, 34, 0.3, 1)),
    ("Payload", "t", 0, 45, "analog_420", _Wave(0.2, 9, 30, 0, 0, 5, 0.15)),
    ("Gearbox oil temperature", "°C", -40, 150, "analog_420", _Wave(71, 1, 4, 6, 0, 0, 0.2)),
    ("Parking brake", None, 0, 1, "digital", _Wave(1, -1, -1, decimals=0)),
    ("Cab door", None, 0, 1, "digital", _Wave(0.35, -0.35, -0.35, 0.3, decimals=0)),
    ("Engine hours", "h", 0, 99999, "encoder_counter", _Wave(0)),
)
_WAVES = tuple(entry[5] for entry in _CATALOGUE)
CHANNELS: tuple[Channel, ...] = tuple(
    Channel(number, name, unit, *_RAW[kind], float(low), float(high), kind)
    for number, (name, unit, low, high, kind, _) in enumerate(_CATALOGUE, start=1)
)
_HOURS = len(CHANNELS) - 1
_HEADS = tuple(f'{{"channel_id":{channel.channel_id},"value":' for channel in CHANNELS)
_TAIL = ',"time":"'

_FAULT_CODES: tuple[tuple[int, str | None, str], ...] = (
    (1, "warning", "Engine overspeed"),
    (3, "warning", "Coolant temperature high"),
    (4, "critical", "Engine oil pressure low"),
    (6, "critical", "Hydraulic pressure above relief setting"),
    (7, "warning", "Hydraulic oil temperature high"),
    (8, None, "Fuel level low"),
    (9, "warning", "Battery voltage low"),
    (11, "critical", "Exhaust temperature too high"),
    (14, "warning", "Payload above rated load"),
    (17, None, "Cab door open"),
)


def seed_of(name: str) -> int:
    """Return the 32-bit seed of the vehicle of this name, the same in every process."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")


def iso(time_ms: int) -> str:
    """Write a time as ISO 8601 UTC with milliseconds and `Z`."""
    second, millisecond = divmod(time_ms, 1000)
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(second))}.{millisecond:03d}Z"


def stamp_ms(seed: int, second: int) -> int:
    """Return the time of this second's read cycle, which all its channels share."""
    return second * 1000 + _mix(seed, second) % JITTER_MS


def rows(
    seed: int,
    start_ms: int,
    end_ms: int,
    channel_id: int | None = None,
    *,
    channels: int = len(CHANNELS),
) -> Iterator[tuple[int, int, float | None]]:
    """Yield (channel_id, time_ms, value) ascending by time; the value None is not to be stored."""
    chosen = _chosen(channel_id, channels)
    for second, stamp in _read_cycles(seed, start_ms, end_ms):
        for number, value in enumerate(_values(seed, second)[chosen], start=chosen.start + 1):
            yield number, stamp, value


def page(
    seed: int,
    start_ms: int,
    end_ms: int,
    limit: int,
    channel_id: int | None = None,
    *,
    channels: int = len(CHANNELS),
) -> Page:
    """Write the first `limit` of the same rows as JSON."""
    chosen = _chosen(channel_id, channels)
    width = chosen.stop - chosen.start
    whole, rest = divmod(limit, width) if width else (0, 0)
    cycles = _read_cycles(seed, start_ms, end_ms if width else start_ms)
    parts = [_cycle_json(seed, *cycle, chosen) for cycle in islice(cycles, whole)]
    count = len(parts) * width
    cut = next(cycles, None)
    if cut and rest:
        parts.append(_cycle_json(seed, *cut, slice(chosen.start, chosen.start + rest)))
        count += rest
    return Page(",".join(parts), count, cut is not None)


def alarms(seed: int, start_ms: int, end_ms: int, *, channels: int = len(CHANNELS)) -> list[Alarm]:
    """List the alarms triggered in the interval, ascending; about one in five minutes."""
    slots = range(start_ms // _ALARM_SLOT_MS, (end_ms - 1) // _ALARM_SLOT_MS + 1)
    lives = (_alarm(seed, slot) for slot in slots)
    return [
        alarm
        for alarm in lives
        if start_ms <= alarm.triggered_ms < end_ms and alarm.channel_id <= channels
    ]


def _alarm(seed: int, slot: int) -> Alarm:
    channel_id, severity, message = _FAULT_CODES[_mix(seed, slot) % len(_FAULT_CODES)]
    triggered = slot * _ALARM_SLOT_MS + _mix(seed + 1, slot) % _ALARM_SLOT_MS
    lasting = _MIN_ALARM_MS + _mix(seed + 2, slot) % (MAX_ALARM_MS - _MIN_ALARM_MS)
    # Beyond 2**53 on purpose: an id that went through a float or an int4 comes out wrong.
    alarm_id = (seed % 2**20 + 2**20) << 40 | slot % 2**40
    return Alarm(alarm_id, channel_id, severity, message, triggered, triggered + lasting)


def _chosen(channel_id: int | None, channels: int) -> slice:
    if channel_id is None:
        return slice(0, channels)
    if 1 <= channel_id <= channels:
        return slice(channel_id - 1, channel_id)
    return slice(0, 0)


def _read_cycles(seed: int, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
    """Yield (second, stamp in ms) of every read cycle stamped inside the interval."""
    for second in range(start_ms // 1000, (end_ms - 1) // 1000 + 1):
        stamp = stamp_ms(seed, second)
        if start_ms <= stamp < end_ms:
            yield second, stamp


def _cycle_json(seed: int, second: int, stamp: int, chosen: slice) -> str:
    # The shared stamp is what stands between two rows: a whole cycle costs one join.
    closing = f'{iso(stamp)}"}}'
    return f"{closing},".join(_fragments(seed, second)[chosen]) + closing


def _values(seed: int, second: int) -> list[float | None]:
    values: list[float | None] = list(_table().values[(second + seed) % PERIOD_S])
    values[_HOURS] = _engine_hours(seed, second)
    silent = _silent_channel(seed, second)
    if silent is not None:
        values[silent] = None
    return values


def _fragments(seed: int, second: int) -> list[str]:
    fragments = list(_table().fragments[(second + seed) % PERIOD_S])
    fragments[_HOURS] = f"{_HEADS[_HOURS]}{_engine_hours(seed, second)!r}{_TAIL}"
    silent = _silent_channel(seed, second)
    if silent is not None:
        fragments[silent] = f"{_HEADS[silent]}null{_TAIL}"
    return fragments


def _engine_hours(seed: int, second: int) -> float:
    """Hours run at 40 % duty since 2020: the one reading that never repeats."""
    hours = seed % 5000 + (second - 1_577_836_800) / 3600 * 0.4
    return round(min(max(hours, 0.0), CHANNELS[_HOURS].phys_max), 2)


def _silent_channel(seed: int, second: int) -> int | None:
    """Index of the channel whose module is unreachable: one, for 60 s in every 997."""
    stretch, position = divmod(second + seed, _SILENCE_EVERY_S)
    return _mix(seed, stretch) % len(CHANNELS) if position < _SILENCE_S else None


@cache
def _table() -> _Table:
    values = tuple(_readings(position) for position in range(PERIOD_S))
    return _Table(
        values,
        tuple(
            tuple(f"{head}{value!r}{_TAIL}" for head, value in zip(_HEADS, line, strict=True))
            for line in values
        ),
    )


def _readings(position: int) -> tuple[float, ...]:
    """Compute all channels at one position of the period, clipped to what is physical."""
    turn = position / PERIOD_S
    progress = turn * _WORK_CYCLES % 1.0
    load, travel = _pulse(progress, 0.2, 0.7), _pulse(progress, 0.7, 1.0)
    parts = (1.0, load, travel, sin(2 * pi * turn), 1.0 - turn, load * sin(2 * pi * _SWINGS * turn))
    return tuple(
        round(
            min(
                max(
                    sum(weight * part for weight, part in zip(wave, parts, strict=False))
                    + wave.noise * (_mix(channel.channel_id, position) / 2**31 - 1),
                    channel.phys_min,
                ),
                channel.phys_max,
            ),
            wave.decimals,
        )
        + 0.0  # never -0.0
        for channel, wave in zip(CHANNELS, _WAVES, strict=True)
    )


def _pulse(progress: float, start: float, end: float) -> float:
    """0 outside start..end, 1 inside, with ramps."""
    edge = min(progress - start, end - progress) / _RAMP
    return min(max(edge, 0.0), 1.0)


def _mix(seed: int, number: int) -> int:
    """Hash two integers to 32 well-spread bits."""
    mixed = (seed * 0x9E3779B1 ^ number * 0x85EBCA77) & _MASK
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & _MASK
    return mixed ^ mixed >> 13
