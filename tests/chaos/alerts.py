"""A real Prometheus watches two daemons through kills, restarts and a lost database.

`python -m tests.chaos.alerts` runs the rules with all times divided by `--factor`, and prints every
word that Prometheus sent. Exit 1 if one was false. Prometheus must be installed.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.demo.processes import simulator
from fleetsyncd.settings import DatabaseSettings
from tests import prometheus

RULES = Path(__file__).parents[2] / "fleetsyncd" / "ops" / "alerts.yaml"
SCRAPE_SEC = 5.0
INTERVAL_SEC = 30.0
"""Of the daemons, before it is divided."""
ADD = """
INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)
VALUES (%(name)s, %(host)s::inet, %(port)s, %(key)s, now()) RETURNING id::text
"""
DEAD = {"name": "Dead", "host": "127.0.0.1", "port": 1, "key": "none"}
WRONG_KEY = "Wrong key"


@dataclass
class Trial:
    """An installation with two daemons, and what is done to it."""

    folder: Path
    stack: ExitStack
    factor: float
    server: embedded.Server
    database: Database
    ports: tuple[int, int]
    daemons: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def register(self, vehicles: list[dict[str, object]]) -> None:
        """Add vehicles to the fleet."""

        def add(cursor: Cursor) -> None:
            for vehicle in vehicles:
                cursor.execute(ADD, vehicle)
                self.ids[str(vehicle["name"])] = cursor.fetchall()[0][0]

        self.database.run(add)

    def start(self, number: int) -> None:
        """Start the daemon of this number, or start it again."""
        settings = {
            "SYNC_INTERVAL_SEC": f"{INTERVAL_SEC / self.factor:g}",
            "PULL_TIMEOUT_SEC": "3",
            "VEHICLE_DEFAULT_API_KEY": "",
            "METRICS_PORT": str(self.ports[number]),
        }
        log = self.stack.enter_context((self.folder / f"daemon-{number}.log").open("ab"))
        self.daemons[number] = subprocess.Popen(
            [sys.executable, "-m", "fleetsyncd", "run"],
            env={**os.environ, **self.server.environment("fleet"), **settings},
            stdout=log,
            stderr=log,
        )

    def kill(self, number: int) -> None:
        """Kill a daemon as a crash does."""
        self.daemons[number].kill()
        self.daemons[number].wait()

    def restart(self, *numbers: int) -> None:
        """Stop daemons in good order at the same time, and start them again."""
        for number in numbers:
            self.daemons[number].terminate()
        for number in numbers:
            self.daemons[number].wait()
            self.start(number)

    def command(self, *words: str) -> None:
        """Run one of our commands."""
        environment = {**os.environ, **self.server.environment("fleet")}
        command = [sys.executable, "-m", "fleetsyncd", *words]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """End the daemons."""
        for daemon in self.daemons.values():
            daemon.kill()
            daemon.wait()


@dataclass(frozen=True, slots=True)
class Expected:
    """A word that is true: between two minutes of the rules' time."""

    alert: str
    of: str
    fires: bool
    after: float
    before: float


def plan(trial: Trial) -> list[tuple[float, str, Callable[[], None]]]:
    """Return what is done, and in which minute of the rules' time."""
    return [
        (20, "kill -9 of the second daemon", lambda: trial.kill(1)),
        (24, "it is started again", lambda: trial.start(1)),
        (32, "restart of the first daemon", lambda: trial.restart(0)),
        (40, "restart of both daemons", lambda: trial.restart(0, 1)),
        (48, "kill -9 of the first daemon", lambda: trial.kill(0)),
        (58, "it is started again", lambda: trial.start(0)),
        (72, "restart of both daemons", lambda: trial.restart(0, 1)),
        (78, "PostgreSQL is stopped", lambda: trial.server.cluster.halt("fast")),
        (130, "PostgreSQL is started", trial.server.cluster.start),
        (140, "PostgreSQL is restarted", lambda: _restart(trial.server)),
        (148, "the dead vehicle is renamed", lambda: _rename(trial)),
        (154, "the vehicle with a wrong key is removed", lambda: _remove(trial)),
        (162, "the end", lambda: None),
    ]


def expected(trial: Trial) -> list[Expected]:
    """Return all that may be said."""
    dead, refuses = trial.ids["Dead"], trial.ids[WRONG_KEY]
    first = f"127.0.0.1:{trial.ports[0]}"
    return [
        Expected("FleetsyncVehicleRefuses", refuses, True, 5, 10),
        Expected("FleetsyncReplicaLost", first, True, 53, 58),
        Expected("FleetsyncReplicaLost", first, False, 58, 62),
        Expected("FleetsyncVehicleDown", dead, True, 60, 66),
        Expected("FleetsyncDatabaseLost", "", True, 79, 84),
        Expected("FleetsyncDatabaseLost", "", False, 130, 136),
        Expected("FleetsyncVehicleRefuses", refuses, False, 154, 158),
    ]


def _restart(server: embedded.Server) -> None:
    server.cluster.halt("fast")
    server.cluster.start()


def _rename(trial: Trial) -> None:
    trial.command("vehicle", "set", trial.ids["Dead"], "--name", "Dead still")


def _remove(trial: Trial) -> None:
    trial.command("vehicle", "remove", "--yes", trial.ids[WRONG_KEY])


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
        for each in sockets:
            stack.enter_context(closing(each))
        return [each.getsockname()[1] for each in sockets]


def set_up(folder: Path, stack: ExitStack, vehicles: int, factor: float) -> Trial:
    """Start PostgreSQL, the fleet and both daemons."""
    server = embedded.start(folder / "postgres", durable=False)
    stack.callback(server.stop)
    server.create_database("fleet")
    migrate.migrate(DatabaseSettings(server.parameters("fleet", embedded.OWNER)), embedded.APP)
    database = Database(DatabaseSettings(server.parameters("fleet")))
    stack.callback(database.close)
    first, second = free_ports(2)
    trial = Trial(folder, stack, factor, server, database, (first, second))
    simulated = stack.enter_context(simulator(vehicles, healthy=True))
    trial.register([DEAD, {**simulated[0], "name": WRONG_KEY, "key": "wrong"}, *simulated[1:]])
    stack.callback(trial.end)
    trial.start(0)
    trial.start(1)
    return trial


def run(trial: Trial, rules: Path, port: int) -> prometheus.Record:
    """Carry the plan out under the eyes of Prometheus; return its words."""
    faster = prometheus.faster(rules.read_text(), trial.factor, 4 * SCRAPE_SEC)
    with prometheus.running(trial.folder, faster, port, trial.ports, SCRAPE_SEC) as watching:
        for minute, what, work in plan(trial):
            due = watching.record.begun + minute * 60 / trial.factor
            time.sleep(max(0.0, due - time.monotonic()))
            print(f"{minute:4} min  {what}", flush=True)
            work()
        return watching.record


def judge(
    words: list[prometheus.Word], allowed: list[Expected], factor: float
) -> tuple[list[prometheus.Word], list[Expected]]:
    """Return the words that are false, and those that are missing."""
    missing = list(allowed)
    false = []
    for word in words:
        minute = word.at * factor / 60
        for each in missing:
            key = (each.alert, each.of, each.fires)
            if key == (word.alert, word.of, word.fires) and each.after <= minute <= each.before:
                missing.remove(each)
                break
        else:
            false.append(word)
    return false, missing


def main() -> int:
    """Run the trial; return 0 if every word was true, and none was missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.alerts", description=__doc__)
    parser.add_argument("--vehicles", type=int, default=30)
    parser.add_argument("--factor", type=float, default=6.0)
    parser.add_argument("--rules", type=Path, default=RULES, help="other rules, to compare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fleetsync-alerts-") as name, ExitStack() as stack:
        trial = set_up(Path(name), stack, given.vehicles, given.factor)
        record = run(trial, given.rules, free_ports(1)[0])
        false, missing = judge(record.words, expected(trial), given.factor)
        names = {key: name for name, key in trial.ids.items()}
    rows = [
        [
            f"{word.at * given.factor / 60:.1f}",
            word.alert,
            names.get(word.of, word.of),
            "fires" if word.fires else "resolved",
            "FALSE" if word in false else "",
        ]
        for word in record.words
    ]
    print(table(["MINUTE", "ALERT", "OF", "", ""], rows))
    print(f"{len(record.words)} words, {len(false)} false, {len(missing)} missing: {missing}")
    return 1 if false or missing else 0


if __name__ == "__main__":
    sys.exit(main())
