"""Measure an upgrade from the first release over a month of data, with everybody at work.

`python -m tests.upgrade --vehicles 100` fills a database of the first release, and migrates it
while daemons of that release write, a dashboard reads, and somebody holds the locks of a dump for a
while. Printed is how long each of them waited at most. `--program` names another checkout to be
measured in the same way.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, make_dsn

from fleetsyncd.demo import embedded
from tests.upgrade import first_release

DUMP = Path(__file__).with_name("first_release.sql")
DATABASE = "fleet"
CYCLES_A_DAY = 2880
LONGEST_SILENCE_SEC = 900.0
FILL = """
INSERT INTO public.vehicles (name, vpn_ip)
SELECT 'Month-' || n, '10.1.0.0'::inet + n FROM generate_series(1, %(vehicles)s) n;
INSERT INTO fleetsync.vehicle_state (vehicle_id)
SELECT id FROM public.vehicles WHERE name LIKE 'Month-%%';
INSERT INTO public.sync_journal
    (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT v.id, at, at + interval '1 s', CASE WHEN n %% 50 = 0 THEN 'timeout' ELSE 'ok' END, 540,
    CASE WHEN n %% 50 = 0 THEN '/status: no answer within 10 s' END
FROM generate_series(1, %(cycles)s) n
CROSS JOIN LATERAL (SELECT timestamptz '2026-11-24Z' - n * interval '30 s' AS at) t
CROSS JOIN public.vehicles v WHERE v.name LIKE 'Month-%%';
"""
# As `pg_dump` takes them at its start, and keeps them to its end.
DUMPS_LOCKS = """
BEGIN; LOCK TABLE public.vehicles, public.channel_config, public.measurements, public.alarms_log,
    public.sync_journal, fleetsync.vehicle_state, fleetsync.quarantine, fleetsync.replica
    IN ACCESS SHARE MODE
"""
OVERVIEW = """
SELECT v.name, v.sync_status, s.failures, s.newest_measurement_at, j.started_at, j.error_msg
FROM public.vehicles v LEFT JOIN fleetsync.vehicle_state s ON s.vehicle_id = v.id
CROSS JOIN LATERAL (SELECT started_at, error_msg FROM public.sync_journal
                    WHERE vehicle_id = v.id ORDER BY started_at DESC LIMIT 1) j
"""


class Dashboard(threading.Thread):
    """Reads what a dashboard shows, again and again; knows how long one reading took at most."""

    def __init__(self, opened: connection) -> None:
        super().__init__(name="dashboard")
        self._opened = opened
        self.stopping = threading.Event()
        self.longest_sec = 0.0

    def run(self) -> None:
        while not self.stopping.wait(0.2):
            began = time.monotonic()
            with self._opened.cursor() as cursor:
                cursor.execute(OVERVIEW)
            self.longest_sec = max(self.longest_sec, time.monotonic() - began)


def connect(server: embedded.Server, role: str) -> connection:
    """Return a session that sees all rows."""
    opened = psycopg2.connect(make_dsn(**server.parameters(DATABASE, role)))
    opened.autocommit = True
    opened.cursor().execute("SET app.user_role = 'superuser'")
    return opened


def fill(server: embedded.Server, vehicles: int, days: int) -> list[str]:
    """Make the database; return the ids of vehicles for the daemons."""
    server.create_database(DATABASE)
    server.execute(sql.SQL(DUMP.read_text()), database=DATABASE)
    with closing(connect(server, embedded.OWNER)) as opened, opened.cursor() as cursor:
        cursor.execute(FILL, {"vehicles": vehicles, "cycles": days * CYCLES_A_DAY})
        cursor.execute("ANALYZE public.sync_journal")
        cursor.execute("SELECT id::text FROM public.vehicles WHERE name LIKE 'Month-%' LIMIT 4")
        return [str(key) for (key,) in cursor.fetchall()]


def migrate(
    server: embedded.Server, program: Path, blocked: Callable[[], None]
) -> tuple[int, float]:
    """Run the command; return its exit code and seconds.

    `blocked` is called when it says first that somebody is in its way.
    """
    where: dict[str, Any] = server.parameters(DATABASE, embedded.OWNER)
    variables = {
        "DB_HOST": where["host"],
        "DB_NAME": DATABASE,
        "DB_USER": embedded.OWNER,
        "DB_APP_ROLE": embedded.APP,
    }
    began = time.monotonic()
    command = [sys.executable, "-m", "fleetsyncd", "migrate"]
    with subprocess.Popen(
        command,
        cwd=program,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as migrating:
        assert migrating.stdout is not None
        for line in migrating.stdout:
            print(line, end="", flush=True)
            if "gives way" in line:
                blocked()
    return migrating.returncode, time.monotonic() - began


def end_dump(reader: connection, in_the_way: threading.Event, seconds: float) -> None:
    """Release the dump's locks so long after it was first in the way, which not all will say."""
    in_the_way.wait(LONGEST_SILENCE_SEC)
    time.sleep(seconds)
    reader.close()


def measure(server: embedded.Server, options: argparse.Namespace) -> None:
    """Fill, migrate and print."""
    vehicles = fill(server, options.vehicles, options.days)
    rows = options.vehicles * options.days * CYCLES_A_DAY
    print(f"{options.vehicles} vehicles, {rows:,} rows of journal", flush=True)
    daemons = [first_release.Daemon(server.parameters(DATABASE), key) for key in vehicles]
    dashboard = Dashboard(connect(server, embedded.APP))
    for each in (*daemons, dashboard):
        each.start()
    reader = connect(server, embedded.OWNER)
    reader.cursor().execute(DUMPS_LOCKS)
    in_the_way = threading.Event()
    ending = threading.Thread(target=end_dump, args=(reader, in_the_way, options.reader))
    ending.start()
    code, seconds = migrate(server, options.program, in_the_way.set)
    ending.join()
    dashboard.stopping.set()
    for daemon in daemons:
        daemon.stop()
    dashboard.join()
    print(f"migrate: exit code {code}, {seconds:.1f} s, blocked by a dump for {options.reader:g} s")
    longest = max(daemon.longest_sec for daemon in daemons)
    print(f"longest wait of a daemon's transaction: {longest:.2f} s")
    print(f"longest wait of the dashboard's query: {dashboard.longest_sec:.2f} s")
    print(f"cycles meanwhile: {sum(daemon.cycles for daemon in daemons):,}")


def main() -> None:
    """Measure one upgrade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=100)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--reader", type=float, default=25.0, help="seconds of a dump's locks")
    parser.add_argument("--program", type=Path, default=Path.cwd(), help="a checkout")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="fleetsync-upgrade-") as folder:
        server = embedded.start(Path(folder) / "postgres", durable=True)
        try:
            measure(server, options)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
