"""Which vehicle is looked at next, and how much of its past, so that it costs little.

Pure: the caller gives the time. A look asks for a small window of what is a minute, ten minutes, an
hour or a day old.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.models import Window
from fleetsyncd.terms import Terms
from fleetsyncd.times import floor_ms

AGES = (60, 600, 3_600, 86_400)
"""How old what is looked at is at least, in seconds; see `pulls_apart`."""
EVERY_SEC = 600.0
"""How often each vehicle is visited: looked at, at the ages at which late rows are met."""
CALM_VISITS, CALM_FACTOR = 6, 2
"""After so many visits in a row that found nothing missing, the next ones come so much later."""
SELDOM = {3_600: 3, 86_400: 12}
"""At these ages a vehicle is looked at in one of so many visits, for longer windows."""
LONGEST_PAUSE_SEC = 3_600.0
"""Also a vehicle that sends very little is visited once in so long."""
LATER_SEC = 60.0
"""When a visit that was not possible is tried again, at the earliest."""
LEAST_BYTES = 500
"""What a look may cost of a vehicle that sends very little."""
SHORTEST_SEC, LONGEST_SEC = 3.0, 600.0
_PHASES = 1_000


@dataclass(slots=True)
class _Vehicle:
    """When a vehicle is visited next; by age, what it had sent at the look before, and when."""

    next_at: float
    received: dict[int, int]
    since: dict[int, float]
    visits_to_wait: Counter[int] = field(default_factory=Counter)
    """At which ages it is not looked at yet."""
    calm_visits: int = 0
    """Visits since the last one that found rows missing."""
    began_at: float = 0.0
    sent_before: int = 0
    """When its last visit began, and what it had sent by then; before one, when it was met."""
    bytes_a_second: float = 0.0
    """What it sent between its last visit and the one before, on average."""


class AuditPlan:
    """The looks of a fleet; `percent` of what a vehicle sends may be asked for again.

    What is due of a vehicle is looked at in one visit: a session and a question for its state cost
    as much as the rows of a look.
    """

    def __init__(
        self, percent: float, received: Mapping[UUID, int], sync_interval_sec: float
    ) -> None:
        self._percent = percent
        self._sync_interval_sec = sync_interval_sec
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
            now + phase * EVERY_SEC,
            dict.fromkeys(AGES, sent),
            dict.fromkeys(AGES, now),
            began_at=now,
            sent_before=sent,
        )

    def due(self, now: float, excluded: Collection[UUID], limit: int) -> list[UUID]:
        """Return at most `limit` vehicles that are to be visited, the longest due first."""
        if self.is_off or limit <= 0:
            return []
        waiting = sorted(
            (vehicle.next_at, vehicle_id)
            for vehicle_id, vehicle in self._vehicles.items()
            if vehicle.next_at <= now and vehicle_id not in excluded
        )
        return [vehicle_id for _at, vehicle_id in waiting[:limit]]

    def ages(self, vehicle_id: UUID) -> list[int]:
        """Return the ages at which a vehicle is to be looked at in its next visit."""
        waiting = self._vehicles[vehicle_id].visits_to_wait
        return [age for age in AGES if waiting[age] <= 0]

    def pulls_apart(self, age: int, terms: Terms) -> float:
        """Return how long before a vehicle's last pull one has ended, at `age` at the earliest."""
        return pulls_apart(age, terms.interval(self._sync_interval_sec))

    def postpone(self, vehicle_id: UUID, now: float, wait_sec: float = LATER_SEC) -> None:
        """Let a visit that is not possible now be tried later, when it may be: after `wait_sec`."""
        self._vehicles[vehicle_id].next_at = now + min(max(wait_sec, LATER_SEC), EVERY_SEC)

    def length(self, vehicle_id: UUID, age: int, now: float) -> timedelta:
        """Return how much of the vehicle's time a look may ask for."""
        vehicle = self._vehicles[vehicle_id]
        received = self._received.get(vehicle_id, 0) - vehicle.received[age]
        seconds = now - vehicle.since[age]
        allowed = max(LEAST_BYTES, received * self._percent / 100 / len(AGES))
        fitting = allowed * seconds / received if received > 0 else LONGEST_SEC
        return timedelta(seconds=min(max(fitting, SHORTEST_SEC), LONGEST_SEC, age))

    def begin(self, vehicle_id: UUID, ages: Collection[int], now: float) -> None:
        """Take in that a visit begins, which looks at these ages."""
        vehicle = self._vehicles[vehicle_id]
        is_calm = vehicle.calm_visits >= CALM_VISITS
        vehicle.next_at = now + EVERY_SEC * (CALM_FACTOR if is_calm else 1)
        sent = self._received.get(vehicle_id, 0)
        vehicle.bytes_a_second = (sent - vehicle.sent_before) / max(now - vehicle.began_at, 1.0)
        vehicle.began_at, vehicle.sent_before = now, sent
        vehicle.calm_visits += 1
        vehicle.visits_to_wait.subtract(AGES)
        for age in ages:
            vehicle.visits_to_wait[age] = SELDOM.get(age, 1) - 1
            vehicle.received[age] = sent
            vehicle.since[age] = now

    def note_cost(self, vehicle_id: UUID, received: int) -> None:
        """Take in how many bytes a visit received: the next one comes when they are paid for.

        While rows are missing, knowing it is worth more than they cost.
        """
        vehicle = self._vehicles.get(vehicle_id)
        if vehicle is None or not vehicle.calm_visits or not vehicle.bytes_a_second:
            return
        seconds = received / (vehicle.bytes_a_second * self._percent / 100)
        paid_at = vehicle.began_at + min(seconds, LONGEST_PAUSE_SEC)
        vehicle.next_at = max(vehicle.next_at, paid_at)

    def note_missing(self, vehicle_id: UUID, now: float) -> None:
        """Take in that rows were missing: the vehicle's next visit comes soon again."""
        if (vehicle := self._vehicles.get(vehicle_id)) is not None:
            vehicle.calm_visits = 0
            vehicle.next_at = min(vehicle.next_at, now + EVERY_SEC)


def pulls_apart(age_sec: int, interval_sec: float) -> float:
    """Return how long before the last pull one has ended, at `age_sec` at the earliest."""
    return math.ceil(age_sec / interval_sec) * interval_sec


def look_window(
    watermark: datetime,
    verified_to: datetime,
    oldest: datetime,
    age_sec: float,
    length: timedelta,
    overlap: timedelta,
) -> Window | None:
    """Return what a look asks for; None while nothing that is so old can be proved.

    A pull misses rows that are committed after it, and of these, those that the next pull does not
    ask for again: what is just before a pull's end, less the overlap. Pulls end a sync interval
    apart: one has ended `age_sec` before the last one, as `pulls_apart` returns it, and the window
    ends at that place.
    """
    if watermark <= verified_to:
        return None  # also where there is nothing before it: years have a first one
    end = floor_ms(watermark - timedelta(seconds=age_sec) - overlap)
    start = floor_ms(max(end - length, verified_to, oldest))
    if end - start < min(length, timedelta(seconds=SHORTEST_SEC)):
        return None
    return Window(start, end)


def seconds_to_wait(
    watermark: datetime, verified_to: datetime, oldest: datetime, age_sec: float, overlap: timedelta
) -> float:
    """Return in how many seconds `look_window` returns a window, if it returns none now."""
    ahead = (max(verified_to, oldest) - watermark).total_seconds()
    return ahead + age_sec + overlap.total_seconds() + SHORTEST_SEC
