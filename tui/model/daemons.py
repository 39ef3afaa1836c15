"""The daemons at one moment: which run, which are late, which have died without a successor."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleetsyncd.database.replicas import FRESH_SEC, HEARTBEAT_SEC, Heartbeat

LATE_SEC = 3 * HEARTBEAT_SEC
"""At this age of a heartbeat, the two that should have followed it are missing."""


@dataclass(frozen=True, slots=True)
class Daemons:
    """The heartbeats as they were read `since_read` seconds ago, the freshest first."""

    heartbeats: Sequence[Heartbeat]
    since_read: float

    def age(self, heartbeat: Heartbeat) -> float:
        """Return the age of a heartbeat at this moment, in seconds."""
        return heartbeat.age + self.since_read

    @property
    def newest_age(self) -> float | None:
        """The age of the newest heartbeat that is not ahead, in seconds; None without any."""
        past = (each for each in self.heartbeats if not each.is_ahead)
        return min(map(self.age, past), default=None)

    @property
    def running(self) -> list[Heartbeat]:
        """The daemons whose heartbeats are fresh."""
        return [each for each in self.heartbeats if each.alive and self.age(each) < FRESH_SEC]

    @property
    def ahead(self) -> list[Heartbeat]:
        """The daemons whose heartbeats are ahead of the database's clock, which was set back.

        One that runs writes its heartbeat anew. One that ended has none that says when, unless one
        of its name runs, or of its host if it was given no name: then nothing is to be said.
        """
        running = self.running
        return [
            each
            for each in self.heartbeats
            if each.is_ahead
            and not any(
                other.name == each.name or (each.given_name is None and other.host == each.host)
                for other in running
            )
        ]

    @property
    def late_age(self) -> float | None:
        """The age of the oldest fresh heartbeat that is late, in seconds; None if none is."""
        ages = [self.age(each) for each in self.running]
        return max((seconds for seconds in ages if seconds >= LATE_SEC), default=None)

    @property
    def missing(self) -> list[Heartbeat]:
        """The daemons that died, and that no other one has replaced by starting afterwards.

        A daemon replaces one other at most: the last that died before its start, one of its own
        host first. One that was given a name is replaced by one of that name only. A daemon that
        ends in good order leaves no heartbeat behind.
        """
        dead = [each for each in self.heartbeats if self.age(each) >= FRESH_SEC]
        for successor in sorted(self.heartbeats, key=lambda it: it.running_sec, reverse=True):
            before = [
                each
                for each in dead
                if each is not successor
                and each.age > successor.running_sec
                and each.given_name in (None, successor.given_name)
            ]
            if before:
                same = [each for each in before if each.name == successor.name]
                own = [each for each in before if each.host == successor.host]
                dead.remove(min(same or own or before, key=lambda it: it.age))
        return dead
