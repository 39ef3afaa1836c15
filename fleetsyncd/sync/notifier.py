"""Tells operators what is the case: judges the fleet, and sends what waits, in rounds.

Beside the main loop, in lanes of its own: a target that hangs delays no vehicle, and no other
target for longer than one message takes.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.conditions.model import Terms
from fleetsyncd.conditions.present import FULL_WITHIN
from fleetsyncd.database import conditions, notices
from fleetsyncd.database.conditions import View
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.storage import Keep, storage
from fleetsyncd.errors import DatabaseError
from fleetsyncd.monitoring import events
from fleetsyncd.sync.full_disk import FULL_DISK, FullDisk
from fleetsyncd.sync.loss_notices import LossNotices
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.rounds import Rounds

log = logging.getLogger("sync.notify")

JUDGED_SEC, SENT_SEC = 10.0, 5.0
"""From the begin of a round to that of the next one."""
DISK_SEC = 3600.0
"""How often it is computed when the disk is full."""
BACKLOG_SEC = 30.0
"""How often what waits is counted for the metrics."""
SETTLE_SEC = 40.0
"""For so long after a start, at least, nobody is said to be silent."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Who is told, and when.

    `keep` is how long notices are kept, None for ever; `kept` how long rows are.
    """

    sender: NoticeSender
    terms: Terms
    keep: timedelta | None
    kept: Keep
    daemon: str = ""
    """The name of the daemon that judges."""


class Notifier:
    """Runs the judging and the sending in rounds; `spawn` starts them beside the main loop."""

    def __init__(
        self,
        database: Database,
        wanted: Notices,
        *,
        sync_interval_sec: float,
        now: Callable[[], datetime],
        spawn: Callable[[Callable[[], None]], object],
        on_database_error: Callable[[DatabaseError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sender = wanted.sender
        self._terms = wanted.terms
        self._sync_interval_sec = sync_interval_sec
        self._keep = wanted.keep
        self._kept = wanted.kept
        self._now = now
        self._clock = clock
        self._judging = Rounds(
            self._judge, JUDGED_SEC, spawn, on_database_error, name="the judging", log=log
        )
        self._sending = Rounds(
            self._send, SENT_SEC, spawn, on_database_error, name="the sending", log=log
        )
        self._disk_at = self._counted_at = float("-inf")
        self._knows_disk = False
        self._full_at: datetime | None = None
        self._settles_at = clock() + self._settle_sec
        tells = partial(
            LossNotices,
            wanted.sender,
            where=database.where,
            daemon=wanted.daemon,
            spawn=spawn,
            clock=clock,
        )
        self._losses, self._disk_losses = tells(), tells(loss=FULL_DISK)
        self._disk = FullDisk(database, self._disk_losses, clock)
        self.accepting = True
        """Whether rounds are started."""

    @property
    def _settle_sec(self) -> float:
        """How long everybody has to be heard of after a start, or after PostgreSQL was away."""
        return max(SETTLE_SEC, 3 * self._sync_interval_sec)

    def run_if_due(self, monotonic: float) -> None:
        """Start a round of each, if it is time and the last one is over."""
        for rounds in (self._judging, self._sending):
            if self.accepting and rounds.is_due(monotonic):
                rounds.start(monotonic)

    def stop(self, seconds: float) -> None:
        """Start nothing more; give what runs so long: a message is else sent twice."""
        self.accepting = False
        ends = self._clock() + seconds
        for rounds in (self._judging, self._sending):
            rounds.wait(max(0.0, ends - self._clock()))

    def listen(self, event: events.Event) -> None:
        """Tell that PostgreSQL is lost, and that it is back; judge nobody just after that."""
        self._losses.listen(event)
        if isinstance(event, events.Alive):
            self._disk_losses.start_if_due()
        if isinstance(event, events.DatabaseUp):
            self._settles_at = self._clock() + self._settle_sec

    def _judge(self) -> None:
        self._disk.run(self._judge_fleet)

    def _send(self) -> None:
        if not self._disk.is_full:
            self._disk.run(self._send_waiting)

    def _judge_fleet(self) -> None:
        if self._clock() >= self._disk_at + DISK_SEC:
            self._disk_at = self._clock()
            self._look_at_disk()
        view = View(
            self._sync_interval_sec,
            every=timedelta(seconds=JUDGED_SEC - 1),
            is_settled=self._clock() >= self._settles_at,
            knows_disk=self._knows_disk,
            full_at=self._full_at,
        )
        self._database.run(partial(conditions.judge_fleet, terms=self._terms, view=view))
        if self._keep is not None:
            self._database.run(partial(notices.expire, keep=self._keep))

    def _look_at_disk(self) -> None:
        found = self._database.run(storage)
        room = found.free_bytes
        left = None if room is None else found.full_in(room, self._kept)
        self._knows_disk = room is not None
        is_soon = left is not None and left <= FULL_WITHIN
        self._full_at = self._now() + left if left is not None and is_soon else None

    def _send_waiting(self) -> None:
        self._sender.note_targets()
        self._sender.send_all()
        if self._clock() >= self._counted_at + BACKLOG_SEC:
            self._counted_at = self._clock()
            self._sender.tell_backlog()
