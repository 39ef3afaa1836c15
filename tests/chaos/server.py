"""Faults of PostgreSQL itself: restarts, crashes, killed and frozen backends, an older copy.

And what is none, but has to be borne: chunks of a hypertable are compressed.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from threading import Lock

import psycopg2

from fleetsyncd.demo import clusters
from fleetsyncd.demo.embedded import Server
from fleetsyncd.models import Window
from fleetsyncd.times import utc_now

PATIENCE_SEC = 60.0
BACKUP_SHARE = 0.3
"""Of the faults after which a backup is taken."""
_BACKENDS = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'fleetsyncd' AND pid <> pg_backend_pid()
"""
_CHUNKS = """
SELECT quote_ident(fleetsync.timescale_schema()), part FROM fleetsync.hidden_parts()
WHERE fleetsync.timescale_schema() IS NOT NULL ORDER BY begins
"""


class DatabaseFaults:
    """Lets faults befall a server; each method returns once it accepts connections again.

    Nobody else strikes it while `striking` is held. Once a base backup was taken, one is from time
    to time; `go-back` puts the last one in the server's place.
    """

    def __init__(self, server: Server, database: str, data: Path, striking: Lock) -> None:
        self._server = server
        self._database = database
        self._data = data
        self._striking = striking
        self._backup = data.with_name("backup")
        self._backed_up_at = utc_now()
        self.forgotten: list[Window] = []
        """Intervals of which the database knows nothing any more."""
        self.counts: Counter[str] = Counter()
        self._kinds: Mapping[str, Callable[[Random], bool]] = {
            "restart": lambda _dice: self._restart("fast"),
            "crash": lambda _dice: self._restart("immediate"),
            "kill-backend": self._kill_backend,
            "kill-postmaster": self._kill_postmaster,
            "terminate": self._terminate,
            "freeze": self._freeze,
            "go-back": self._go_back,
            "compress": self._compress,
        }

    def strike(self, kind: str, dice: Random) -> None:
        """Let one fault happen, and count it if it found something to strike."""
        with self._striking:
            if self._kinds[kind](dice):
                self.counts[kind] += 1
            await_connections(self._server)
        if self._backup.exists() and (kind == "go-back" or dice.random() < BACKUP_SHARE):
            self.back_up()

    def back_up(self) -> None:
        """Take a base backup while the server goes on."""
        shutil.rmtree(self._backup, ignore_errors=True)
        at = utc_now()
        tool, folder = self._server.cluster.binaries / "pg_basebackup", str(self._backup)
        options = ["-h", self._server.host, "-U", "postgres", "-X", "fetch", "-c", "fast"]
        subprocess.run([tool, "-D", folder, *options], check=True, capture_output=True)
        self._backed_up_at = at

    def _restart(self, mode: str) -> bool:
        self._server.cluster.halt(mode)
        start(self._server)
        return True

    def _backends(self) -> list[int]:
        with closing(self._server.connect("postgres")) as connection, connection.cursor() as cursor:
            cursor.execute(_BACKENDS)
            return [row[0] for row in cursor.fetchall()]

    def _kill_backend(self, dice: Random) -> bool:
        """Kill one of the daemons' backends, upon which the server restarts all of them."""
        backends = self._backends()
        if backends:
            _signal(dice.choice(backends), signal.SIGKILL)
            time.sleep(0.2)  # or the old server would still be found ready
        return bool(backends)

    def _kill_postmaster(self, _dice: Random) -> bool:
        clusters.kill(self._server.cluster)
        start(self._server)
        return True

    def _go_back(self, _dice: Random) -> bool:
        """Replace the server by its last base backup, as a failover to a standby that lagged."""
        self._server.cluster.halt("immediate")
        owner = self._data.stat()
        for path in self._data.iterdir():
            if (self._backup / path.name).exists() or path.name.startswith("pg_"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._backup, self._data, dirs_exist_ok=True)
        for path in self._data.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid)
        self._data.chmod(0o700)
        os.chown(self._data, owner.st_uid, owner.st_gid)
        start(self._server)
        self.forgotten.append(Window(self._backed_up_at, utc_now()))
        return True

    def _compress(self, dice: Random) -> bool:
        """Compress a chunk, or again if it was and has got rows; not one that is in use for long.

        Daemons do so with chunks that are a day old at least: there are none in a storm.
        """
        with closing(self._server.connect(self._database)) as connection:
            cursor = connection.cursor()
            cursor.execute(_CHUNKS)
            chunks = cursor.fetchall()
            if not chunks:
                return False
            schema, chunk = dice.choice(chunks)
            cursor.execute("SET lock_timeout = '2s'")
            try:
                cursor.execute(f"SELECT {schema}.compress_chunk(%s)", (chunk,))
                connection.commit()
            except (psycopg2.errors.LockNotAvailable, psycopg2.errors.DeadlockDetected):
                return False
            return True

    def _terminate(self, _dice: Random) -> bool:
        backends = self._backends()
        with closing(self._server.connect("postgres")) as connection, connection.cursor() as cursor:
            for backend in backends:
                cursor.execute("SELECT pg_terminate_backend(%s)", (backend,))
            connection.commit()
        return bool(backends)

    def _freeze(self, dice: Random) -> bool:
        backends = self._backends()
        for backend in backends:
            _signal(backend, signal.SIGSTOP)
        time.sleep(dice.uniform(0.5, 4.0))
        for backend in backends:
            _signal(backend, signal.SIGCONT)
        return bool(backends)


def await_connections(server: Server) -> None:
    """Wait until a server takes connections."""
    _insist(lambda: server.connect("postgres").close(), psycopg2.OperationalError)


def start(server: Server) -> None:
    """Start a server; one that was killed may leave its memory in use for a moment."""
    _insist(server.cluster.start, Exception)


def _insist(work: Callable[[], None], failure: type[Exception]) -> None:
    """Do the work as soon as it does not fail any more."""
    ends = time.monotonic() + PATIENCE_SEC
    while True:
        try:
            work()
        except failure:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


def _signal(process: int, number: signal.Signals) -> None:
    """Send a signal to a backend, which may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(process, number)
