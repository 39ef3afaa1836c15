"""Which vehicle is looked at next, and how much of its past, so that it costs little.

Pure: the caller gives the time. A look asks for a small window of what is a minute, ten minutes, an
hour or a day old.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.models import Window
from fleetsyncd.times import floor_ms

AGES = (60, 600, 3_600, 86_400)
"""How old what is looked at is, in seconds; multiples of usual intervals: see `look_window`."""
EVERY_SEC = 600.0
"""How often each vehicle is looked at, at the ages at which late rows are met."""
SELDOM = {3_600: 3, 86_400: 12}
"""At these ages only every so many times, for longer windows: what a look costs beside its rows,
a session and two requests, then is a smaller share."""
LATER_SEC = 60.0
"""When a look that was not possible is tried again, at the earliest."""
LEAST_BYTES = 500
"""What a look may cost of a vehicle that sends very little."""
SHORTEST_SEC, LONGEST_SEC = 3.0, 600.0
_PHASES = 1_000

Turn = tuple[UUID, int]
"""A vehicle and an age."""


@dataclass(slots=True)
class _Vehicle:
    """When a vehicle is looked at next, by age, and what it had sent at the look before."""

    next_at: dict[int, float]
    received: dict[int, int]
    since: dict[int, float] = field(default_factory=dict)


class AuditPlan:
    """The looks of a fleet; `percent` of what a vehicle sends may be asked for again."""

    def __init__(self, percent: float, received: Mapping[UUID, int]) -> None:
        self._percent = percent
        self._received = received
        """Bytes of answers by vehicle, ever growing."""
        self._vehicles: dict[UUID, _Vehicle] = {}

    @property
    def is_off(self) -> bool:
        """Whether nothing is looked at."""
        return self._percent <= 0

    def set_fleet(self, fleet: Collection[UUID], now: float) -> None:
        """Take in which vehicles there are; new ones are spread over time."""
        known = self._vehicles
        self._vehicles = {key: known.get(key) or self._new(key, now) for key in fleet}

    def _new(self, vehicle_id: UUID, now: float) -> _Vehicle:
        phase = vehicle_id.int % _PHASES / _PHASES
        sent = self._received.get(vehicle_id, 0)
        return _Vehicle(
            {
                age: now + (phase + number / len(AGES)) % 1 * every_sec(age)
                for number, age in enumerate(AGES)
            },
            dict.fromkeys(AGES, sent),
            dict.fromkeys(AGES, now),
        )

    def due(self, now: float, excluded: Collection[UUID], limit: int) -> list[Turn]:
        """Return at most `limit` looks that are due, one of a vehicle, the longest due first."""
        if self.is_off or limit <= 0:
            return []
        waiting = sorted(
            (at, vehicle_id, age)
            for vehicle_id, vehicle in self._vehicles.items()
            if vehicle_id not in excluded
            for at, age in [min((at, age) for age, at in vehicle.next_at.items())]
            if at <= now
        )
        return [(vehicle_id, age) for _at, vehicle_id, age in waiting[:limit]]

    def postpone(self, turn: Turn, now: float, wait_sec: float = LATER_SEC) -> None:
        """Let a look that is not possible now be tried later, when it may be: after `wait_sec`."""
        wait_sec = min(max(wait_sec, LATER_SEC), every_sec(turn[1]))
        self._vehicles[turn[0]].next_at[turn[1]] = now + wait_sec

    def length(self, turn: Turn, now: float) -> timedelta:
        """Return how much of the vehicle's time a look may ask for."""
        vehicle_id, age = turn
        vehicle = self._vehicles[vehicle_id]
        received = self._received.get(vehicle_id, 0) - vehicle.received[age]
        seconds = now - vehicle.since[age]
        allowed = max(LEAST_BYTES, received * self._percent / 100 / len(AGES))
        fitting = allowed * seconds / received if received > 0 else LONGEST_SEC
        return timedelta(seconds=min(max(fitting, SHORTEST_SEC), LONGEST_SEC, age))

    def begin(self, turn: Turn, now: float) -> None:
        """Take in that a look begins."""
        vehicle_id, age = turn
        vehicle = self._vehicles[vehicle_id]
        vehicle.next_at[age] = now + every_sec(age)
        vehicle.received[age] = self._received.get(vehicle_id, 0)
        vehicle.since[age] = now


def every_sec(age_sec: int) -> float:
    """Return how often each vehicle is looked at, at this age."""
    return EVERY_SEC * SELDOM.get(age_sec, 1)


def look_window(
    watermark: datetime,
    verified_to: datetime,
    oldest: datetime,
    age_sec: int,
    length: timedelta,
    overlap: timedelta,
) -> Window | None:
    """Return what a look asks for; None while nothing that is so old can be proved.

    A pull misses rows that are committed after it, and of these, those that the next pull does not
    ask for again: what is just before a pull's end, less the overlap. Pulls end a sync interval
    apart, so one ended about `age_sec` before the last one, and the window ends at that place.
    """
    end = floor_ms(watermark - timedelta(seconds=age_sec) - overlap)
    start = floor_ms(max(end - length, verified_to, oldest))
    if end - start < min(length, timedelta(seconds=SHORTEST_SEC)):
        return None
    return Window(start, end)


def seconds_to_wait(
    watermark: datetime, verified_to: datetime, oldest: datetime, age_sec: int, overlap: timedelta
) -> float:
    """Return in how many seconds `look_window` returns a window, if it returns none now."""
    end = watermark - timedelta(seconds=age_sec) - overlap
    return (max(verified_to, oldest) - end).total_seconds() + SHORTEST_SEC
