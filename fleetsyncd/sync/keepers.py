"""What runs beside the cycles: housekeeping, minutes, the count of traffic, notices."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import gevent

from fleetsyncd.database.retention import Retention
from fleetsyncd.database.tidying import Tidying
from fleetsyncd.errors import DatabaseError
from fleetsyncd.monitoring import events
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.dispatcher import KILL_SEC
from fleetsyncd.sync.housekeeping import Chore, Housekeeping
from fleetsyncd.sync.intake_watch import IntakeWatch
from fleetsyncd.sync.minutes import MinuteKeeper
from fleetsyncd.sync.notifier import Notices, Notifier
from fleetsyncd.sync.tidier import Tidier
from fleetsyncd.sync.traffic import TrafficKeeper


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings want of the keepers."""

    retention: Retention
    tidying: Tidying | None = None
    chores: Sequence[Chore] = ()
    notices: Notices | None = None


class Keepers:
    """Starts the rounds of each of them as they are due; each runs in a greenlet of its own."""

    def __init__(
        self,
        context: SyncContext,
        wanted: Wanted,
        *,
        sync_interval_sec: float,
        minutes_keep_months: int | None,
        replica_id: UUID,
        shards: Callable[[], Collection[int] | None],
        fills_past: Callable[[], bool],
        emit: events.Listener,
        on_database_error: Callable[[DatabaseError], None],
    ) -> None:
        self._notifier: Notifier | None = None
        if wanted.notices is not None:
            self._notifier = Notifier(
                context.database,
                wanted.notices,
                sync_interval_sec=sync_interval_sec,
                now=context.now,
                spawn=gevent.spawn,
                on_database_error=on_database_error,
            )
            emit = events.broadcast(emit, self._notifier.listen)
        self.emit = emit
        """Tells what happens to the listener, and to the notices."""
        tidier = Tidier(
            wanted.tidying or Tidying(context.database, None),
            context.now,
            gevent.spawn,
            emit,
            lambda: fills_past() or context.database.is_crowded,
        )
        self._housekeeping = Housekeeping(
            wanted.retention,
            context.now,
            gevent.spawn,
            on_database_error,
            IntakeWatch(context.database, context.now).check,
            tidier,
            wanted.chores,
        )
        self._minutes = MinuteKeeper(
            context.database,
            minutes_keep_months,
            shards=shards,
            now=context.now,
            spawn=gevent.spawn,
            on_database_error=on_database_error,
            emit=emit,
        )
        self._traffic = TrafficKeeper(
            context.database, context.traffic, replica_id, gevent.spawn, on_database_error
        )

    def run_if_due(self, monotonic: float) -> None:
        """Start what is due."""
        self._housekeeping.run_if_due(monotonic)
        self._minutes.run_if_due(monotonic)
        self._traffic.run_if_due(monotonic)
        if self._notifier is not None:
            self._notifier.run_if_due(monotonic)

    def begin_nothing(self) -> None:
        """Begin no round, but for the count of traffic."""
        self._housekeeping.accepting = self._minutes.accepting = False
        if self._notifier is not None:
            self._notifier.accepting = False

    def interrupt(self, lost: DatabaseError | None) -> None:
        """End what may end before the vehicles do; `lost`: there is no database."""
        self._housekeeping.accepting = self._minutes.accepting = False
        if lost is None:
            gevent.with_timeout(KILL_SEC, self._housekeeping.stop, timeout_value=None)

    def end(self, lost: DatabaseError | None) -> None:
        """End the rest when no vehicle is pulled any more, and tell what could not be stored."""
        if self._notifier is not None:
            self._notifier.stop(KILL_SEC)
        if lost is None:
            self._housekeeping.wait(KILL_SEC)
            gevent.with_timeout(KILL_SEC, self._traffic.end, KILL_SEC / 2, timeout_value=None)
        self._traffic.tell_loss(lost)
