"""A disk on which nothing more fits: every place where an operator looks says so, until it is over.

No disk is mounted, so these tests need no right to do so: the server's processes may make no file
longer than some megabytes, so that new pages are refused as on a full disk. `test_exhaustion.py`
has the test with a real one.
"""

import resource
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import migrate
from fleetsyncd.demo import embedded
from fleetsyncd.settings import DatabaseSettings
from tests.acceptance.conftest import Installation
from tests.acceptance.test_monitoring import free_port

NAME = "full"
MEGABYTES = 16
"""No file may be longer: the length of a file of the write-ahead log."""
_MEASUREMENTS = """
INSERT INTO measurements (vehicle_id, channel_id, time, value)
SELECT id, n, now(), 0 FROM vehicles, generate_series(-250000, -1) n
"""
_JOURNAL = """
INSERT INTO sync_journal (vehicle_id, started_at, finished_at, status, rows_written, error_msg)
SELECT id, now() - n * interval '1 s', now(), 'ok', 0, repeat('x', 900)
FROM vehicles, generate_series(1, 20000) n
"""


@dataclass
class FullDisk:
    """An installation on a server of its own, whose files can be kept from growing."""

    installation: Installation

    def fill(self) -> None:
        """Start the server again so that no file of it grows beyond what the tables have."""
        _, most = usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTES << 20, most))
        try:
            self.free()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    def free(self) -> None:
        """Start the server again with this process's own limit."""
        cluster = self.installation.server.cluster
        cluster.halt("fast")
        cluster.start()


@pytest.fixture
def disk(server_folder: Path) -> Iterator[FullDisk]:
    """Return an installation of one vehicle whose two large tables are as long as they may be."""
    server = embedded.start(server_folder / "postgres", durable=False)
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, embedded.OWNER)), embedded.APP)
    with (
        closing(Database(DatabaseSettings(server.parameters(NAME)))) as database,
        ExitStack() as stack,
    ):
        installation = Installation(server, NAME, database, stack)
        installation.fleet(1)
        installation.command("once")
        installation.rows(_MEASUREMENTS)
        installation.rows(_JOURNAL)
        yield FullDisk(installation)
    server.stop()


def scrape(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    (line,) = (line for line in lines if line.startswith((f"{name} ", f"{name}{{")))
    return float(line.rpartition(" ")[2])


def test_a_full_disk_shows_everywhere_until_there_is_space_again(disk: FullDisk) -> None:
    it, port = disk.installation, free_port()
    daemon = it.daemon(METRICS_PORT=str(port))
    daemon.wait_for("Cycle done")
    code, text, _ = it.command("health")
    assert (code, text.startswith("healthy: ")) == (0, True)
    disk.fill()
    daemon.wait_for("error on database: could not extend file")
    it.until("SELECT unstored = 1 FROM fleetsync.replica")
    code, text, _ = it.command("health")
    assert (code, text.startswith("failing: 1 vehicle(s) could not be stored")) == (1, True), text
    _, text, errors = it.command("status")
    assert "could not extend file" in text
    assert "  error  " in text
    assert "1 vehicle(s) could not be stored in the last cycle: [Truck-01]" in errors
    daemon.wait_for("Cycle done", times=2)
    assert scrape(port, "fleetsync_unstored_vehicles") == 1
    assert scrape(port, "fleetsync_vehicle_up") == 0
    code, text, _ = it.command("doctor", "--no-vehicles")
    assert (code, "cannot be written to public.measurements: could not" in text) == (1, True), text
    disk.free()
    daemon.wait_for("online again after")
    it.until("SELECT unstored = 0 FROM fleetsync.replica")
    assert it.command("health")[0] == 0
    assert it.command("doctor", "--no-vehicles")[0] == 0
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0


def test_doctor_finds_a_full_disk_although_one_row_still_fits(disk: FullDisk) -> None:
    it = disk.installation
    it.rows("DELETE FROM measurements WHERE channel_id BETWEEN -2000 AND -1")
    it.rows("DELETE FROM sync_journal WHERE started_at > now() - interval '5 min'")
    tidy = ("VACUUM measurements, sync_journal", "REINDEX TABLE measurements")
    it.server.execute(*map(sql.SQL, tidy), database=NAME)
    disk.fill()
    it.rows("INSERT INTO measurements (vehicle_id, channel_id, time, value)"
            " SELECT id, 99, now(), 0 FROM vehicles")  # fmt: skip
    code, text, _ = it.command("doctor", "--no-vehicles")
    assert (code, "many rows cannot be written to public.measurements" in text) == (1, True), text


def test_doctor_names_the_daemon_that_cannot_store_what_it_pulls(
    installation: Installation,
) -> None:
    installation.rows(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec, unstored,"
        " unstored_reason) VALUES (gen_random_uuid(), 'elsewhere', 1, '1', 30, 3, '[T-1] full')"
    )
    code, text, _ = installation.command("doctor", "--no-vehicles")
    told = "daemon elsewhere:1: 3 vehicle(s) could not be stored in the last cycle: [T-1] full"
    assert (code, told in text) == (1, True)
    assert installation.command("health", "--any-host")[0] == 1
    installation.rows("UPDATE fleetsync.replica SET unstored = 0")
    assert installation.command("health", "--any-host")[0] == 0
