"""A real fleet whose network is cut, and a single dead truck: what operators are told of it.

`python -m tests.chaos.told` prints every message that a local target got. Exit 1 unless the outage
and the truck took two messages each: one when it began, one when it was over.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.demo.processes import running, simulator
from fleetsyncd.settings import DatabaseSettings
from tests.chaos.alerts import ADD
from tests.targets import Service, service

SETTINGS = {
    "SYNC_INTERVAL_SEC": "5",
    "SILENT_INTERVAL_SEC": "10",
    "PULL_TIMEOUT_SEC": "2",
    "NOTIFY_AFTER_SEC": "30",
    "NOTIFY_ALARM_SEVERITY": "none",
}
STEADY_SEC, PATIENCE_SEC = 20.0, 180.0
QUIET_SEC = 75.0
"""So long nothing else may be told: messages come a minute apart."""


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=300)
    vehicles = parser.parse_args().vehicles
    with (
        tempfile.TemporaryDirectory(prefix="fleetsync-told-") as folder,
        installed(Path(folder)) as server,
        service() as target,
        simulator(vehicles - 1, healthy=True) as fleet,
        simulator(1, healthy=True) as truck,
    ):
        one = {**truck[0], "name": "Truck-of-its-own"}
        register(server, [*fleet, one])
        settings = {**SETTINGS, "NOTIFY_URLS": target.url}
        environment = {**os.environ, **server.environment("fleet"), **settings}
        log = Path(folder) / "daemon.log"
        with (
            log.open("w") as out,
            running(["fleetsyncd", "run"], environment, stdout=out),
        ):
            good = _watch(target, vehicles, fleet[0]["port"], one["port"])
        print(f"the daemon's log ends with: {log.read_text().splitlines()[-1]}")
    return 0 if good else 1


@contextmanager
def installed(folder: Path) -> Iterator[embedded.Server]:
    """Run PostgreSQL with an empty fleet."""
    server = embedded.start(folder / "postgres")
    try:
        server.create_database("fleet")
        owner = DatabaseSettings(server.parameters("fleet", embedded.OWNER))
        migrate.migrate(owner, embedded.APP)
        yield server
    finally:
        server.stop()


def register(server: embedded.Server, fleet: list[dict[str, Any]]) -> None:
    """Add vehicles to the fleet."""

    def add(cursor: Cursor) -> None:
        for vehicle in fleet:
            cursor.execute(ADD, vehicle)

    database = Database(DatabaseSettings(server.parameters("fleet")))
    database.run(add)
    database.close()


def _watch(target: Service, vehicles: int, fleet_port: int, truck_port: int) -> bool:
    both = [_listener(fleet_port), _listener(truck_port)]
    time.sleep(STEADY_SEC)
    good = _expect(target, 0, "all is well")
    with _cut(*both):
        good &= _expect(target, 1, f"the network of all {vehicles} is cut", wait=True)
    good &= _expect(target, 2, "it is there again", wait=True)
    with _cut(both[1]):
        good &= _expect(target, 3, "one truck is dead", wait=True)
    return good & _expect(target, 4, "it is back", wait=True)


def _expect(target: Service, count: int, what: str, *, wait: bool = False) -> bool:
    """Wait until so many messages have come, and for a while for one too many; print the new."""
    known = len(target.messages)
    ends = time.monotonic() + (PATIENCE_SEC if wait else 0.0)
    while len(target.messages) < count and time.monotonic() < ends:
        time.sleep(0.2)
    time.sleep(QUIET_SEC if wait else 0.0)
    print(f"{what}: {len(target.messages) - known} message(s)")
    for message in target.messages[known:]:
        print(f"  {message['title']}\n    " + message["message"].replace("\n", "\n    "))
    sys.stdout.flush()
    return len(target.messages) == count


def _listener(port: int) -> psutil.Process:
    """Return the simulator that listens on a port."""
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):
            found = process.net_connections(kind="tcp")
            if any(each.status == "LISTEN" and each.laddr.port == port for each in found):
                return process
    raise LookupError(f"nobody listens on {port}")


@contextmanager
def _cut(*processes: psutil.Process) -> Iterator[None]:
    """Let the vehicles of these processes answer nothing."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
