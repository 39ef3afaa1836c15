"""The last snapshot, its freshness, and the warnings that follow from it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from fleetsyncd.database.replicas import Heartbeat
from fleetsyncd.database.retention_kinds import Kind
from fleetsyncd.states import State
from fleetsyncd.text import age, sanitise
from fleetsyncd.times import utc_text
from tui.gateway import Snapshot
from tui.model.daemons import Daemons
from tui.model.fleet_view import FleetView
from tui.model.outage import Outage, find_outage

DOCTOR = "`fleetsyncd doctor` looks for the cause"


class WarningKind(Enum):
    """Why the operator must not rely on the screen, or what is going to happen."""

    DATABASE_LOST = 1
    DAEMON_DOWN = 2
    OUTAGE = 3
    FROZEN = 4
    PART_UNREADABLE = 5
    UNSTORED = 6
    DELETION = 7
    DAEMON_MISSING = 8
    NEWER_SCHEMA = 9
    DAEMON_AHEAD = 10


@dataclass(frozen=True, slots=True)
class FleetWarning:
    """A line of the warning bar."""

    kind: WarningKind
    text: str
    short: str = ""
    """A form of it for a single line, if it has one."""

    @property
    def urgent(self) -> bool:
        """Whether the fleet suffers; the others tell what was chosen, or may wait."""
        return self.kind not in _NOT_URGENT


_NOT_URGENT = (
    WarningKind.FROZEN, WarningKind.DELETION, WarningKind.DAEMON_MISSING, WarningKind.DAEMON_AHEAD,
    WarningKind.NEWER_SCHEMA,
)  # fmt: skip


@dataclass
class FleetState:
    """The last snapshot, the failed reads since, and the operator's view of the fleet.

    While the screen is frozen the snapshot stays, and only the heartbeats are replaced. Times that
    are floats are seconds on the monotonic clock.
    """

    where: str
    """The database's address, as messages name it."""
    view: FleetView = field(default_factory=FleetView)
    snapshot: Snapshot | None = None
    read_at: float = 0.0
    heartbeats: Sequence[Heartbeat] = ()
    """Those that were read last, with the snapshot or since."""
    heard_at: float = 0.0
    """When the heartbeats were read."""
    newer_schema: str | None = None
    """That a newer program has migrated the database, in words."""
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
    outage: Outage | None = None
    """Set if a daemon runs and so few vehicles answer it that the network is to blame."""

    def __post_init__(self) -> None:
        """Let the view know whose vehicles it has."""
        self.view.tags = self.tags

    def update(self, snapshot: Snapshot, now: float) -> None:
        """Replace the snapshot after a successful read; only its heartbeats while frozen."""
        self.update_heartbeats(snapshot.heartbeats, now)
        if self.frozen_at is not None and self.snapshot is not None:
            return
        self.snapshot, self.read_at = snapshot, now
        self.view.update(snapshot.vehicles)
        self.counts = Counter([vehicle.state for vehicle in snapshot.vehicles])
        alive = snapshot.alive
        self.outage = find_outage(snapshot.vehicles, alive[0].sync_interval_sec) if alive else None

    def update_heartbeats(self, heartbeats: Sequence[Heartbeat], now: float) -> None:
        """Replace the heartbeats after a successful read."""
        self.heartbeats, self.heard_at = heartbeats, now
        self.error, self.failed_reads = None, 0

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
        alive = any(heartbeat.alive for heartbeat in self.heartbeats)
        return self.lost or self.snapshot is None or not alive

    def follows(self, *, failed: bool = False) -> str:
        """Return whether what follows the present does so, in a word; `failed`: its last read."""
        if self.frozen_at is not None:
            return "frozen"
        return "not live" if self.lost or failed else "live"

    def daemons(self, now: float) -> Daemons:
        """Return what is known of the daemons."""
        return Daemons(self.heartbeats, now - self.heard_at)

    def since_read(self, now: float) -> float:
        """Return the age of the snapshot in seconds, frozen or not."""
        return now - self.read_at

    def warnings(self, now: float, unreadable: Iterable[str] = ()) -> list[FleetWarning]:
        """Return the warnings; `unreadable` holds the errors of parts that could not be read."""
        warnings = []
        if self.error is not None:
            warnings.append(FleetWarning(WarningKind.DATABASE_LOST, self._lost_text(now)))
        else:
            warnings += self._of_daemons(self.daemons(now))
            if self.outage is not None:
                text = _outage_text(self.outage, self.since_read(now))
                warnings.append(FleetWarning(WarningKind.OUTAGE, text))
        if self.frozen_at is not None:
            text = f"❄ frozen at {utc_text(self.frozen_at)}: Z resumes"
            warnings.append(FleetWarning(WarningKind.FROZEN, text))
        if self.error is None:
            for reason in sorted(set(unreadable)):
                text = f"✖ part of this page could not be read: {reason}"
                warnings.append(FleetWarning(WarningKind.PART_UNREADABLE, text))
        if self.newer_schema is not None:
            text = f"! {self.newer_schema}: upgrade it"
            warnings.append(FleetWarning(WarningKind.NEWER_SCHEMA, text))
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

    def _of_daemons(self, daemons: Daemons) -> list[FleetWarning]:
        """Return the warnings about daemons that are dead, or cannot store what they pull."""
        if self.snapshot is None:
            return []
        running, missing, ahead = daemons.running, daemons.missing, daemons.ahead
        if not running and not ahead:
            newest = daemons.newest_age
            last_seen = "" if newest is None else f", last seen {age(newest)} ago"
            text = f"✖ daemon not running{last_seen}: every state below is old"
            return [FleetWarning(WarningKind.DAEMON_DOWN, text)]
        warnings = [
            FleetWarning(WarningKind.UNSTORED, f"✖ daemon {each.name}: {each.unstored}")
            for each in running
            if each.unstored.vehicles
        ]
        if missing:
            text = f"! {_names(missing)} silent for {age(min(map(daemons.age, missing)))}"
            text += f": {len(running)} of {len(running) + len(missing)} daemons run (D)"
            warnings.append(FleetWarning(WarningKind.DAEMON_MISSING, text))
        if ahead:
            text = f"! {_names(ahead)}: heartbeat is {ahead[0].ahead_text}, it may not run (D)"
            warnings.append(FleetWarning(WarningKind.DAEMON_AHEAD, text))
        return warnings

    def _lost_text(self, now: float) -> str:
        lasted, wait = age(now - self.lost_at), age(self.retry_at - now)
        if self.snapshot is not None:
            lost = "the fleet has been unreadable for" if self.refused else "database lost for"
            return f"✖ {lost} {lasted}, retry in {wait}: {self.error}"
        tried = "reading the fleet has failed" if self.refused else "no answer of the database"
        return f"✖ {tried} for {lasted}, retry in {wait}: {self._reason()}; {DOCTOR}"

    def _reason(self) -> str:
        """Return the error, with the database's address."""
        error = self.error or ""
        return error if self.where in error else f"{self.where}: {error}"


def _names(daemons: Sequence[Heartbeat]) -> str:
    first = f"daemon {daemons[0].name}"
    return first if len(daemons) == 1 else f"{first} and {len(daemons) - 1} more"


def _outage_text(outage: Outage, since_read: float) -> str:
    if outage.age is None:
        return "✖ no vehicle answers: check the VPN"
    when = age(outage.age + since_read)
    together = f"{outage.silent} of {outage.asked} vehicles that answered fell silent together"
    return f"✖ {together} {when} ago: check the VPN"
