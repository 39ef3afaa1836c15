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
from fleetsyncd.database.views.storage import storage
from fleetsyncd.errors import DatabaseError
from fleetsyncd.monitoring import events
from fleetsyncd.notices import Notice, NoticeKind, Weight
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.text import age

log = logging.getLogger("sync.notify")

JUDGED_SEC, SENT_SEC = 10.0, 5.0
"""From the begin of a round to that of the next one."""
DISK_SEC = 3600.0
"""How often it is computed when the disk is full."""
BACKLOG_SEC = 30.0
"""How often what waits is counted for the metrics."""
LOST_SEC = 120.0
"""PostgreSQL is away for so long before that is told; to whom did not take it, again."""
SETTLE_SEC = 40.0
"""For so long after a start, at least, nobody is said to be silent."""


@dataclass(frozen=True, slots=True)
class Notices:
    """Who is told, and when.

    `keep` is how long notices are kept, None for ever; `keep_months` MEASUREMENTS_KEEP_MONTHS.
    """

    sender: NoticeSender
    terms: Terms
    keep: timedelta | None
    keep_months: int | None
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
        self._keep_months = wanted.keep_months
        self._daemon = wanted.daemon
        self._now = now
        self._spawn = spawn
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
        self._lost_at: float | None = None
        self._lost_due = 0.0
        """When it is told, or told again, that PostgreSQL is lost."""
        self._is_lost_told = False
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
        """Tell that PostgreSQL is lost, and that it is back: from memory, as there is no outbox."""
        match event:
            case events.DatabaseDown():
                self._lost_at = self._clock()
                self._lost_due = self._lost_at + LOST_SEC
            case events.Alive() if self._lost_at is not None and self._clock() >= self._lost_due:
                self._lost_due = self._clock() + LOST_SEC
                if not self._is_lost_told:
                    lasted = age(self._clock() - self._lost_at)
                    self._spawn(partial(self._tell_loss, f"PostgreSQL is lost since {lasted}"))
            case events.DatabaseUp():
                self._settles_at = self._clock() + self._settle_sec
                if self._is_lost_told and self._lost_at is not None:
                    lasted = age(self._clock() - self._lost_at)
                    self._spawn(partial(self._tell_return, f"PostgreSQL is back, after {lasted}"))
                self._lost_at, self._is_lost_told = None, False

    def _tell_loss(self, title: str) -> None:
        """Tell of the loss, until every target knows of it."""
        detail = f"{self._database.where}, says {self._daemon}. Vehicles keep their data."
        notice = Notice(NoticeKind.DAEMON, Weight.CRITICAL, title, detail)
        is_known = self._sender.send_at_once(notice)
        self._is_lost_told = is_known and self._lost_at is not None

    def _tell_return(self, title: str) -> None:
        notice = Notice(
            NoticeKind.DAEMON, Weight.INFO, title, f"{self._database.where}, says {self._daemon}."
        )
        self._sender.send_at_once(notice)

    def _judge(self) -> None:
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
        left = None if room is None else found.full_in(room, self._keep_months)
        self._knows_disk = room is not None
        is_soon = left is not None and left <= FULL_WITHIN
        self._full_at = self._now() + left if left is not None and is_soon else None

    def _send(self) -> None:
        self._sender.note_targets()
        self._sender.send_all()
        if self._clock() >= self._counted_at + BACKLOG_SEC:
            self._counted_at = self._clock()
            self._sender.tell_backlog()
