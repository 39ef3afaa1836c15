"""What one cycle costs: wall time, the daemon's own CPU and its memory, for many vehicles.

`python -m tests.bench.cycle --vehicles 1000 --cycles 4` starts PostgreSQL, the simulated fleet and
the daemon, each in a process of its own on this machine, and prints a line per cycle. The first
cycle also opens every connection and stores every channel's configuration.
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
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import embedded
from fleetsyncd.demo.show import running, simulator
from fleetsyncd.settings import DatabaseSettings

DONE = re.compile(r"Cycle (done in|over after) ([\d.]+)s")
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


def measure(arguments: argparse.Namespace, stack: ExitStack) -> None:
    """Run the daemon for the cycles asked for and print what each cost."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = embedded.start(folder / "postgres")
    stack.callback(server.stop)
    server.create_database("bench")
    migrate.migrate(
        DatabaseSettings(server.parameters("bench", embedded.OWNER)), app_role=embedded.APP
    )
    database = Database(DatabaseSettings(server.parameters("bench")))
    vehicles = stack.enter_context(simulator(arguments.vehicles, healthy=True))
    database.run(lambda cursor: register(cursor, vehicles, arguments.interval))
    environment = {
        **os.environ,
        **server.environment("bench"),
        "SYNC_INTERVAL_SEC": str(arguments.interval),
        "LOG_LEVEL": "INFO",
    }
    command = ["run", "--cycles", str(arguments.cycles)]
    daemon = stack.enter_context(running(command, environment, stdout=subprocess.PIPE))
    assert daemon.stdout is not None
    spent, rows = cpu_seconds(daemon.pid), 0
    print("cycle   wall s   CPU s   ms/vehicle   rows/vehicle   peak MB", flush=True)
    for number, line in enumerate((li for li in daemon.stdout if DONE.search(li)), start=1):
        cpu, total = cpu_seconds(daemon.pid), database.run(written)
        wall = float(DONE.search(line)[2])  # type: ignore[index]  # the generator matched it
        each = 1000 * (cpu - spent) / arguments.vehicles
        share = (total - rows) / arguments.vehicles
        print(
            f"{number:5}   {wall:6.1f}   {cpu - spent:5.2f}   {each:10.2f}   {share:12.1f}"
            f"   {peak_megabytes(daemon.pid):7.0f}",
            flush=True,
        )
        spent, rows = cpu, total


def main() -> int:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=1000)
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--interval", type=float, default=30)
    with ExitStack() as stack:
        measure(parser.parse_args(), stack)
    return 0


if __name__ == "__main__":
    sys.exit(main())
