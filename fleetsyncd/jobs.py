"""What is pulled beside the cycles, as it is stored: backfills, audits, looks at the past."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fleetsyncd.models import Window


@dataclass(frozen=True, slots=True)
class Backfill:
    """A past interval that an operator wants pulled again; everything before `reached` is stored.

    `asked_at` is its version: a later request for the same vehicle carries another one.
    """

    window: Window
    reached: datetime
    asked_at: datetime
    alarms_reached: datetime | None = None
    """Alarms before it are stored; None before the first."""

    @property
    def rest(self) -> Window:
        """The part that is still to be pulled."""
        return Window(self.reached, self.window.end)


@dataclass(frozen=True, slots=True)
class Audit:
    """An interval of which it is to be found out whether all of it is stored.

    `asked_at` is its version, as that of a backfill; everything before `reached` is compared.
    """

    window: Window
    reached: datetime
    asked_at: datetime
    is_repair: bool = False
    """The daemon wants it, since rows were missing, not an operator."""
    report_only: bool = False
    """What is missing is counted, and not stored."""

    @property
    def rest(self) -> Window:
        """The part that is still to be compared."""
        return Window(self.reached, self.window.end)


@dataclass(frozen=True, slots=True)
class Look:
    """A small audit of what is about so old."""

    window: Window
    age_sec: int
    ended_sec: float
    """How old the end of the pull before it is: with an interval of its own, more than the age."""
    verified_to: datetime
    """What earlier looks of this age have proved: up to here nothing was missing."""
    overlap: timedelta | None = None
    """How far each pull goes back, as it was learned; None: not learned yet."""
    also: tuple[int, ...] = ()
    """Other ages at which the same pull had ended: what is proved is proved of them too."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Looks at one vehicle that are due together."""

    looks: tuple[Look, ...]
