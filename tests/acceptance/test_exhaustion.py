"""Disk, connections and open files run out: each is reported, and pulling resumes by itself."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from psycopg2 import sql

from tests.acceptance.conftest import Daemon, Installation

MEGABYTES = 12


@contextmanager
def small_disk(installation: Installation) -> Iterator[Path]:
    """Let every new month lie on a disk of a few megabytes; yield where it is mounted."""
    with TemporaryDirectory(prefix="fleetsync-disk-") as folder:
        owner = Path(installation.server.host).stat().st_uid
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,uid={owner},mode=700", "tmpfs"]
        if subprocess.run([*mount, folder], capture_output=True, check=False).returncode != 0:
            pytest.skip("no disk can be mounted here: the drill is in docs/proof.md")
        try:
            Path(folder).parent.chmod(0o1777)
            disk = Path(folder) / "months"
            disk.mkdir()
            os.chown(disk, owner, -1)
            place = sql.Literal(str(disk))
            name = sql.Identifier(installation.database_name)
            run = installation.server.execute
            run(
                sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place),
                sql.SQL("GRANT CREATE ON TABLESPACE small TO PUBLIC"),
                sql.SQL("ALTER DATABASE {} SET default_tablespace = small").format(name),
            )
            yield Path(folder)
            run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            run(
                sql.SQL("CREATE DATABASE {}").format(name),  # the fixture drops it
                sql.SQL("DROP TABLESPACE small"),
            )
        finally:
            subprocess.run(["umount", folder], check=True)  # noqa: S607  wherever the system has it


def test_a_full_disk_is_reported_with_a_hint_and_pulling_resumes_once_there_is_space(
    installation: Installation,
) -> None:
    with small_disk(installation) as disk:
        installation.fleet(2, ago=timedelta(hours=3), channels=2)
        ballast = disk / "ballast"
        ballast.write_bytes(bytes((MEGABYTES - 1) << 20))
        daemon = installation.daemon()
        daemon.wait_for("error on database: could not extend file")
        error = "SELECT error_msg FROM sync_journal WHERE status = 'error' LIMIT 1"
        assert "free space on the database's disk" in installation.rows(error)[0][0]
        installation.until("SELECT unstored > 0 FROM fleetsync.replica")
        code, text, _ = installation.command("health")
        assert (code, "No space left on device" in text) == (1, True), text
        ballast.unlink()
        daemon.wait_for("online .* wrote", times=2)
        installation.until("SELECT unstored = 0 FROM fleetsync.replica")
        assert installation.command("health")[0] == 0
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        findings = installation.check()
        assert findings.clean, findings.examples
        assert findings.checked > 30_000
        installation.database.close()


def test_connections_that_run_out_are_reported_with_a_hint_and_pulling_resumes(
    installation: Installation,
) -> None:
    installation.fleet(3)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    name = installation.database_name
    limit = "ALTER DATABASE {} CONNECTION LIMIT {}"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
    installation.server.execute(
        sql.SQL(limit).format(sql.Identifier(name), sql.Literal(0)),
        sql.SQL(end).format(sql.Literal(name)),
    )
    line = daemon.wait_for("pulling stops")
    assert "too many connections" in line
    assert "raise max_connections there, or lower DB_POOL_SIZE" in line
    installation.server.execute(sql.SQL(limit).format(sql.Identifier(name), sql.Literal(-1)))
    daemon.wait_for("database is back")
    daemon.wait_for("Cycle done")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert installation.check().clean


def test_a_fleet_larger_than_the_limit_of_open_files_is_pulled_in_turns(
    installation: Installation,
) -> None:
    installation.fleet(60, channels=1)
    process = installation.stack.enter_context(
        subprocess.Popen(
            ["/bin/sh", "-c", 'ulimit -n 64; exec "$0" -m fleetsyncd run', sys.executable],
            env=installation.environment(DB_POOL_SIZE="2"),
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    installation.stack.callback(process.kill)
    daemon = Daemon(process)
    daemon.wait_for("limit of 64 open files allows .* vehicles at a time")
    installation.until("SELECT count(DISTINCT vehicle_id) = 60 FROM sync_journal")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert installation.rows("SELECT count(*) FROM sync_journal WHERE status <> 'ok'"
                             " AND error_msg NOT LIKE 'stopped with%%'") == [(0,)]  # fmt: skip
    assert not any("pulling stops" in line for line in daemon.lines)
    assert installation.check().clean


def test_a_lack_of_open_files_is_reported_with_a_hint(
    installation: Installation,
) -> None:
    installation.fleet(3, channels=1)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    # As if everything but what is open already were taken.
    pid = daemon.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, usual[1]))
    for _ in range(4):  # one that was just being made is told late by the server
        installation.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'fleetsyncd'"
            " AND pid <> pg_backend_pid()"
        )
        time.sleep(0.3)
    daemon.wait_for(r"no more files can be opened: raise the limit \(ulimit -n, LimitNOFILE=\)")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    daemon.wait_for("database is back")
    daemon.wait_for("Cycle done")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert installation.check().clean
