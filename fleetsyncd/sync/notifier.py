"""Tells operators what is the case: judges the fleet, and sends what waits, in rounds.

Beside the main loop, in lanes of its own: a target that hangs delays no vehicle, and no other
target for longer than one message takes.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import conditions, notices
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views.storage import storage
from fleetsyncd.errors import DatabaseError
from fleetsyncd.monitoring import events
from fleetsyncd.notices import Notice, NoticeKind, StoredNotice, Weight
from fleetsyncd.notify.digest import digest
from fleetsyncd.notify.targets import NotSent, Target
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.text import age, counted
from fleetsyncd.time_limits import Deadline

log = logging.getLogger("sync.notify")

JUDGED_SEC, SENT_SEC = 10.0, 5.0
"""From the begin of a round to that of the next one."""
DISK_SEC = 3600.0
"""How often it is computed when the disk is full."""
TOGETHER = timedelta(seconds=30)
"""What becomes true within this goes out together."""
MESSAGE_PAUSE = timedelta(minutes=1)
"""Between two messages to a target, at least."""
LEASE = timedelta(minutes=2)
"""A daemon that has taken a target and died is waited for so long."""
LOST_SEC = 120.0
"""PostgreSQL is away for so long before that is told."""


class NoticeSender:
    """Sends what waits for each target."""

    def __init__(
        self,
        database: Database,
        targets: Sequence[Target],
        deadline: Deadline,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._targets = targets
        self._deadline = deadline
        self._now = now
        self._told: set[str] = set()
        """Targets that fail, as the log says."""

    def note_targets(self) -> None:
        """Make the targets known to the database; raise DatabaseError."""
        names = [each.name for each in self._targets]
        self._database.run(partial(notices.note_targets, targets=names))

    def send_all(self) -> None:
        """Send what is due to each target, one message each; raise DatabaseError."""
        for target in self._targets:
            self._send(target)

    def _send(self, target: Target) -> None:
        pending = self._database.run(
            partial(notices.take, target=target.name, pause=MESSAGE_PAUSE, lease=LEASE)
        )
        if not pending:
            return
        now = self._now()
        old = [each for each in pending if each.at <= now - notices.GIVEN_UP_AFTER]
        others = [each for each in pending if each not in old and not target.wants(each.routes)]
        wanted = [each for each in pending if each not in old and each not in others]

        if old:
            self._give_up(target, old)
        if others:
            self._record(target, others, "not for it")
        if not wanted or wanted[0].at > now - TOGETHER:
            self._database.run(partial(notices.release, target=target.name))
            return
        self._deliver(target, wanted)

    def _deliver(self, target: Target, wanted: Sequence[StoredNotice]) -> None:
        try:
            target.send(digest(wanted), self._deadline)
        except NotSent as error:
            failed = partial(
                notices.record_failed, target=target.name, error=str(error), wait=timedelta(0)
            )
            self._database.run(failed)
            if target.name not in self._told:
                self._told.add(target.name)
                text = "%s has not taken %s, it is tried again for a day: %s"
                log.warning(text, target.name, counted(len(wanted), "notice"), error)
        else:
            sent = partial(notices.record_sent, target=target.name, ids=_ids(wanted))
            self._database.run(sent)
            if target.name in self._told:
                self._told.discard(target.name)
                log.info("%s takes messages again", target.name)
            log.info("told %s: %s", target.name, "; ".join(e.notice.title for e in wanted[:3]))

    def _give_up(self, target: Target, old: Sequence[StoredNotice]) -> None:
        self._record(target, old, "given up")
        text = "%s has not taken %s within a day: given up, `fleetsyncd notify list` has them"
        log.error(text, target.name, counted(len(old), "notice"))

    def _record(self, target: Target, found: Sequence[StoredNotice], outcome: str) -> None:
        record = partial(notices.record, target=target.name, ids=_ids(found), outcome=outcome)
        self._database.run(record)

    def send_at_once(self, notice: Notice) -> None:
        """Tell of something without the database: each target once; a failure is only logged."""
        stored = StoredNotice(0, self._now(), notice)
        for target in self._targets:
            if not target.wants(stored.routes):
                continue
            try:
                target.send(digest([stored]), self._deadline)
            except NotSent as error:
                log.warning("%s was not told that %s: %s", target.name, notice.title, error)


@dataclass(frozen=True, slots=True)
class Notices:
    """Who is told, and when.

    `keep` is how long notices are kept, None for ever; `keep_months` MEASUREMENTS_KEEP_MONTHS.
    """

    sender: NoticeSender
    terms: Terms
    keep: timedelta | None
    keep_months: int | None


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
        self._now = now
        self._spawn = spawn
        self._clock = clock
        self._judging = Rounds(
            self._judge, JUDGED_SEC, spawn, on_database_error, name="the judging", log=log
        )
        self._sending = Rounds(
            self._send, SENT_SEC, spawn, on_database_error, name="the sending", log=log
        )
        self._disk_at = float("-inf")
        self._disk = conditions.Disk()
        self._lost_at: float | None = None
        self._is_lost_told = False

    def run_if_due(self, monotonic: float) -> None:
        """Start a round of each, if it is time and the last one is over."""
        for rounds in (self._judging, self._sending):
            if rounds.is_due(monotonic):
                rounds.start(monotonic)

    def listen(self, event: events.Event) -> None:
        """Tell that PostgreSQL is lost, and that it is back: from memory, as there is no outbox."""
        match event:
            case events.DatabaseDown():
                self._lost_at = self._clock()
            case events.Alive() if self._lost_at is not None and not self._is_lost_told:
                if self._clock() >= self._lost_at + LOST_SEC:
                    self._is_lost_told = True
                    self._tell_loss(f"PostgreSQL is lost since {age(LOST_SEC)}", Weight.CRITICAL)
            case events.DatabaseUp():
                if self._is_lost_told and self._lost_at is not None:
                    lasted = age(self._clock() - self._lost_at)
                    self._tell_loss(f"PostgreSQL is back, after {lasted}", Weight.INFO)
                self._lost_at, self._is_lost_told = None, False

    def _tell_loss(self, title: str, severity: Weight) -> None:
        where = self._database.where
        notice = Notice(NoticeKind.DAEMON, severity, title, f"{where}. Vehicles keep their data.")
        self._spawn(partial(self._sender.send_at_once, notice))

    def _judge(self) -> None:
        if self._clock() >= self._disk_at + DISK_SEC:
            self._disk_at = self._clock()
            found = self._database.run(storage)
            room = found.free_bytes
            left = None if room is None else found.full_in(room, self._keep_months)
            full_at = None if left is None else self._now() + left
            self._disk = conditions.Disk(room is not None, full_at)
        self._database.run(
            partial(
                conditions.judge_fleet,
                terms=self._terms,
                sync_interval_sec=self._sync_interval_sec,
                disk=self._disk,
            )
        )

        if self._keep is not None:
            self._database.run(partial(notices.expire, keep=self._keep))

    def _send(self) -> None:
        self._sender.note_targets()
        self._sender.send_all()


def _ids(found: Sequence[StoredNotice]) -> list[int]:
    return [each.id for each in found]
