"""Which audits and looks are to be started now."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from fleetsyncd.database import audits, repairs, store, verified
from fleetsyncd.database.pool import Cursor
from fleetsyncd.models import Audit, Look, Vehicle
from fleetsyncd.reports import Outcome
from fleetsyncd.sync.audit_plan import AGES, AuditPlan, Turn, look_window, seconds_to_wait
from fleetsyncd.sync.context import SyncContext

LOOK_SHARE = 2
"""One of so many free slots may be taken for looks, at most."""
AuditJob = tuple[Vehicle, Audit | Look]


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

    def due_audits(self, free: Free, cursor: Cursor) -> list[AuditJob]:
        """Return the open audits that may begin; the vehicles of a look are not among them."""
        if not self._plan.is_off:
            repairs.repair_suspects(cursor, free.excluded, free.slots, free.shards)
        due = audits.open_audits(cursor, free.excluded, free.slots, free.shards)
        vehicles = store.load_vehicles(cursor, due.keys()) if due else []
        return [(vehicle, due[vehicle.id]) for vehicle in vehicles]

    def turns(self, free: Free) -> list[Turn]:
        """Return whose turn it is to be looked at; without asking the database."""
        limit = -(-free.slots // LOOK_SHARE)
        return self._plan.due(self._monotonic(), free.excluded, limit)

    def due_looks(self, turns: Sequence[Turn], free: Free, cursor: Cursor) -> list[AuditJob]:
        """Return the looks that are possible; vehicles in trouble are left alone."""
        ids = [vehicle_id for vehicle_id, _age in turns]
        verified.begin(cursor, ids, AGES)
        proved = verified.proved(cursor, ids)
        fleet = {v.id: v for v in store.load_vehicles(cursor, ids, free.shards) if _is_fit(v)}
        now, oldest = self._monotonic(), self._context.accepted_interval().start
        jobs: list[AuditJob] = []
        for turn in turns:
            vehicle = fleet.get(turn[0])
            if vehicle is None or vehicle.watermark is None or turn not in proved:
                self._plan.postpone(turn, now)
                continue
            at, overlap = proved[turn]
            kept = overlap or self._context.pull_overlap
            length = self._plan.length(turn, now)
            window = look_window(vehicle.watermark, at, oldest, turn[1], length, kept)
            if window is None:
                wait = seconds_to_wait(vehicle.watermark, at, oldest, turn[1], kept)
                self._plan.postpone(turn, now, wait)
                continue
            jobs.append((vehicle, Look(window, turn[1], at, overlap)))
        return jobs

    def note_look(self, vehicle_id: UUID, look: Look) -> None:
        """Take in that a look begins."""
        self._plan.begin((vehicle_id, look.age_sec), self._monotonic())


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
