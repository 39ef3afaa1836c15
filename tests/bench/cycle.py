"""What one cycle costs: wall time, the daemon's own CPU and its memory, for many vehicles.

`python -m tests.bench.cycle --vehicles 1000 --cycles 4` starts PostgreSQL, the simulated fleet and
the daemon, each in a process of its own on this machine, and prints a line per cycle. The first
cycle also opens every connection and stores every channel's configuration. `--against-usual`
measures the puller of `tests.bench.usual` on the same fleet afterwards: machines differ, so compare
ratios.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from fleetsyncd.database import migrate
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import embedded
from fleetsyncd.demo.show import running, simulator
from fleetsyncd.models import utc_now
from fleetsyncd.settings import DatabaseSettings

DONE = re.compile(r"Cycle (?:done in|over after) ([\d.]+)s")
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_megabytes(pid: int) -> float:
    """Return the largest resident set of a process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def register(cursor: Cursor, vehicles: list[dict[str, str]], interval: float) -> None:
    """Register the vehicles as pulled one interval ago."""
    for vehicle in vehicles:
        cursor.execute(
            "INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
            " VALUES (%(name)s, %(host)s::inet, %(port)s, %(key)s,"
            " now() - %(ago)s * interval '1s')",
            {**vehicle, "ago": interval},
        )


def written(cursor: Cursor) -> int:
    """Return how many rows all cycles so far have written."""
    cursor.execute("SELECT coalesce(sum(rows_written), 0) FROM public.sync_journal")
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def measure(
    command: list[str], environment: dict[str, str], database: Database, vehicles: int
) -> None:
    """Run a puller to its end and print what each of its cycles cost."""
    spent, rows = 0.0, 0
    print("cycle   wall s   CPU s   ms/vehicle   rows/vehicle   peak MB", flush=True)
    with running(command, environment, stdout=subprocess.PIPE) as puller:
        assert puller.stdout is not None
        found = (match for line in puller.stdout if (match := DONE.search(line)))
        for number, match in enumerate(found, start=1):
            cpu, total = cpu_seconds(puller.pid) - spent, database.run(written) - rows
            print(
                f"{number:5}   {float(match[1]):6.1f}   {cpu:5.2f}   {1000 * cpu / vehicles:10.2f}"
                f"   {total / vehicles:12.1f}   {peak_megabytes(puller.pid):7.0f}",
                flush=True,
            )
            spent, rows = spent + cpu, rows + total


def prepare(
    server: embedded.Server, name: str, vehicles: list[dict[str, str]], interval: float
) -> Database:
    """Return a fresh database in which the vehicles are registered."""
    server.create_database(name)
    migrate.migrate(
        DatabaseSettings(server.parameters(name, embedded.OWNER)), app_role=embedded.APP
    )
    database = Database(DatabaseSettings(server.parameters(name)))
    database.run(lambda cursor: register(cursor, vehicles, interval))
    Partitions(database).ensure_ahead(utc_now())
    return database


def compare(arguments: argparse.Namespace, stack: ExitStack) -> None:
    """Measure the daemon and, if asked, the usual puller on the same fleet."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = embedded.start(folder / "postgres")
    stack.callback(server.stop)
    vehicles = stack.enter_context(simulator(arguments.vehicles, healthy=True))
    cycles, interval = str(arguments.cycles), str(arguments.interval)
    pullers = {"fleetsyncd": ["fleetsyncd", "run", "--cycles", cycles]}
    if arguments.against_usual:
        pullers["usual"] = ["tests.bench.usual", cycles, interval]
    for name, command in pullers.items():
        database = prepare(server, name, vehicles, arguments.interval)
        environment = {
            **os.environ,
            **server.environment(name),
            "SYNC_INTERVAL_SEC": interval,
            "LOG_LEVEL": "INFO",
        }
        print(f"{name}, {arguments.vehicles} vehicles:", flush=True)
        measure(command, environment, database, arguments.vehicles)
        database.close()


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=1000)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--interval", type=float, default=30)
    parser.add_argument("--against-usual", action="store_true")
    with ExitStack() as stack:
        compare(parser.parse_args(), stack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
