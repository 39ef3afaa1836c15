"""Which vehicles are asked less often, because they have not answered for long.

A vehicle is silent if its cycle got no byte from it: it is out of reach, or timed out. It rests for
a tenth of the time for which it has been silent at most, so the end of a short absence is seen at
once: after 20 cycles it is asked in every second one, after 40 in every fourth, and so on, at most
`longest_cycles` apart. Its turns differ by its id: those that fell silent together are not asked
together.

That many are silent may be this network's own fault. So of several that rest, at least one is asked
in every cycle; and if one answers again, all whose last pull was as long ago as its own are treated
as if they had just fallen silent, which happens once in each silence.

A vehicle with a longer interval of its own counts its silence in cycles of the fleet, too. It is
left alone only once that means longer pauses than its interval.

Kept in memory: a daemon that was just started asks every vehicle once, and takes up the count of
those that timed out already.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zlib import crc32

from fleetsyncd.models import Registration, Vehicle
from fleetsyncd.reports import CycleReport, Failure, Outcome
from fleetsyncd.states import OUTAGE_FROM

REST_SHARE = 10
"""A vehicle rests for this part of its silence at most."""
ASKED_AGAIN_CYCLES = 5
"""In so many cycles those are asked that fell silent together with one that answers again."""
TOGETHER_CYCLES = 2
"""Vehicles whose last pulls are so many cycles apart fell silent together."""
_SILENT = (Failure.TIMEOUT, Failure.UNREACHABLE)


def cycles_apart(silent_cycles: int, longest_cycles: int) -> int:
    """Return how many cycles after the last one a vehicle is asked; 1 is the next cycle."""
    allowed = min(max(1, silent_cycles // REST_SHARE), longest_cycles)
    return longest_cycles if allowed == longest_cycles else 1 << (allowed.bit_length() - 1)


def cycles_left(vehicle_id: UUID, cycle: int, apart: int) -> int:
    """Return in how many cycles it is a vehicle's turn, of `apart`; 0 is this cycle."""
    # The bits of an id are no dice: those of a time and a network card are alike.
    return (crc32(vehicle_id.bytes) - cycle) % apart


@dataclass(slots=True)
class _Silence:
    """A vehicle that has not answered since a cycle, counted as those of this daemon are."""

    since: int
    registration: Registration
    pulled_at: datetime | None
    """When it was pulled last, by this host's clock."""
    ended_with_others: bool = False
    """It was treated as if it had just fallen silent, since another one answered again."""


class Silences:
    """The silent vehicles of this daemon, and those of them that are not asked in this cycle."""

    def __init__(self, sync_interval: timedelta, longest: timedelta) -> None:
        self._sync_sec = sync_interval.total_seconds()
        self._longest_cycles = max(1, int(longest / sync_interval))
        self._together = TOGETHER_CYCLES * sync_interval
        self._silent: dict[UUID, _Silence] = {}
        self._answering: set[int] = set()
        """The periods in which vehicles that answer again were pulled last."""
        self._cycle = 0
        self.resting: frozenset[UUID] = frozenset()
        """Those that are left alone in this cycle."""

    def note(self, report: CycleReport) -> None:
        """Take in how a vehicle's cycle ended."""
        vehicle = report.vehicle
        if report.stopped:
            return
        if report.vehicle_answered or report.failure not in _SILENT:
            if (ended := self._silent.pop(vehicle.id, None)) and report.vehicle_answered:
                self._answering |= self._periods(ended)
            return
        if vehicle.id not in self._silent:
            # Of another kind of failure, the database does not say how many were silences.
            timed_out = vehicle.status == Outcome.TIMEOUT
            cycles = (report.failures if timed_out else 1) * self._own_cycles(vehicle)
            self._silent[vehicle.id] = _Silence(
                self._cycle - cycles, vehicle.registration, vehicle.pulled_at
            )

    def end(self, vehicle_ids: Iterable[UUID]) -> None:
        """Forget the silence of these vehicles."""
        for vehicle_id in vehicle_ids:
            self._silent.pop(vehicle_id, None)

    def new_fleet_cycle(self, fleet: Collection[Vehicle]) -> None:
        """Choose who rests in the cycle that begins.

        Forgets those that left the fleet, or are registered otherwise than when they fell silent.
        """
        self._cycle += 1
        registrations = {vehicle.id: vehicle.registration for vehicle in fleet}
        own = {v.id: self._own_cycles(v) for v in fleet if v.id in self._silent}
        self._silent = {
            key: silence
            for key, silence in self._silent.items()
            if registrations.get(key) == silence.registration
        }
        self._end_common_silences()
        left = {
            key: cycles_left(key, self._cycle, apart)
            for key, silence in self._silent.items()
            if (apart := self._cycles_apart(silence)) > own[key]
        }
        # Of those with an interval of their own, it need not be the turn.
        usual = [key for key in left if own[key] == 1]
        if len(usual) >= OUTAGE_FROM and all(left[key] for key in usual):
            left[min(usual, key=left.__getitem__)] = 0
        self.resting = frozenset(key for key, cycles in left.items() if cycles)

    def _end_common_silences(self) -> None:
        """Let those be asked that fell silent together with one that answers again."""
        if not self._answering:
            return
        about_to_rest = self._cycle + ASKED_AGAIN_CYCLES - 2 * REST_SHARE
        for silence in self._silent.values():
            rests = self._cycles_apart(silence) > 1 and not silence.ended_with_others
            if rests and not self._answering.isdisjoint(self._periods(silence)):
                silence.since, silence.ended_with_others = about_to_rest, True
        self._answering.clear()

    def _own_cycles(self, vehicle: Vehicle) -> int:
        """Return how many cycles of the fleet a vehicle's own interval lasts."""
        return max(1, round(vehicle.terms.interval(self._sync_sec) / self._sync_sec))

    def _cycles_apart(self, silence: _Silence) -> int:
        return cycles_apart(self._cycle - silence.since, self._longest_cycles)

    def _periods(self, silence: _Silence) -> set[int]:
        """Return the two periods that the last pull lies in: they overlap by half."""
        if silence.pulled_at is None:
            return set()
        halves = int(silence.pulled_at.timestamp() // self._together.total_seconds())
        return {halves, halves + 1}
