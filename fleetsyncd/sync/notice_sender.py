"""Sends what waits for each target: one message a target and minute, whatever waits."""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import partial

from fleetsyncd.database import notices, outbox
from fleetsyncd.database.outbox import Pending, Waiting
from fleetsyncd.database.pool import Database
from fleetsyncd.monitoring import events
from fleetsyncd.notices import Notice, StoredNotice
from fleetsyncd.notify.digest import MOST_LINES, Message, digest
from fleetsyncd.notify.refusals import NotSent
from fleetsyncd.notify.targets import Target
from fleetsyncd.text import counted
from fleetsyncd.time_limits import Deadline

log = logging.getLogger("sync.notify")

MOST_LOGGED = 3
"""Notices that a line of the log names."""
TOGETHER = timedelta(seconds=30)
"""What becomes true within this goes out together."""
MESSAGE_PAUSE = timedelta(minutes=1)
"""Between two messages to a target, at least."""
LEASE = timedelta(minutes=2)
"""A daemon that has taken a target and died is waited for so long."""


class NoticeSender:
    """Sends what waits for each target."""

    def __init__(
        self,
        database: Database,
        targets: Sequence[Target],
        deadline: Deadline,
        now: Callable[[], datetime],
        emit: events.Listener = events.ignore_event,
    ) -> None:
        self._database = database
        self._emit = emit
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
            partial(
                outbox.take,
                target=target.name,
                pause=MESSAGE_PAUSE,
                lease=LEASE,
                tags=target.tags,
                named=MOST_LINES,
            )
        )
        if pending is None:
            return
        if pending.old.total:
            self._give_up(target, pending.old)
        self._record(target, pending.others, "not for it")
        if pending.oldest is None or pending.oldest > pending.now - TOGETHER:
            self._database.run(partial(outbox.release, target=target.name))
            return
        self._deliver(target, pending)

    def _deliver(self, target: Target, pending: Pending) -> None:
        total = pending.due.total
        try:
            self._send_message(target, _message(pending))
        except NotSent as error:
            failed = partial(
                outbox.record_failed,
                target=target.name,
                error=str(error),
                least=error.least_pause,
            )
            self._database.run(failed)
            self._emit(events.MessageRefused())
            if target.name not in self._told:
                self._told.add(target.name)
                text = "%s has not taken %s, it is tried again for a day: %s"
                log.warning(text, target.name, counted(total, "notice"), error)
            return
        self._record(target, pending.due, "sent")
        self._database.run(partial(outbox.record_sent, target=target.name))
        self._emit(events.NoticesEnded(pending.due.kinds, is_sent=True))
        if target.name in self._told:
            self._told.discard(target.name)
            log.info("%s takes messages again", target.name)
        titles = [each.notice.title for each in pending.named]
        others = f" and {total - MOST_LOGGED:,} more" if total > MOST_LOGGED else ""
        log.info("told %s: %s%s", target.name, "; ".join(titles[:MOST_LOGGED]), others)

    def _send_message(self, target: Target, message: Message) -> None:
        """Send a message, or less of it if it is refused for its content; raise NotSent."""
        shorter = message.shorter
        while True:
            try:
                target.send(message, self._deadline)
            except NotSent as error:
                if not (error.is_for_content and shorter):
                    raise
                message = shorter.pop(0)
                log.warning("%s refuses a message, it gets less of it: %s", target.name, error)
            else:
                return

    def _give_up(self, target: Target, old: Waiting) -> None:
        self._record(target, old, "given up")
        self._emit(events.NoticesEnded(old.kinds, is_sent=False))
        text = "%s has not taken %s within a day: given up, `fleetsyncd notify list` has them"
        log.error(text, target.name, counted(old.total, "notice"))

    def _record(self, target: Target, waiting: Waiting, outcome: str) -> None:
        """Record what became of notices, in transactions that do not grow with their number."""
        for start in range(0, waiting.total, outbox.RECORDED_AT_ONCE):
            record = partial(
                outbox.record,
                target=target.name,
                waiting=waiting,
                outcome=outcome,
                start=start,
            )
            self._database.run(record)

    def tell_backlog(self) -> None:
        """Tell the metrics what waits, and how many targets fail; raise DatabaseError."""
        waits = self._database.run(notices.backlog)
        known = self._database.run(notices.targets)
        failing = sum(each.failing_since is not None for each in known)
        self._emit(events.NoticesWait(waits.waiting, failing))

    def wanting(self, notice: Notice) -> frozenset[str]:
        """Return the names of the targets that a notice is for."""
        routes = StoredNotice(0, self._now(), notice).routes
        return frozenset(each.name for each in self._targets if each.wants(routes))

    def send_at_once(self, notice: Notice, to: Collection[str]) -> set[str]:
        """Tell targets of something without the database; return the names of who has taken it."""
        now = self._now()
        message = digest([StoredNotice(0, now, notice)], now)
        taken = set()
        for target in self._targets:
            if target.name not in to:
                continue
            try:
                self._send_message(target, message)
            except NotSent as error:
                log.warning("%s was not told that %s: %s", target.name, notice.title, error)
            else:
                taken.add(target.name)
        return taken


def _message(pending: Pending) -> Message:
    return digest(pending.named, pending.now, pending.counts, pending.told)
