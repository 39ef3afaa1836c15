"""That PostgreSQL is lost is told once to each target, and its return to those who know of it."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.monitoring import events
from fleetsyncd.notify.targets import load_targets
from fleetsyncd.sync.loss_notices import LOST_SEC, MOST_RETURNS, LossNotices
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.time_limits import no_deadline
from fleetsyncd.times import utc_now
from tests.targets import Service, respond


class Desk:
    """Tells of losses over a clock of its own; what is spawned runs at once, or when it is let."""

    def __init__(
        self, database: Database, chat: Service, config: Path, tag: str = "daemon"
    ) -> None:
        config.write_text(f"urls:\n  - {chat.url}/a\n  - {chat.url}/b:\n    - tag: {tag}\n")
        config.chmod(0o600)
        targets = load_targets([], str(config))
        sender = NoticeSender(database, targets, no_deadline, utc_now)
        self.chat = chat
        self.clock = 1000.0
        self.broken: set[str] = set()
        chat.answer = self._answer
        self.during: Callable[[], None] | None = None
        """What happens while the first message is sent."""
        self._losses = LossNotices(
            sender,
            where="db:5432/fleet",
            daemon="it",
            spawn=lambda work: work(),
            clock=lambda: self.clock,
        )

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        during, self.during = self.during, None
        if during is not None:
            during()
        respond(handler, 503 if handler.path[-1] in self.broken else 200)

    def hear(self, event: events.Event, after: float = 0.0) -> list[str]:
        """Let time pass and something happen; return who was asked to take what."""
        self.clock += after
        before = len(self.chat.paths)
        self._losses.listen(event)
        sent = zip(self.chat.paths[before:], self.chat.titles[before:], strict=True)
        return sorted(f"{path[-1]}: {title.split(' ')[2]}" for path, title in sent)

    def lose(self) -> list[str]:
        self.hear(events.DatabaseDown())
        return self.hear(events.Alive(), after=LOST_SEC)

    def go_on(self) -> list[str]:
        return self.hear(events.Alive(), after=LOST_SEC)

    def come_back(self) -> list[str]:
        return self.hear(events.DatabaseUp())


@pytest.fixture
def desk(database: Database, chat: Service, tmp_path: Path) -> Desk:
    return Desk(database, chat, tmp_path / "apprise.yaml")


def test_a_loss_and_its_end_are_told_once(desk: Desk) -> None:
    assert desk.lose() == ["a: lost", "b: lost"]
    assert desk.go_on() == []
    assert desk.come_back() == ["a: back,", "b: back,"]
    assert desk.go_on() == []


def test_a_short_loss_is_told_to_nobody(desk: Desk) -> None:
    desk.hear(events.DatabaseDown())
    assert desk.hear(events.Alive(), after=LOST_SEC - 1) == []
    assert desk.come_back() == []
    assert desk.go_on() == []


def test_a_target_that_is_broken_lets_no_other_be_told_again(desk: Desk) -> None:
    desk.broken = {"b"}
    assert desk.lose() == ["a: lost", "b: lost"]
    assert desk.go_on() == ["b: lost"]
    assert desk.hear(events.Alive(), after=LOST_SEC - 1) == []
    assert desk.come_back() == ["a: back,"], "who does not know of the loss needs no return"


def test_a_return_while_the_loss_is_told_is_told_then(desk: Desk) -> None:
    desk.during = lambda: desk._losses.listen(events.DatabaseUp())
    assert desk.lose() == ["a: back,", "a: lost", "b: back,", "b: lost"]
    assert desk.go_on() == []


def test_a_return_that_was_refused_is_told_later(desk: Desk) -> None:
    desk.lose()
    desk.broken = {"b"}
    assert desk.come_back() == ["a: back,", "b: back,"]
    assert desk.hear(events.Alive()) == []
    assert desk.go_on() == ["b: back,"]
    desk.broken = set()
    assert desk.go_on() == ["b: back,"]
    assert desk.go_on() == []


def test_a_return_that_nobody_takes_is_not_tried_for_ever(desk: Desk) -> None:
    desk.lose()
    desk.broken = {"a", "b"}
    tries = len(desk.come_back())
    while told := desk.go_on():
        tries += len(told)
    assert tries == 2 * MOST_RETURNS


def test_while_it_is_lost_anew_no_return_is_told(desk: Desk) -> None:
    desk.lose()
    desk.broken = {"b"}
    desk.come_back()
    assert desk.lose() == ["a: lost"], "the other one knows no better"
    desk.broken = set()
    assert desk.come_back() == ["a: back,", "b: back,"]


def test_a_target_for_grave_notices_alone_is_told_the_loss_only(
    database: Database, chat: Service, tmp_path: Path
) -> None:
    desk = Desk(database, chat, tmp_path / "apprise.yaml", tag="critical")
    assert desk.lose() == ["a: lost", "b: lost"]
    assert desk.come_back() == ["a: back,"]
    assert desk.lose() == ["a: lost", "b: lost"]
