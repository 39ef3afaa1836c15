"""The channels of a simulated vehicle and one period of their readings, computed once.

The readings repeat after PERIOD_S seconds, so that an answer is put together instead of computed.
"""

from dataclasses import dataclass
from functools import cache
from math import pi, sin
from typing import NamedTuple

PERIOD_S = 3607  # prime: no sampling interval ever falls into step with the waveforms

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


class Table(NamedTuple):
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
HEADS = tuple(f'{{"channel_id":{channel.channel_id},"value":' for channel in CHANNELS)
TAIL = ',"time":"'


@cache
def table() -> Table:
    """Return the period's readings; the first call computes them."""
    values = tuple(_readings(position) for position in range(PERIOD_S))
    return Table(
        values,
        tuple(
            tuple(f"{head}{value!r}{TAIL}" for head, value in zip(HEADS, line, strict=True))
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
                    + wave.noise * (mix(channel.channel_id, position) / 2**31 - 1),
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


def mix(seed: int, number: int) -> int:
    """Hash two integers to 32 well-spread bits."""
    mixed = (seed * 0x9E3779B1 ^ number * 0x85EBCA77) & _MASK
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & _MASK
    return mixed ^ mixed >> 13
