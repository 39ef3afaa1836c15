"""Keeps the minute aggregates of this daemon's vehicles, beside the cycles.

What is live comes first; what is due gets a tenth of the time of one connection. Every transaction
is short, and sized by how long the last one took. It can be stopped after each.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from fleetsyncd.database import due_minutes, minutes, replicas
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.grants import DOOR
from fleetsyncd.database.views.minutes import MinutesProgress, minutes_progress
from fleetsyncd.errors import DatabaseError, DatabaseUnavailable
from fleetsyncd.monitoring import events
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.text import age

log = logging.getLogger("sync.minutes")

ROUND_SEC = 15.0
"""From the begin of a round to that of the next one."""
DUE_SEC = 10.0
"""How long a round works off what is due."""
PAUSE_SEC = 0.05
"""After a transaction, so that cycles come first."""
DUE_SHARE = 0.1
"""Of the time, for what is due."""
TARGET_SEC = 0.25
"""How long a transaction should take: a vehicle's cycle waits for it."""
MOST_VEHICLES, FEW_VEHICLES = 200, 20
"""In one transaction, at most, and of which it computes the longest time."""
MOST_FAILURES = 3
"""If more vehicles fail in a round, it is not the vehicles: the round ends."""
TOLD_SEC = 3600.0
"""That minutes are late is told again after so long."""
OFF_SEC = 3600.0
"""While no minutes are kept, how often what is due is merged."""


class MinuteKeeper:
    """Computes minutes in rounds; `spawn` starts one beside the main loop.

    `keep_months` is MINUTES_KEEP_MONTHS; None: nothing is computed. `shards` returns those of this
    daemon.
    """

    def __init__(
        self,
        database: Database,
        keep_months: int | None,
        *,
        shards: Callable[[], Collection[int] | None],
        now: Callable[[], datetime],
        spawn: Callable[[Callable[[], None]], object],
        on_database_error: Callable[[DatabaseError], None],
        emit: events.Listener = events.ignore_event,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._keep_months = keep_months
        self._shards = shards
        self._now = now
        every_sec = OFF_SEC if keep_months is None else ROUND_SEC
        self._rounds = Rounds(
            self._do_steps,
            every_sec,
            spawn,
            on_database_error,
            name="the computing of minutes",
            log=log,
        )
        self._emit = emit
        self._clock = clock
        self._sleep = sleep
        self._vehicles = 10
        """How many vehicles a transaction computes."""
        self._bite = minutes.EVERY
        """How much of what is due of a vehicle it computes."""
        self._told_at: float | None = None
        self._waits_for: Sequence[str] = ()
        self._failures = 0
        """Vehicles whose minutes could not be computed in this round."""
        self.accepting = True
        """Whether steps are started and continued."""

    def run_if_due(self, monotonic: float) -> None:
        """Start a round, if it is time and the last one is over."""
        if self.accepting and self._rounds.is_due(monotonic):
            self._rounds.start(monotonic)

    def _do_steps(self) -> None:
        for pause in self.steps():
            if not self.accepting or self._database.is_crowded:
                return
            self._sleep(pause)

    def steps(self) -> Iterator[float]:
        """Do a round, a transaction a step; yield how long to pause after each.

        Raises DatabaseError.
        """
        self._failures = 0
        shards = self._shards()
        for vehicle_id in self._database.run(partial(due_minutes.crowded_vehicles, shards=shards)):
            self._database.run(partial(due_minutes.merge_due, vehicle_id=vehicle_id))
            yield PAUSE_SEC
        if self._keep_months is None or self._must_wait():
            return
        limit = minutes.oldest_kept(self._now(), self._keep_months)
        self._database.run(partial(minutes.begin, limit=limit, shards=shards))
        yield PAUSE_SEC
        yield from self._live(shards)
        self._tell(self._database.run(partial(minutes_progress, shards=shards)))
        yield from self._due(shards)

    def _must_wait(self) -> bool:
        """Tell whether a daemon runs that adds rows without making their minutes due."""
        hosts = self._database.run(lambda cursor: replicas.older_daemons(cursor, DOOR))
        if hosts and hosts != self._waits_for:
            log.warning(
                "no minutes are computed while a daemon of an older version runs on %s: upgrade it",
                ", ".join(hosts),
            )
        self._waits_for = hosts
        return bool(hosts)

    def _live(self, shards: Collection[int] | None) -> Iterator[float]:
        """Follow the watermarks; vehicles to which somebody writes are left for the next round."""
        ids = self._database.run(partial(minutes.waiting, shards=shards))
        while ids:
            batch, ids = ids[: self._vehicles], ids[self._vehicles :]
            # After a pause of the whole fleet there is more than the last batches have told.
            bite = minutes.LONGEST_BITE if len(batch) <= FEW_VEHICLES else minutes.EVERY
            began = self._clock()
            try:
                self._database.run(partial(minutes.keep, ids=batch, bite=bite))
            except DatabaseUnavailable:
                raise
            except DatabaseError as error:
                if len(batch) > 1:
                    ids = [*batch, *ids]
                elif self._failures < MOST_FAILURES:
                    self._tell_failure(batch[0], error)
                else:
                    raise
                self._vehicles = max(1, len(batch) // 2)
            else:
                factor = _factor(self._clock() - began)
                self._vehicles = min(MOST_VEHICLES, max(1, round(self._vehicles * factor)))
            yield PAUSE_SEC

    def _due(self, shards: Collection[int] | None) -> Iterator[float]:
        """Work off what is due as long as a round lasts: a part of each vehicle, in turns."""
        ends = self._clock() + DUE_SEC
        failed: set[UUID] = set()
        has_got_on = True
        while has_got_on:
            has_got_on = False
            most = MOST_VEHICLES + len(failed)
            look = partial(due_minutes.due_vehicles, most=most, shards=shards)
            for vehicle_id in self._database.run(look):
                if vehicle_id in failed:
                    continue
                began = self._clock()
                if began >= ends:
                    return
                if self._work_off(vehicle_id, failed):
                    has_got_on = True
                    yield self._pause_after(self._clock() - began)

    def _work_off(self, vehicle_id: UUID, failed: set[UUID]) -> bool:
        """Work off a part of a vehicle; tell whether there was one, and nobody writes just now.

        One of which that fails keeps no other from it; it becomes one of the `failed`.
        """
        work = partial(due_minutes.work_off, vehicle_id=vehicle_id, bite=self._bite)
        try:
            return self._database.run(work) is not None
        except DatabaseUnavailable:
            raise
        except DatabaseError as error:
            if self._failures >= MOST_FAILURES:
                raise
            self._tell_failure(vehicle_id, error)
            failed.add(vehicle_id)
            self._bite = max(minutes.MINUTE, self._bite / 2)
            return False

    def _pause_after(self, took: float) -> float:
        """Return how long to pause after a part that took so long, and size the next one."""
        self._bite = min(minutes.LONGEST_BITE, max(minutes.MINUTE, self._bite * _factor(took)))
        return max(PAUSE_SEC, took * (1 / DUE_SHARE - 1))

    def _tell_failure(self, vehicle_id: UUID, error: DatabaseError) -> None:
        self._failures += 1
        text = "the minutes of vehicle %s could not be computed, the next round tries again: %s"
        log.warning(text, vehicle_id, error)

    def _tell(self, progress: MinutesProgress) -> None:
        """Tell how far the minutes are; that they are late once an hour in the log."""
        self._emit(events.MinutesKept(progress.behind.total_seconds(), progress.due_vehicles))
        if not progress.is_late:
            self._told_at = None
        elif self._told_at is None or self._clock() >= self._told_at + TOLD_SEC:
            self._told_at = self._clock()
            log.warning(
                "minutes are %s behind the measurements: plots read the rows themselves",
                age(progress.behind.total_seconds()),
            )


def _factor(seconds: float) -> float:
    """Return by how much larger the next transaction may be than one that took so long."""
    return min(2.0, max(0.5, TARGET_SEC / max(seconds, 0.001)))
