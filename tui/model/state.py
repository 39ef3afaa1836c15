"""What the dashboard knows and how fresh it is: plain data that every screen reads."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from fleetsyncd.states import LATE_AFTER_INTERVALS, OUTAGE_FROM, State
from fleetsyncd.text import age, sanitise
from tui.gateway import Snapshot
from tui.model.fleet_view import FleetView

_FAILING = (State.TIMEOUT, State.ERROR)
_NOT_ASKED = (State.PAUSED, State.NEVER)


@dataclass
class FleetState:
    """The last snapshot, what became of the database since, and how the operator looks at it.

    Moments without a date are on the monotonic clock.
    """

    where: str
    view: FleetView = field(default_factory=FleetView)
    snapshot: Snapshot | None = None
    read_at: float = 0.0
    error: str | None = None
    lost_at: float = 0.0
    retry_at: float = 0.0
    refused: bool = False
    """Whether the database was there, and would not have the fleet read."""
    attempts: int = 0
    """Failed attempts to reach the database in a row."""
    frozen_at: datetime | None = None
    read_only: bool = False
    counts: Counter[State] = field(default_factory=Counter)
    """How many vehicles are in each state."""
    outage: bool = False
    """Whether a live daemon gets no answer from anybody: then it is not the vehicles' fault."""

    def take(self, snapshot: Snapshot, now: float) -> None:
        """Take in what was read."""
        self.snapshot, self.read_at = snapshot, now
        self.error, self.attempts = None, 0
        self.view.update(snapshot.vehicles)
        self.counts = Counter([vehicle.state for vehicle in snapshot.vehicles])
        self.outage = _outage(snapshot)

    def lose(self, error: str, now: float, pause: float, *, refused: bool = False) -> None:
        """Note that the database could not be read; what was read before stays."""
        if self.error is None:
            self.lost_at = now
        self.refused = refused
        self.error, self.retry_at = sanitise(error, 200), now + pause
        self.attempts += 1

    @property
    def lost(self) -> bool:
        """Whether the database is out of reach."""
        return self.error is not None

    @property
    def stale(self) -> bool:
        """Whether what is shown may no longer be true."""
        return self.lost or self.snapshot is None or not self.snapshot.alive

    def heartbeat(self, now: float) -> float | None:
        """Return the age of the freshest heartbeat in seconds; None if there never was one."""
        if self.snapshot is None or not self.snapshot.heartbeats:
            return None
        return self.snapshot.heartbeats[0].age + self.since_read(now)

    def since_read(self, now: float) -> float:
        """Return the seconds by which ages have grown since they were read."""
        return 0.0 if self.frozen_at is not None else now - self.read_at

    def warnings(self, now: float) -> list[tuple[str, str]]:
        """Return what the operator must know before believing the rest: (kind, text)."""
        found = []
        if self.error is not None:
            lasted, wait = age(now - self.lost_at), age(self.retry_at - now)
            lost = "the fleet has been unreadable for" if self.refused else "database lost for"
            found.append(("lost", f"✖ {lost} {lasted}, retry in {wait}: {self.error}"))
        elif self.snapshot is not None and not self.snapshot.alive:
            beat = self.heartbeat(now)
            last = "" if beat is None else f", last seen {age(beat)} ago"
            found.append(("dead", f"✖ daemon not running{last}: every state below is old"))
        if self.outage and not self.lost:
            found.append(("outage", "✖ no vehicle answers: check the VPN"))
        if self.frozen_at is not None:
            at = f"{self.frozen_at.astimezone():%H:%M:%S}"
            found.append(("frozen", f"❄ frozen at {at}: Z goes on"))
        return found


def _outage(snapshot: Snapshot) -> bool:
    if not snapshot.alive:
        return False
    long = LATE_AFTER_INTERVALS * snapshot.alive[0].interval
    silent = 0
    for vehicle in snapshot.vehicles:
        if vehicle.state in _NOT_ASKED:
            continue
        answered = vehicle.seen_age is not None and vehicle.seen_age <= long
        if answered or vehicle.state not in _FAILING:
            return False
        silent += 1
    return silent >= OUTAGE_FROM
