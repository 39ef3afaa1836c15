"""The events of the main loop, for its listeners: metrics, systemd, watchdog."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleetsyncd.models import Vehicle
from fleetsyncd.notices import NoticeKind
from fleetsyncd.reports import AttemptReport, CycleReport


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """The daemon begins its work."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The main loop has made progress."""


@dataclass(frozen=True, slots=True)
class CycleStarted:
    """A cycle of the fleet begins; `vehicles` are all of this daemon's, paused ones included."""

    vehicles: Sequence[Vehicle]
    shards: int = 0
    """How many shards of the fleet this daemon pulls."""


@dataclass(frozen=True, slots=True)
class VehicleCycleEnded:
    """A vehicle's cycle has ended."""

    report: CycleReport


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt at a vehicle's gap, backfill or audit has ended."""

    report: AttemptReport


@dataclass(frozen=True, slots=True)
class CycleEnded:
    """The fleet's cycle is over after so many seconds; `unfinished` vehicles are still busy.

    `resting` ones are silent for long, and were not asked.
    """

    ok: int
    failed: int
    unfinished: int
    seconds: float
    resting: int = 0
    unstored: int = 0
    """Vehicles whose last cycle the database could not store."""


@dataclass(frozen=True, slots=True)
class MonthTidied:
    """A closed month was tidied, and takes so many bytes less."""

    saved_bytes: int


@dataclass(frozen=True, slots=True)
class MinutesKept:
    """The minute aggregates have followed the measurements."""

    behind_sec: float
    """Of the vehicle that is furthest behind."""
    due_vehicles: int
    """Vehicles with minutes to be computed, of history or because rows came late."""


@dataclass(frozen=True, slots=True)
class NoticesEnded:
    """A target has got notices, or they were given up."""

    kinds: Mapping[NoticeKind, int]
    is_sent: bool


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A target has not taken a message."""


@dataclass(frozen=True, slots=True)
class NoticesWait:
    """So many notices of each kind wait for a target, and so many targets fail."""

    kinds: Mapping[NoticeKind, int]
    failing_targets: int


@dataclass(frozen=True, slots=True)
class DatabaseDown:
    """PostgreSQL cannot serve the daemon, and pulling stops."""


@dataclass(frozen=True, slots=True)
class DatabaseUp:
    """PostgreSQL is back."""


@dataclass(frozen=True, slots=True)
class DaemonStopping:
    """The daemon is about to end."""


Event = (
    DaemonStarted
    | Alive
    | CycleStarted
    | VehicleCycleEnded
    | AttemptEnded
    | CycleEnded
    | MonthTidied
    | MinutesKept
    | NoticesEnded
    | MessageRefused
    | NoticesWait
    | DatabaseDown
    | DatabaseUp
    | DaemonStopping
)
Listener = Callable[[Event], None]


def ignore_event(_event: Event) -> None:
    """Listen to no event."""


def broadcast(*listeners: Listener) -> Listener:
    """Return a listener that passes every event on to all of these."""

    def emit(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return emit
