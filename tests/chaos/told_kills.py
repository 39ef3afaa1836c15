"""Two daemons are killed while they tell that vehicles are down and back: nothing is lost.

`python -m tests.chaos.told_kills --kills 50`: every vehicle is silent once. A daemon is killed as a
message of its own arrives, right after it was taken, or at any other moment, and started again.
Exit 1 unless each vehicle was told to be down once and to be back once, every notice has reached
the target, and none came twice that was not in flight at a kill.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random
from threading import Lock, Timer
from typing import Any, cast

import psutil

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import embedded
from fleetsyncd.settings import DatabaseSettings
from tests.chaos.told import installed, register
from tests.targets import Service, service, takes

SETTINGS = {
    "SYNC_INTERVAL_SEC": "1",
    "SILENT_INTERVAL_SEC": "2",
    "PULL_TIMEOUT_SEC": "0.9",
    "NOTIFY_AFTER_SEC": "5",
    "NOTIFY_REPEAT_HOURS": "0",
    "NOTIFY_ALARM_SEVERITY": "none",
    "VEHICLE_DEFAULT_API_KEY": "",
}
AT_ANY = "at any moment"
AT_ANY_SHARE = 0.005
"""How often a daemon is killed in a look at them, of which there are 20 a second."""
SETTLED_SEC = 15.0
"""A daemon that has run for so long judges the fleet; one of the two does at most moments."""
SILENT_SEC = 60.0
QUIET_SEC = 30.0
PATIENCE_SEC = 180.0
_TITLES = "SELECT title FROM fleetsync.notice WHERE kind = 'down' ORDER BY at, id"
_WAITING = """
SELECT count(*) FROM fleetsync.notice n WHERE NOT EXISTS (
    SELECT FROM fleetsync.notice_delivery d WHERE d.notice_id = n.id)
"""
WHAT = ("has not been pulled", "is back")
_VEHICLE = re.compile(rf"^\S+ ({'|'.join(WHAT)})")


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs, or was killed."""

    process: "subprocess.Popen[bytes]"
    started_at: float


@dataclass
class Trial:
    """Two daemons, whom they tell, and how often they were killed."""

    environment: Mapping[str, str]
    folder: Path
    dice: Random
    most: int
    daemons: list[Daemon] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    """Titles of messages at whose sending the daemon was killed."""
    lock: Lock = field(default_factory=Lock)

    def start(self) -> None:
        """Start a daemon."""
        with (self.folder / f"daemon-{len(list(self.folder.glob('daemon-*')))}").open("wb") as log:
            command = [sys.executable, "-m", "tests.chaos.hasty", "run"]
            process = subprocess.Popen(command, env=dict(self.environment), stdout=log, stderr=log)
        self.daemons.append(Daemon(process, time.time()))

    def kill(self, daemon: Daemon, how: str) -> None:
        """Kill a daemon; the main thread starts another one."""
        daemon.process.kill()
        self.kills[how] += 1

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Take a message, or kill who sends it before it can know that it was taken."""
        sender = self._sender(handler.client_address[1])
        titles = titles_of(cast(Service, handler.server).messages[-1])
        with self.lock:
            fate = self.dice.choice(["before", "after", "before", "after", "none"])
            is_due = sender is not None and self.kills.total() < self.most and fate != "none"
            if sender is not None and is_due:
                self.in_flight.update(titles)
                if fate == "before":
                    self.kill(sender, "before the answer")
                    return
                pause = self.dice.uniform(0, 0.02)
                Timer(pause, self.kill, (sender, "after the answer")).start()
        with suppress(OSError):
            takes(handler)

    def _sender(self, port: int) -> Daemon | None:
        for daemon in list(self.daemons):
            with suppress(psutil.Error):
                found = psutil.Process(daemon.process.pid).net_connections(kind="tcp")
                if any(each.laddr.port == port for each in found):
                    return daemon
        return None

    def tend(self, *, strikes: bool) -> None:
        """Start daemons that ended; kill one now and then."""
        for daemon in list(self.daemons):
            if daemon.process.poll() is not None:
                self.daemons.remove(daemon)
                self.start()
        with self.lock:
            is_due = self.kills[AT_ANY] < self.most // 3 and self.dice.random() < AT_ANY_SHARE
            first, second = self.dice.sample(self.daemons, 2)
            if strikes and is_due and time.time() - second.started_at >= SETTLED_SEC:
                self.kill(first, AT_ANY)

    def end(self) -> None:
        """End the daemons."""
        for daemon in self.daemons:
            daemon.process.terminate()
            daemon.process.wait()


def titles_of(message: Mapping[str, Any]) -> list[str]:
    """Return the titles of a message's notices."""
    lines = [line[2:] for line in message["message"].splitlines() if line.startswith("- ")]
    return lines or [message["title"]]


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vehicles", type=int, default=60)
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleetsync-told-")))
        server = stack.enter_context(installed(folder))
        target = stack.enter_context(service())
        every = max(2.0, 7.0 * chosen.kills / chosen.vehicles)
        fleet = stack.enter_context(silences(chosen.vehicles, every))
        register(server, fleet)
        settings = {**SETTINGS, "NOTIFY_URLS": target.url}
        environment = {**os.environ, **server.environment("fleet"), **settings}
        trial = Trial(environment, folder, Random(chosen.seed), chosen.kills)
        target.answer = trial.answer
        stack.callback(trial.end)
        for _ in range(2):
            trial.start()
        watch(trial, server, time.monotonic() + 30.0 + every * chosen.vehicles + SILENT_SEC)
        return verdict(trial, server, target, [each["name"] for each in fleet])


def watch(trial: Trial, server: embedded.Server, until: float) -> None:
    """Kill daemons until it is over, and let the last notices be sent."""
    while time.monotonic() < until:
        trial.tend(strikes=True)
        time.sleep(0.05)
    ends, quiet = time.monotonic() + PATIENCE_SEC, time.monotonic() + QUIET_SEC
    while time.monotonic() < quiet or (rows(server, _WAITING)[0] and time.monotonic() < ends):
        trial.tend(strikes=False)
        time.sleep(0.2)


def verdict(trial: Trial, server: embedded.Server, target: Service, names: list[str]) -> int:
    """Print what was told, and what should not have happened."""
    written: Counter[str] = Counter(rows(server, _TITLES))
    came = Counter(title for each in target.messages for title in titles_of(each))
    told = Counter(match[0] for each in rows(server, _TITLES) if (match := _VEHICLE.match(each)))
    wanted = Counter(f"{name} {what}" for name in names for what in WHAT)
    faults: dict[str, Counter[str]] = {
        "vehicles told otherwise than once": (told - wanted) + (wanted - told),
        "notices that never came": written - came,
        "notices that came twice, not in flight": came - written - trial.in_flight,
        "messages cut short": Counter(t for t in came if t.startswith("and ")),
    }
    print(f"kills: {dict(trial.kills)}; messages: {len(target.messages)}")
    print(f"notices: {written.total()} written, {came.total()} came")
    for what, found in faults.items():
        print(f"{what}: {found.total()} {list(found)[:5] or ''}")
    enough = trial.kills.total() >= trial.most
    return 0 if enough and not any(each.total() for each in faults.values()) else 1


def rows(server: embedded.Server, statement: str) -> list[Any]:
    """Return the first column of what a statement finds."""

    def read(cursor: Cursor) -> list[Any]:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()]

    with closing(Database(DatabaseSettings(server.parameters("fleet")))) as database:
        return database.run(read)


@contextmanager
def silences(count: int, every: float) -> Iterator[list[dict[str, Any]]]:
    """Run the vehicles; end them with the block."""
    command = [sys.executable, "-m", "tests.chaos.silences", str(count), str(every)]
    with subprocess.Popen(
        [*command, str(SILENT_SEC)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
