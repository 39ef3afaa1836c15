"""Runs the dashboard as a process in a pseudo-terminal of 80x24."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from fleetsyncd.demo.embedded import Server
from tests.tui.followed import Followed

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tui"]
PATIENCE_SEC = 60.0
COLUMNS, LINES = 80, 24


class Terminal:
    def __init__(
        self,
        server: Server,
        database: str,
        folder: Path,
        *options: str,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.shown = bytearray()
        """What was sent; a test may clear it."""
        self._screen = Followed(COLUMNS, LINES)
        self.program = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env={
                **os.environ,
                **server.environment(database),
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm-256color",
                # Random keys may write files: none of them into the developer's home.
                "HOME": str(folder),
                "XDG_STATE_HOME": str(folder / "state"),
            },
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def read(self, seconds: float) -> bytes:
        readable, _, _ = select.select([self.ours], [], [], seconds)
        try:
            output = os.read(self.ours, 1 << 16) if readable else b""
        except OSError:  # the other end is closed
            output = b""
        self.shown += output
        self._screen.feed(output)
        return output

    def read_for(self, seconds: float) -> int:
        before, ends = len(self.shown), time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.read(left)
        return len(self.shown) - before

    def close(self) -> None:
        """Close it under the program."""
        if self.ours >= 0:
            os.close(self.ours)
            self.ours = -1

    def type(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(columns, lines)
        self.program.send_signal(signal.SIGWINCH)

    def lines(self) -> list[str]:
        """Return what is on the screen, line by line."""
        return self._screen.lines()

    def screen(self) -> str:
        return "\n".join(self.lines())

    def sees(self, text: str) -> None:
        """Wait until a text was sent, or is on the screen."""
        ends = time.monotonic() + PATIENCE_SEC
        while text.encode() not in self.shown and text not in self.screen():
            assert time.monotonic() < ends, f"no {text!r} in {self.shown[-1500:]!r}, on {self}"
            self.read(0.1)

    def __str__(self) -> str:
        return f"the screen\n{self.screen()}"

    def ended(self) -> int:
        ends = time.monotonic() + PATIENCE_SEC
        while self.program.poll() is None:
            assert time.monotonic() < ends, "the program does not end"
            self.read(0.05)
        while self.read(0.05):
            pass
        return int(self.program.returncode)


@contextmanager
def terminal(
    server: Server, database: str, folder: Path, *options: str, command: Sequence[str] = COMMAND
) -> Iterator[Terminal]:
    opened = Terminal(server, database, folder, *options, command=command)
    try:
        yield opened
    finally:
        opened.program.kill()
        opened.program.wait()
        opened.close()


@contextmanager
def locked(server: Server, database: str, tables: str) -> Iterator[None]:
    """Let every query of these tables wait until the block ends."""
    with closing(server.connect(database)) as other, other.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")
        yield
