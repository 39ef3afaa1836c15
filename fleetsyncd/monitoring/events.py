"""What the daemon's main loop tells whoever listens: metrics, the service manager."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleetsyncd.models import CycleReport, JournalRow, Vehicle


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon begins its work."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The main loop has gone round once more."""


@dataclass(frozen=True, slots=True)
class FleetRead:
    """A cycle begins with these vehicles, paused ones included."""

    vehicles: Sequence[Vehicle]
    shards: int = 0
    """How many shards of the fleet are this daemon's."""


@dataclass(frozen=True, slots=True)
class Reported:
    """A vehicle's cycle has ended."""

    report: CycleReport


@dataclass(frozen=True, slots=True)
class Backfilled:
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
class DatabaseGone:
    """PostgreSQL cannot be reached, and pulling stops."""


@dataclass(frozen=True, slots=True)
class DatabaseBack:
    """PostgreSQL is back."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon is about to end."""


Event = (
    Started
    | Alive
    | FleetRead
    | Reported
    | Backfilled
    | CycleEnded
    | DatabaseGone
    | DatabaseBack
    | Stopping
)
Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Listen to nothing."""


def to_all(*listeners: Listener) -> Listener:
    """Return one listener that tells all of them."""

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
