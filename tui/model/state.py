"""The last snapshot, its freshness, and the warnings that follow from it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from fleetsyncd.database.retention_kinds import Kind
from fleetsyncd.states import LATE_AFTER_INTERVALS, OUTAGE_FROM, State
from fleetsyncd.text import age, sanitise
from tui.gateway import Snapshot
from tui.model.fleet_view import FleetView

_FAILING = (State.TIMEOUT, State.ERROR)
_NOT_EXPECTED = (State.PAUSED, State.NEVER)
"""States of vehicles from which no answer is expected."""


class WarningKind(Enum):
    """Why the operator must not rely on the screen, or what is going to happen."""

    DATABASE_LOST = 1
    DAEMON_DOWN = 2
    OUTAGE = 3
    FROZEN = 4
    PART_UNREADABLE = 5
    UNSTORED = 6
    DELETION = 7


@dataclass(frozen=True, slots=True)
class FleetWarning:
    """A line of the warning bar."""

    kind: WarningKind
    text: str
    short: str = ""
    """A form of it for a single line, if it has one."""

    @property
    def urgent(self) -> bool:
        """Whether something is wrong; the others follow from what the operator chose."""
        return self.kind not in (WarningKind.FROZEN, WarningKind.DELETION)


@dataclass
class FleetState:
    """The last snapshot, the failed reads since, and the operator's view of the fleet.

    Times that are floats are seconds on the monotonic clock.
    """

    where: str
    """The database's address, as messages name it."""
    view: FleetView = field(default_factory=FleetView)
    snapshot: Snapshot | None = None
    read_at: float = 0.0
    error: str | None = None
    """Why the last read failed; None if it succeeded."""
    lost_at: float = 0.0
    """When the first of the failed reads failed."""
    retry_at: float = 0.0
    refused: bool = False
    """Whether the database answered the last read with an error."""
    failed_reads: int = 0
    """Failed reads in a row."""
    frozen_at: datetime | None = None
    read_only: bool = False
    tags: tuple[str, ...] = ()
    """Only vehicles with one of these tags are read; empty: all."""
    counts: Counter[State] = field(default_factory=Counter)
    """The number of vehicles in each state."""
    outage: bool = False
    """Whether a daemon runs and no vehicle answers it: then the network is to blame."""

    def update(self, snapshot: Snapshot, now: float) -> None:
        """Replace the snapshot after a successful read."""
        self.snapshot, self.read_at = snapshot, now
        self.error, self.failed_reads = None, 0
        self.view.update(snapshot.vehicles)
        self.counts = Counter([vehicle.state for vehicle in snapshot.vehicles])
        self.outage = _is_outage(snapshot)

    def mark_lost(self, error: str, now: float, retry_sec: float, *, refused: bool = False) -> None:
        """Record a failed read; the snapshot stays. The next read is in `retry_sec` seconds."""
        if self.error is None:
            self.lost_at = now
        self.refused = refused
        self.error, self.retry_at = sanitise(error, 200), now + retry_sec
        self.failed_reads += 1

    @property
    def lost(self) -> bool:
        """Whether the last read failed."""
        return self.error is not None

    @property
    def stale(self) -> bool:
        """Whether the vehicles' states may be out of date."""
        return self.lost or self.snapshot is None or not self.snapshot.alive

    def heartbeat_age(self, now: float) -> float | None:
        """Return the age of the newest heartbeat in seconds; None without any heartbeat."""
        if self.snapshot is None or not self.snapshot.heartbeats:
            return None
        return self.snapshot.heartbeats[0].age + self.since_read(now)

    def since_read(self, now: float) -> float:
        """Return the seconds since the last successful read; 0 while the screen is frozen."""
        return 0.0 if self.frozen_at is not None else now - self.read_at

    def warnings(self, now: float, unreadable: Iterable[str] = ()) -> list[FleetWarning]:
        """Return the warnings; `unreadable` holds the errors of parts that could not be read."""
        warnings = []
        if self.error is not None:
            warnings.append(FleetWarning(WarningKind.DATABASE_LOST, self._lost_text(now)))
        else:
            if self.snapshot is not None and not self.snapshot.alive:
                warnings.append(FleetWarning(WarningKind.DAEMON_DOWN, self._daemon_text(now)))
            warnings += self._unstored()
            if self.outage:
                text = "✖ no vehicle answers: check the VPN"
                warnings.append(FleetWarning(WarningKind.OUTAGE, text))
        if self.frozen_at is not None:
            text = f"❄ frozen at {self.frozen_at.astimezone():%H:%M:%S}: Z resumes"
            warnings.append(FleetWarning(WarningKind.FROZEN, text))
        if self.error is None:
            for reason in sorted(set(unreadable)):
                text = f"✖ part of this page could not be read: {reason}"
                warnings.append(FleetWarning(WarningKind.PART_UNREADABLE, text))
        return [*warnings, *self._deletions(now)]

    def _deletions(self, now: float) -> list[FleetWarning]:
        """Return a notice for each announcement of retention, the measurements first."""
        announced = () if self.snapshot is None else self.snapshot.announcements
        notices = []
        for each in sorted(announced, key=lambda it: it.extent.kind is not Kind.MEASUREMENTS):
            left = each.due_in - self.since_read(now)
            when = f"in {age(left)}" if left > 0 else "now"
            text = f"! {when} {each.setting} deletes {each.extent}: `fleetsyncd retention`"
            extent = f"{each.extent.short_amount}, {each.extent.size_text}"
            short = f"! retention deletes {extent}, {when}"
            notices.append(FleetWarning(WarningKind.DELETION, text, short))
        return notices

    def _unstored(self) -> list[FleetWarning]:
        """Return a warning for each running daemon that cannot store what it pulls."""
        alive = () if self.snapshot is None else self.snapshot.alive
        return [
            FleetWarning(WarningKind.UNSTORED, f"✖ daemon {each.name}: {each.unstored}")
            for each in alive
            if each.unstored.vehicles
        ]

    def _lost_text(self, now: float) -> str:
        lost = "the fleet has been unreadable for" if self.refused else "database lost for"
        lasted, wait = age(now - self.lost_at), age(self.retry_at - now)
        return f"✖ {lost} {lasted}, retry in {wait}: {self.error}"

    def _daemon_text(self, now: float) -> str:
        seconds = self.heartbeat_age(now)
        last_seen = "" if seconds is None else f", last seen {age(seconds)} ago"
        return f"✖ daemon not running{last_seen}: every state below is old"


def _is_outage(snapshot: Snapshot) -> bool:
    if not snapshot.alive:
        return False
    silent_after = LATE_AFTER_INTERVALS * snapshot.alive[0].sync_interval_sec
    silent = 0
    for vehicle in snapshot.vehicles:
        if vehicle.state in _NOT_EXPECTED:
            continue
        answered = vehicle.seen_age is not None and vehicle.seen_age <= silent_after
        if answered or vehicle.state not in _FAILING:
            return False
        silent += 1
    return silent >= OUTAGE_FROM
