"""The dead man's switch: when a URL is asked, and what is told when that fails."""

import logging
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Event, Thread

import pytest

from fleetsyncd.monitoring import dead_man, events
from fleetsyncd.monitoring.dead_man import EVERY_SEC, TOLD_SEC, DeadManSwitch
from fleetsyncd.time_limits import no_deadline

WELL = events.CycleEnded(ok=9, failed=1, unfinished=0, seconds=3.0)
SECRET = "2a6e-secret"


class Watcher(HTTPServer):
    """A service that watches cron jobs; answers with `code`."""

    code = 200
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    with Watcher(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Time:
    now = 1000.0


@pytest.fixture
def time() -> Time:
    return Time()


def run_now(work: Callable[[], None]) -> None:
    work()


def switch(watcher: Watcher, time: Time) -> DeadManSwitch:
    url = f"http://127.0.0.1:{watcher.server_port}/ping/{SECRET}"
    return DeadManSwitch(url, run_now, no_deadline, clock=lambda: time.now)


def test_after_a_good_cycle_the_url_is_asked_at_most_once_a_minute(
    watcher: Watcher, time: Time
) -> None:
    it = switch(watcher, time)
    for _ in range(5):
        it.listen(WELL)
        time.now += EVERY_SEC / 2
    assert watcher.asked == [f"/ping/{SECRET}"] * 3


@pytest.mark.parametrize(
    "event",
    [
        events.CycleEnded(ok=0, failed=1, unfinished=0, seconds=3.0, unstored=1),
        events.DatabaseDown(),
        events.Alive(),
        events.DaemonStopping(),
    ],
)
def test_what_is_no_good_cycle_keeps_the_switch_silent(
    watcher: Watcher, time: Time, event: events.Event
) -> None:
    switch(watcher, time).listen(event)
    assert watcher.asked == []


def test_one_vehicle_that_cannot_be_stored_is_no_reason_to_be_taken_for_dead(
    watcher: Watcher, time: Time
) -> None:
    it = switch(watcher, time)
    it.listen(events.CycleEnded(ok=9, failed=1, unfinished=0, seconds=3.0, unstored=1))
    assert len(watcher.asked) == 1


def test_vehicles_that_do_not_answer_are_no_reason_to_be_taken_for_dead(
    watcher: Watcher, time: Time
) -> None:
    it = switch(watcher, time)
    it.listen(events.CycleEnded(ok=0, failed=0, unfinished=0, seconds=3.0, resting=9))
    assert len(watcher.asked) == 1


def test_only_one_question_runs_at_a_time(time: Time) -> None:
    waiting: list[Callable[[], None]] = []
    it = DeadManSwitch("http://127.0.0.1:1/", waiting.append, no_deadline, clock=lambda: time.now)
    for _ in range(3):
        it.listen(WELL)
        time.now += EVERY_SEC
    assert len(waiting) == 1
    waiting.pop()()
    it.listen(WELL)
    assert len(waiting) == 1


@pytest.mark.parametrize(("patience", "is_told"), [(10.0, True), (0.01, False)])
def test_who_ends_waits_for_the_answer_but_not_for_long(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch, patience: float, is_told: bool
) -> None:
    monkeypatch.setattr(dead_man, "AT_END_SEC", patience)
    may_ask = Event()
    threads: list[Thread] = []

    def later(work: Callable[[], None]) -> None:
        def wait_and_work() -> None:
            may_ask.wait()
            work()

        threads.append(Thread(target=wait_and_work))
        threads[-1].start()

    url = f"http://127.0.0.1:{watcher.server_port}/ping/{SECRET}"
    it = DeadManSwitch(url, later, no_deadline)
    it.listen(WELL)
    if is_told:
        may_ask.set()
    it.listen(events.DaemonStopping())
    assert bool(watcher.asked) == is_told
    may_ask.set()
    threads[0].join()


@pytest.mark.parametrize(
    ("code", "told"), [(500, "it answered 500"), (302, "it answered 302, which is not followed")]
)
def test_a_refusal_is_told_once_an_hour_and_so_is_the_end_of_it(
    watcher: Watcher, time: Time, caplog: pytest.LogCaptureFixture, code: int, told: str
) -> None:
    caplog.set_level(logging.INFO)
    it = switch(watcher, time)
    watcher.code = code
    for _ in range(3):
        it.listen(WELL)
        time.now += EVERY_SEC
    assert [told in text for text in caplog.messages] == [True]
    assert set(watcher.asked) == {f"/ping/{SECRET}"}, "not /elsewhere"
    time.now += TOLD_SEC
    it.listen(WELL)
    assert len(caplog.messages) == 2
    watcher.code = 200
    time.now += EVERY_SEC
    it.listen(WELL)
    assert caplog.messages[2:] == ["HEARTBEAT_URL: 127.0.0.1 answers again"]


def test_who_cannot_be_reached_is_told_without_the_url(
    watcher: Watcher, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    it = switch(watcher, time)
    watcher.shutdown()
    watcher.server_close()
    it.listen(WELL)
    (text,) = caplog.messages
    assert "127.0.0.1 could not be told that this daemon is alive: ConnectionError" in text
    assert SECRET not in caplog.text


def test_a_watcher_that_hangs_ends_with_its_time(
    time: Time, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_man, "TIMEOUT_SEC", 0.1)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as silent:
        url = f"http://127.0.0.1:{silent.server_port}/{SECRET}"
        DeadManSwitch(url, run_now, no_deadline, clock=lambda: time.now).listen(WELL)
    assert "ReadTimeout" in caplog.text
    assert SECRET not in caplog.text
