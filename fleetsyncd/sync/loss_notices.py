"""Tells of a loss without which the outbox would, and of its end: from memory."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from fleetsyncd.monitoring import events
from fleetsyncd.notices import Notice, NoticeKind, Weight
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.rounds import Rounds
from fleetsyncd.text import age

log = logging.getLogger("sync.notify")

LOST_SEC = 120.0
"""PostgreSQL is away for so long before that is told; to whom did not take it, again."""
MOST_RETURNS = 30
"""So often it is tried to tell who took the loss that PostgreSQL is back."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is told without the database; `{}` is for how long."""

    kind: NoticeKind
    begun: str
    over: str
    advice: str


POSTGRESQL = Loss(
    NoticeKind.DAEMON,
    "PostgreSQL is lost since {}",
    "PostgreSQL is back, after {}",
    "Vehicles keep their data.",
)


class LossNotices:
    """Tells each target once of a loss, and of its end who was told; `spawn` runs the sending.

    `where` is the server that it is of, `daemon` the name of who says so.
    """

    def __init__(
        self,
        sender: NoticeSender,
        *,
        where: str,
        daemon: str,
        spawn: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
        loss: Loss = POSTGRESQL,
    ) -> None:
        self._loss = loss
        self._sender = sender
        self._where = where
        self._daemon = daemon
        self._clock = clock
        # Two at a time would tell the same target twice; when one is due is decided here.
        self._rounds = Rounds(self._tell, 0.0, spawn, name="the telling of a loss", log=log)
        self._lost_at: float | None = None
        self._due = 0.0
        self._told: set[str] = set()
        """Targets that have taken the loss and not its end."""
        self._back = ""
        self._returns_left = 0

    def listen(self, event: events.Event) -> None:
        """Take in that PostgreSQL is lost or back; start the telling when it is due."""
        match event:
            case events.DatabaseDown():
                self.begin()
            case events.DatabaseUp():
                self.end()
            case events.Alive():
                self.start_if_due()

    @property
    def lasts(self) -> bool:
        """Whether it has begun and is not over."""
        return self._lost_at is not None

    def begin(self) -> None:
        """Take in that the loss has begun; if it lasts, that changes nothing."""
        if self._lost_at is None:
            self._lost_at = self._clock()
            self._due = self._lost_at + LOST_SEC

    def end(self) -> None:
        """Take in that it is over."""
        if self._lost_at is None:
            return
        self._back = self._loss.over.format(age(self._clock() - self._lost_at))
        self._lost_at, self._due = None, self._clock()
        self._returns_left = MOST_RETURNS
        self.start_if_due()

    def start_if_due(self) -> None:
        """Start the telling of what is due, unless it is being told."""
        now = self._clock()
        is_wanted = self._lost_at is not None or self._told
        if is_wanted and now >= self._due and self._rounds.is_due(now):
            self._due = now + LOST_SEC
            self._rounds.start(now)

    def _tell(self) -> None:
        if self._lost_at is not None:
            self._tell_loss(self._lost_at)
        # The loss may have ended while it was told.
        if self._lost_at is None and self._told:
            self._tell_return()

    def _tell_loss(self, lost_at: float) -> None:
        title = self._loss.begun.format(age(self._clock() - lost_at))
        detail = f"{self._where}, says {self._daemon}. {self._loss.advice}"
        notice = Notice(self._loss.kind, Weight.CRITICAL, title, detail)
        missing = self._sender.wanting(notice) - self._told
        self._told |= self._sender.send_at_once(notice, to=missing)

    def _tell_return(self) -> None:
        detail = f"{self._where}, says {self._daemon}."
        notice = Notice(self._loss.kind, Weight.INFO, self._back, detail)
        self._told &= self._sender.wanting(notice)
        self._told -= self._sender.send_at_once(notice, to=self._told)
        self._returns_left -= 1
        if not self._returns_left:
            self._told.clear()
