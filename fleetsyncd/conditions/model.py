"""What is known of conditions: the facts at one moment, what is the case, what is remembered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from fleetsyncd.notices import NoticeKind, Subject, Weight
from fleetsyncd.states import LATE_AFTER_INTERVALS, State, VehicleOverview

ANSWERING = (State.ONLINE, State.CATCHING_UP, State.LATE)
FLAP_TIME = timedelta(hours=1)
DISK = "disk"
"""The subject of the condition that the database's disk will be full."""

Key = tuple[NoticeKind, str]
"""A condition's kind, and what it is of: a vehicle's id, a daemon's name, or nothing."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When operators want to be told."""

    after: timedelta
    """How long a vehicle has had no good cycle."""
    repeat: timedelta | None = None
    """When they are reminded; None: never."""

    def after_sec(self, vehicle: VehicleOverview) -> float:
        """Return the seconds for this vehicle, which must have missed some cycles at least."""
        least = LATE_AFTER_INTERVALS * (vehicle.own_interval_sec or 0.0)
        return max(self.after.total_seconds(), least)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon's last heartbeat; seconds."""

    name: str
    host: str
    silent_sec: float
    running_sec: float
    is_named: bool = False
    """Whether it was given its name, which its successor has too."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says at one moment."""

    now: datetime
    fleet: Sequence[VehicleOverview]
    muted: Collection[UUID] = ()
    skews: Mapping[UUID, float] = field(default_factory=dict)
    """By how many seconds vehicles' clocks are ahead."""
    quarantined: int = 0
    daemons: Sequence[Daemon] = ()
    full_at: datetime | None = None
    """When the database's disk is full at this pace."""
    begun: Mapping[UUID, float] = field(default_factory=dict)
    """For how many seconds vehicles are in the fleet, or resumed."""
    is_settled: bool = True
    """Whether vehicles and daemons have had time to be heard of since this daemon hears them."""
    knows_disk: bool = True
    """Whether this daemon can tell: it is on the database's machine."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is the case."""

    kind: NoticeKind
    subject: str
    severity: Weight
    since: datetime
    title: str
    detail: str = ""
    vehicle: Subject | None = None
    amount: int = 0
    """How much of it there is, of what only grows."""
    vehicles: frozenset[UUID] = frozenset()
    """The vehicles that it is of, if these are several."""

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.kind, self.subject

    def is_muted(self, muted: Collection[UUID]) -> bool:
        """Tell whether all vehicles that it is of are muted."""
        vehicles = self.vehicles if self.vehicle is None else {self.vehicle.id}
        return bool(vehicles) and all(each in muted for each in vehicles)


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a condition; see the table `fleetsync.condition`."""

    kind: NoticeKind
    subject: str
    since: datetime
    vehicle_id: UUID | None = None
    vehicle_name: str | None = None
    told_at: datetime | None = None
    ended_at: datetime | None = None
    amount: int = 0
    begun: tuple[datetime, ...] = ()
    flap_told_at: datetime | None = None

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.kind, self.subject

    def recent(self, now: datetime) -> tuple[datetime, ...]:
        """Return when it has begun within the last hour."""
        return tuple(at for at in self.begun if at > now - FLAP_TIME)


def subject_of(vehicle: VehicleOverview) -> Subject:
    """Return a vehicle as the subject of notices."""
    return Subject(vehicle.id, vehicle.name, vehicle.tags)
