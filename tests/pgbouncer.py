"""A real pgbouncer in front of the tests' PostgreSQL, where it is installed."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetsyncd.demo.embedded import Server

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
HOST = "127.0.0.1"
START_SEC = 20


@contextmanager
def pgbouncer(server: Server, folder: Path, pool_mode: str, **settings: str) -> Iterator[int]:
    """Run it in this mode; yield its port. Skips the test where it is not installed."""
    program = shutil.which("pgbouncer", path=PATH)
    if program is None:
        pytest.skip("pgbouncer is not installed")
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    lines = {
        "listen_addr": HOST,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": pool_mode,
        "logfile": str(folder / "log"),
        **settings,
    }
    # With `any` everybody is let in, as the one user that the database's line names.
    text = f"[databases]\n* = host={server.host} user=fleet_app\n"
    text += f"owned = host={server.host} user=fleet_owner dbname={settings.get('owned', 'fleet')}\n"
    lines.pop("owned", None)
    text += "[pgbouncer]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(text)
    running = subprocess.Popen([program, *_as_servers_user(server, folder), str(configuration)])
    try:
        _wait(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(START_SEC)


def _as_servers_user(server: Server, folder: Path) -> list[str]:
    """Return the option that root needs: pgbouncer refuses to run as root."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwuid(Path(server.host).stat().st_uid)
    for path in (folder, *folder.iterdir()):
        os.chown(path, account.pw_uid, account.pw_gid)
    for parent in folder.parents:
        parent.chmod(parent.stat().st_mode | 0o001)
    return ["-u", account.pw_name]


def _wait(port: int, running: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_SEC
    while time.monotonic() < ends and running.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("pgbouncer did not start")
