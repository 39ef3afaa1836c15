"""Which audits and looks are to be started now."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from uuid import UUID

from fleetsyncd.database import (
    audits,
    loading,
    repairs,
    verified,
)
from fleetsyncd.database.pool import Cursor
from fleetsyncd.jobs import Audit, Look, Visit
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import Outcome
from fleetsyncd.sync.audit_plan import (
    AGES,
    LATER_SEC,
    AuditPlan,
    look_window,
    seconds_to_wait,
)
from fleetsyncd.sync.context import SyncContext

LOOK_SHARE = 2
"""One of so many free slots may be taken for looks, at most."""


@dataclass(frozen=True, slots=True)
class Free:
    """What may be started: how much, of which shards, and of which vehicles nothing."""

    slots: int
    shards: Collection[int] | None
    excluded: Collection[UUID]


class AuditJobs:
    """Chooses audits of operators, the daemon's own repairs, and looks."""

    def __init__(
        self, context: SyncContext, plan: AuditPlan, monotonic: Callable[[], float]
    ) -> None:
        self._context = context
        self._plan = plan
        self._monotonic = monotonic

    def set_fleet(self, fleet: Collection[UUID]) -> None:
        """Take in which vehicles there are."""
        self._plan.set_fleet(fleet, self._monotonic())

    def due_audits(self, free: Free, cursor: Cursor) -> list[tuple[Vehicle, Audit]]:
        """Return the open audits that may begin; the vehicles of a visit are not among them."""
        if not self._plan.is_off:
            repairs.repair_suspects(cursor, free.excluded, free.slots, free.shards)
        due = audits.open_audits(cursor, free.excluded, free.slots, free.shards)
        vehicles = loading.load_vehicles(cursor, due.keys()) if due else []
        return [(vehicle, due[vehicle.id]) for vehicle in vehicles]

    def due_visits(self, free: Free) -> list[UUID]:
        """Return the vehicles whose turn it is to be visited; without asking the database."""
        limit = -(-free.slots // LOOK_SHARE)
        return self._plan.due(self._monotonic(), free.excluded, limit)

    def visits(
        self, ids: Sequence[UUID], free: Free, cursor: Cursor
    ) -> list[tuple[Vehicle, Visit]]:
        """Return the visits that are possible; vehicles in trouble are left alone."""
        verified.begin(cursor, ids, AGES)
        proved = verified.proved(cursor, ids)
        fleet = {v.id: v for v in loading.load_vehicles(cursor, ids, free.shards) if _is_fit(v)}
        visits = []
        for vehicle_id in ids:
            vehicle = fleet.get(vehicle_id)
            looks: list[Look] = []
            wait_sec = LATER_SEC
            if vehicle is not None and vehicle.watermark is not None:
                looks, wait_sec = self._looks(vehicle, vehicle.watermark, proved)
            if vehicle is not None and looks:
                visits.append((vehicle, Visit(tuple(looks))))
            else:
                self._plan.postpone(vehicle_id, self._monotonic(), wait_sec)
        return visits

    def _looks(
        self, vehicle: Vehicle, watermark: datetime, proved: verified.Proved
    ) -> tuple[list[Look], float]:
        """Return the looks of a visit, or in how many seconds the first of them is possible."""
        now, oldest = self._monotonic(), self._context.accepted_interval().start
        looks, waits = [], []
        for ended, ages in self._places(vehicle, proved).items():
            at, overlap = min((proved[vehicle.id, age] for age in ages), key=itemgetter(0))
            kept = overlap or self._context.pull_overlap
            length = max(self._plan.length(vehicle.id, age, now) for age in ages)
            window = look_window(watermark, at, oldest, ended, length, kept)
            if window is None:
                waits.append(seconds_to_wait(watermark, at, oldest, ended, kept))
            else:
                *also, oldest_age = ages
                looks.append(Look(window, oldest_age, ended, at, overlap, tuple(also)))
        return looks, min(waits, default=LATER_SEC)

    def _places(self, vehicle: Vehicle, proved: verified.Proved) -> dict[float, list[int]]:
        """Return how old what is due is, each with its ages: pulls that are far apart share one."""
        places = defaultdict[float, list[int]](list)
        for age in AGES:
            if (vehicle.id, age) in proved:
                places[self._plan.pulls_apart(age, vehicle.terms)].append(age)
        due = set(self._plan.ages(vehicle.id))
        return {ended: ages for ended, ages in places.items() if due.intersection(ages)}

    def note_visit(self, vehicle_id: UUID, visit: Visit) -> None:
        """Take in that a visit begins."""
        ages = [age for look in visit.looks for age in (*look.also, look.age_sec)]
        self._plan.begin(vehicle_id, ages, self._monotonic())

    def note_cost(self, vehicle_id: UUID, received: int) -> None:
        """Take in how many bytes a visit, which is over, received."""
        self._plan.note_cost(vehicle_id, received)

    def note_missing(self, vehicle_id: UUID) -> None:
        """Take in that rows of a vehicle were found missing."""
        self._plan.note_missing(vehicle_id, self._monotonic())


def _is_fit(vehicle: Vehicle) -> bool:
    """Tell whether a vehicle is in no trouble, so that what is missing is not just to come."""
    return (
        vehicle.status == Outcome.OK
        and not vehicle.failures
        and not vehicle.paused
        and not vehicle.islands
        and vehicle.pulled_until is None
        and vehicle.other_hint is None
    )
