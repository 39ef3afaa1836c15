"""A vehicle of every hostile kind in a fleet: what that costs the others, and the daemon's memory.

`python -m tests.chaos.crowd` measures the same fleet twice, first with every vehicle honest.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from fleetsyncd.commands.tables import table
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now
from tests.chaos import kinds
from tests.chaos.fleet import register, running_road

WARM_UP_CYCLES = 3
LOOK_SEC = 0.5
MEGABYTE = 1 << 20
GROWTH_ALLOWED = 0.1
"""Of an interval."""
SETTINGS = {"PULL_TIMEOUT_SEC": "3", "VEHICLE_DEFAULT_API_KEY": ""}
_LAG = """
SELECT extract(epoch FROM avg(clock_timestamp() - last_sync_at))::float8 FROM public.vehicles
WHERE id = ANY (%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """The honest vehicles' mean lag, the daemon's memory, and what the others did meanwhile."""

    lag_sec: float
    peak_megabytes: float
    answers: int
    """Hostile ones."""
    canary: int


def measure(folder: Path, vehicles: int, hostile: int, interval: float, seconds: float) -> Measured:
    """Run a daemon on the fleet for a while; the first tenth is left out of the lag each time."""
    name = f"crowd_{hostile}"
    with ExitStack() as stack:
        server = embedded.start(folder / "postgres", durable=False)
        stack.callback(server.stop)
        server.create_database(name)
        migrate.migrate(DatabaseSettings(server.parameters(name, embedded.OWNER)), embedded.APP)
        database = Database(DatabaseSettings(server.parameters(name)))
        stack.callback(database.close)
        wanted = {"seed": 1, "kinds": [], "vehicles": vehicles, "scale": 0, "hostile": hostile}
        road = stack.enter_context(running_road(wanted))
        now = utc_now()
        ids = database.run(lambda c: [register(c, v, now).vehicle_id for v in road.vehicles])
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "fleetsyncd", "run"],
            env={
                **os.environ,
                **server.environment(name),
                **SETTINGS,
                "SYNC_INTERVAL_SEC": f"{interval:g}",
            },
            stdout=log,
            stderr=log,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        honest = [str(vehicle_id) for vehicle_id in ids[len(kinds.WORST) :]]
        lag_sec, megabytes = _watch(
            database, psutil.Process(process.pid), honest, interval, seconds
        )
        happened, canary = road.calm()
        return Measured(lag_sec, megabytes, happened.total(), canary)


def _watch(
    database: Database, daemon: psutil.Process, honest: list[str], interval: float, seconds: float
) -> tuple[float, float]:
    """Return the mean lag of the honest vehicles, and the daemon's largest resident set in MB."""

    def lag(cursor: Cursor) -> float:
        cursor.execute(_LAG, (honest,))
        return float(cursor.fetchall()[0][0])

    time.sleep(WARM_UP_CYCLES * interval)
    lags, sizes = [], []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        lags.append(database.run(lag))
        sizes.append(daemon.memory_info().rss / MEGABYTE)
        time.sleep(LOOK_SEC)
    return statistics.fmean(lags), max(sizes)


def main() -> int:
    """Measure both fleets; return 0 if the lag grew by less than allowed and no key got away."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.crowd", description=__doc__)
    parser.add_argument("--honest", type=int, default=300)
    parser.add_argument("--interval", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    given = parser.parse_args()
    vehicles = given.honest + len(kinds.WORST)
    measured = []
    for hostile in (0, len(kinds.WORST)):
        with tempfile.TemporaryDirectory(prefix="fleetsync-crowd-") as folder:
            measured.append(measure(Path(folder), vehicles, hostile, given.interval, given.seconds))
    calm, hostile_fleet = measured
    rows = [
        [what, f"{one.lag_sec:.2f}", f"{one.peak_megabytes:.0f}", str(one.answers), str(one.canary)]
        for what, one in zip(("none", f"{len(kinds.WORST)} kinds"), measured, strict=True)
    ]
    print(table(["HOSTILE", "LAG OF THE OTHERS, S", "MEMORY, MB", "ANSWERS", "CANARY MET"], rows))
    growth = (hostile_fleet.lag_sec - calm.lag_sec) / given.interval
    print(f"the others' lag grew by {growth:.3f} of an interval, {GROWTH_ALLOWED} is allowed")
    return 0 if growth < GROWTH_ALLOWED and not hostile_fleet.canary else 1


if __name__ == "__main__":
    sys.exit(main())
