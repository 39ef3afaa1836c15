"""An installation as an operator has it: a database, vehicles, and the program as processes."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import checker, embedded
from fleetsyncd.demo.processes import running, simulator
from fleetsyncd.times import utc_now

PATIENCE_SEC = 30.0


@dataclass
class Installation:
    """Runs commands and daemons against one database, and knows what must be stored."""

    server: embedded.Server
    database_name: str
    database: Database
    stack: ExitStack
    expectations: list[checker.Expectation] = field(default_factory=list)
    folder: Path | None = None
    """Where commands are run."""
    wrapper: tuple[str, ...] = ()
    """A command line that runs ours."""

    def environment(self, **changes: str) -> dict[str, str]:
        """Return the daemon's environment: quick cycles, short timeouts."""
        quick = {"SYNC_INTERVAL_SEC": "1", "PULL_TIMEOUT_SEC": "2", "SHUTDOWN_GRACE_SEC": "2"}
        here = self.server.environment(self.database_name)
        return {**os.environ, **here, **quick, **changes}

    def command(self, *arguments: str, stdin: str = "", **changes: str) -> tuple[int, str, str]:
        """Run a command to its end; return exit code, output and errors."""
        done = subprocess.run(
            [*self.wrapper, sys.executable, "-W", "error", "-m", "fleetsyncd", *arguments],
            env=self.environment(**changes),
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SEC,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def daemon(self, *arguments: str, **changes: str) -> "Daemon":
        """Start a daemon; it ends with the test at the latest."""
        command = ["fleetsyncd", "run", *arguments]
        process = self.stack.enter_context(
            running(command, self.environment(**changes), stdout=subprocess.PIPE)
        )
        return Daemon(process)

    def fleet(
        self, vehicles: int, ago: timedelta = timedelta(seconds=30), channels: int = 18
    ) -> None:
        """Simulate healthy vehicles and register them as pulled `ago`."""
        simulated = self.stack.enter_context(simulator(vehicles, healthy=True, channels=channels))
        self.register(simulated, utc_now() - ago, channels)

    def register(self, vehicles: list[dict[str, Any]], start: datetime, channels: int) -> None:
        """Register simulated vehicles as pulled up to `start`."""
        self.database.run(lambda cursor: self._register(cursor, vehicles, start, channels))

    def _register(
        self, cursor: Cursor, vehicles: list[dict[str, Any]], start: datetime, channels: int
    ) -> None:
        for vehicle in vehicles:
            cursor.execute(
                "INSERT INTO vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
                " VALUES (%(name)s, %(host)s::inet, %(port)s, %(key)s, %(start)s) RETURNING id",
                {**vehicle, "start": start},
            )
            row = cursor.fetchone()
            assert row is not None
            expected = checker.Expectation(UUID(row[0]), vehicle["name"], start, channels=channels)
            self.expectations.append(expected)

    def rows(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Return what a query says, seen as the daemon sees it."""

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

        return self.database.run(work)

    def close_database(self) -> None:
        """End every connection, and let nobody in."""
        name = self.database_name
        close = "ALTER DATABASE {} ALLOW_CONNECTIONS false"
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}"
        self.server.execute(
            sql.SQL(close).format(sql.Identifier(name)), sql.SQL(end).format(sql.Literal(name))
        )

    def open_database(self) -> None:
        """Let everybody in again."""
        opens = "ALTER DATABASE {} ALLOW_CONNECTIONS true"
        self.server.execute(sql.SQL(opens).format(sql.Identifier(self.database_name)))

    def check(self) -> checker.Comparison:
        """Compare the database with what the vehicles generated."""
        return checker.compare(self.database, self.expectations)

    def until(self, statement: str, *arguments: object, within: float = PATIENCE_SEC) -> float:
        """Wait until a query's first value is true; return how long that took."""
        begun = time.monotonic()
        while not self.rows(statement, *arguments)[0][0]:
            if time.monotonic() - begun > within:
                pytest.fail(f"not within {within:g} s: {statement}")
            time.sleep(0.05)
        return time.monotonic() - begun


class Daemon:
    """A running daemon and the log lines read from it so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def wait_for(self, pattern: str, times: int = 1) -> str:
        """Read the log until `pattern` was found so often; return the last line found."""
        assert self.process.stdout is not None
        begun = time.monotonic()
        for line in self.process.stdout:
            if time.monotonic() - begun > PATIENCE_SEC:
                break
            self.lines.append(line.rstrip("\n"))
            times -= bool(re.search(pattern, line))
            if times == 0:
                return line
        pytest.fail(f"the daemon did not say {pattern}:\n" + "\n".join(self.lines[-20:]))

    def end(self, within: float = PATIENCE_SEC) -> int:
        """Read the log to its end; return the exit code."""
        rest, _ = self.process.communicate(timeout=within)
        self.lines += rest.splitlines()
        return self.process.returncode


@pytest.fixture
def installation(
    server: embedded.Server, database_name: str, database: Database
) -> Iterator[Installation]:
    """Return an installation with an empty fleet."""
    with ExitStack() as stack:
        yield Installation(server, database_name, database, stack)


@pytest.fixture
def bare_server(server_folder: Path) -> Iterator[embedded.Server]:
    """Return a server of its own in which none of our roles exists."""
    started = embedded.start(server_folder / "postgres", durable=False)
    for role in (embedded.OWNER, embedded.APP):
        started.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    yield started
    started.stop()


@pytest.fixture
def key_file(tmp_path: Any) -> Callable[[str], str]:
    """Return a function that writes a key to a file and returns its path."""

    def write(key: str) -> str:
        path = tmp_path / "key"
        path.write_text(key + "\n")
        return str(path)

    return write
