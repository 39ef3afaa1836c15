"""What the daemon's main loop tells whoever listens: metrics, the service manager."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetsyncd.models import CycleReport, JournalRow, Vehicle


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """The daemon begins its work."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The main loop has gone round once more."""


@dataclass(frozen=True, slots=True)
class CycleStarted:
    """A cycle begins with these vehicles, paused ones included."""

    vehicles: Sequence[Vehicle]
    shards: int = 0
    """How many shards of the fleet are this daemon's."""


@dataclass(frozen=True, slots=True)
class VehicleCycleEnded:
    """A vehicle's cycle has ended."""

    report: CycleReport


@dataclass(frozen=True, slots=True)
class BackfillEnded:
    """An attempt at a vehicle's backfill has ended."""

    row: JournalRow


@dataclass(frozen=True, slots=True)
class CycleEnded:
    """The fleet's cycle is over after so many seconds; `unfinished` vehicles are still at it."""

    ok: int
    failed: int
    unfinished: int
    seconds: float


@dataclass(frozen=True, slots=True)
class DatabaseDown:
    """PostgreSQL cannot be reached, and pulling stops."""


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
    | BackfillEnded
    | CycleEnded
    | DatabaseDown
    | DatabaseUp
    | DaemonStopping
)
Listener = Callable[[Event], None]


def ignore_event(_event: Event) -> None:
    """Listen to nothing."""


def broadcast(*listeners: Listener) -> Listener:
    """Return one listener that tells all of them."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
