"""A hot standby of the tests' PostgreSQL: a server that can be read only."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from fleetsyncd.demo.embedded import Server

START_SEC = "60"


@contextmanager
def standby(server: Server, folder: Path) -> Iterator[str]:
    """Copy the server into `folder` and run the copy as its standby; yield its socket's folder."""
    data = folder / "standby"
    data.mkdir(mode=0o700)
    owner = Path(server.host).stat()
    os.chown(data, owner.st_uid, owner.st_gid)
    for parent in data.parents:
        parent.chmod(parent.stat().st_mode | 0o001)

    def run(tool: str, *arguments: str) -> None:
        # A file, and no pipe: the server that is started would keep that open.
        with TemporaryFile() as told:
            _run(tool, arguments, told)

    def _run(tool: str, arguments: Sequence[str], told: IO[bytes]) -> None:
        done = subprocess.run(
            [server.cluster.binaries / tool, *arguments],
            cwd=data,
            user=owner.st_uid if os.geteuid() == 0 else None,
            group=owner.st_gid if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            check=False,
        )
        if done.returncode:
            told.seek(0)
            raise RuntimeError(f"{tool} ended with {done.returncode}: {told.read().decode()}")

    run("pg_basebackup", "-h", server.host, "-U", "postgres", "-D", str(data), "-R", "-c", "fast")
    for socket in data.glob(".s.PGSQL.*"):
        socket.unlink()  # copied with the data, beside which the servers put them
    control = ("-D", str(data), "-w", "-t", START_SEC)
    run("pg_ctl", *control, "-l", str(data / "log"), "-o", f"-h '' -k '{data}'", "start")
    try:
        yield str(data)
    finally:
        run("pg_ctl", *control, "-m", "immediate", "stop")
