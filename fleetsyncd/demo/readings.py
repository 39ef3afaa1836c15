"""What a simulated vehicle measures: pure functions of (seed, channel, vehicle time).

Nothing here holds state, so a checker in another process computes the very rows a vehicle
served. Times are integer milliseconds since 1970 UTC; intervals are half-open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from time import gmtime, strftime

from fleetsyncd.demo.waveforms import CHANNELS, HEADS, PERIOD_S, TAIL, Channel, mix, table

__all__ = [
    "CHANNELS",
    "JITTER_MS",
    "MAX_ALARM_MS",
    "SILENCE_S",
    "Alarm",
    "Channel",
    "Page",
    "alarms",
    "iso",
    "page",
    "rows",
    "seed_of",
    "stamp_ms",
]

JITTER_MS = 300
MAX_ALARM_MS = 240_000
SILENCE_S = 60
"""So long a channel has no value at a time."""

_MIN_ALARM_MS = 60_000
_ALARM_SLOT_MS = 300_000
_SILENCE_EVERY_S = 997


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


_HOURS = len(CHANNELS) - 1
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
    return second * 1000 + mix(seed, second) % JITTER_MS


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
    cycles_whole, values_left = divmod(limit, width) if width else (0, 0)
    cycles = _read_cycles(seed, start_ms, end_ms if width else start_ms)
    parts = [_cycle_json(seed, *cycle, chosen) for cycle in islice(cycles, cycles_whole)]
    count = len(parts) * width
    cut = next(cycles, None)
    if cut and values_left:
        parts.append(_cycle_json(seed, *cut, slice(chosen.start, chosen.start + values_left)))
        count += values_left
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
    channel_id, severity, message = _FAULT_CODES[mix(seed, slot) % len(_FAULT_CODES)]
    triggered = slot * _ALARM_SLOT_MS + mix(seed + 1, slot) % _ALARM_SLOT_MS
    lasting = _MIN_ALARM_MS + mix(seed + 2, slot) % (MAX_ALARM_MS - _MIN_ALARM_MS)
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
    values: list[float | None] = list(table().values[(second + seed) % PERIOD_S])
    values[_HOURS] = _engine_hours(seed, second)
    silent = _silent_channel(seed, second)
    if silent is not None:
        values[silent] = None
    return values


def _fragments(seed: int, second: int) -> list[str]:
    fragments = list(table().fragments[(second + seed) % PERIOD_S])
    fragments[_HOURS] = f"{HEADS[_HOURS]}{_engine_hours(seed, second)!r}{TAIL}"
    silent = _silent_channel(seed, second)
    if silent is not None:
        fragments[silent] = f"{HEADS[silent]}null{TAIL}"
    return fragments


def _engine_hours(seed: int, second: int) -> float:
    """Hours run at 40 % duty since 2020: the one reading that never repeats."""
    hours = seed % 5000 + (second - 1_577_836_800) / 3600 * 0.4
    return round(min(max(hours, 0.0), CHANNELS[_HOURS].phys_max), 2)


def _silent_channel(seed: int, second: int) -> int | None:
    """Index of the channel whose module is unreachable: one, for 60 s in every 997."""
    stretch, position = divmod(second + seed, _SILENCE_EVERY_S)
    return mix(seed, stretch) % len(CHANNELS) if position < SILENCE_S else None
