"""The daemons of a storm: started, killed, stopped and frozen, and always started again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO

from tests.chaos.points import POINTS, VARIABLE

TICK_SEC = 0.05
STOP_SEC = 30.0
SETTINGS = {
    "SYNC_INTERVAL_SEC": "1",
    "SILENT_INTERVAL_SEC": "4",
    "PULL_TIMEOUT_SEC": "1.5",
    "PULL_MAX_BODY_MB": "16",
    "SHUTDOWN_GRACE_SEC": "2",
    "DB_POOL_SIZE": "4",
    "VEHICLE_DEFAULT_API_KEY": "",
    "LOG_LEVEL": "DEBUG",  # the end of every cycle, to be compared with the journal
    "TZ": "UTC",
}
LOST = ("no connection to", "did not answer within", "lost connection", "did not finish within")
"""What a daemon says that could not start because the database was being struck."""


@dataclass(slots=True)
class _Daemon:
    process: "subprocess.Popen[bytes]"
    log: Path
    doomed: bool = False
    """It will kill itself, or was told to end."""


class DaemonFaults:
    """Keeps a daemon running in `folder`, and lets faults befall it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment, **SETTINGS}
        self._running: list[_Daemon] = []
        self._started = 0
        self.counts: Counter[str] = Counter()
        self.crashes: list[str] = []
        """Logs of daemons that ended without anybody's help."""
        self._kinds: Mapping[str, Callable[[Random], None]] = {
            "kill": lambda _dice: self._end(self._running[0], signal.SIGKILL),
            "kill-at-point": self._kill_at_point,
            "term": lambda _dice: self._end(self._running[0], signal.SIGTERM),
            "pause": self._pause,
            "pair": self._pair,
        }

    def strike(self, kind: str, dice: Random) -> None:
        """Let one fault happen."""
        self.tend()
        self._kinds[kind](dice)
        self.tend()

    def tend(self) -> None:
        """Start a daemon again if none runs; find those that ended by themselves."""
        for daemon in list(self._running):
            code = daemon.process.poll()
            if code is None:
                continue
            self._running.remove(daemon)
            if daemon.doomed and code in (0, -signal.SIGKILL):
                self.counts["kill-at-point"] += code == -signal.SIGKILL
            elif not self._could_not_start(daemon, code):
                self.crashes.append(f"{daemon.log} ended with {code}")
        if not self._running:
            self._start()

    def tend_for(self, seconds: float) -> None:
        """Tend the daemons for a while."""
        ends = time.monotonic() + seconds
        while (rest := ends - time.monotonic()) > 0:
            self.tend()
            time.sleep(min(rest, TICK_SEC))

    def stop(self) -> None:
        """Let every daemon end in its own way."""
        for daemon in list(self._running):
            self._end(daemon, signal.SIGTERM)

    def kill(self) -> None:
        """End every daemon at once, whatever happened."""
        for daemon in self._running:
            daemon.process.kill()
            daemon.process.wait()
        self._running.clear()

    def log_lines(self) -> list[str]:
        """Return all that the daemons have said."""
        logs = sorted(self._folder.glob("daemon-*.log"))
        return [line for log in logs for line in log.read_text().splitlines()]

    def _start(self, point: str | None = None) -> _Daemon:
        self._started += 1
        log = self._folder / f"daemon-{self._started:04d}.log"
        module, extra = (
            ("fleetsyncd", {}) if point is None else ("tests.chaos.daemon", {VARIABLE: point})
        )
        with log.open("wb") as output:
            process = _spawn(module, {**self._environment, **extra}, output)
        daemon = _Daemon(process, log, doomed=point is not None)
        self._running.append(daemon)
        return daemon

    def _end(self, daemon: _Daemon, number: signal.Signals) -> None:
        """Signal a daemon and see it end; SIGKILL counts as `kill`, another as `term`."""
        daemon.process.send_signal(number)
        try:
            code = daemon.process.wait(STOP_SEC)
        except subprocess.TimeoutExpired:
            self.crashes.append(f"{daemon.log} did not end within {STOP_SEC:g} s of {number.name}")
            daemon.process.kill()
            code = daemon.process.wait()
        self._running.remove(daemon)
        if number is not signal.SIGKILL and code == -signal.SIGKILL:
            self.counts["kill-at-point"] += daemon.doomed
        else:
            self.counts["kill" if number is signal.SIGKILL else "term"] += code in (-number, 0)
        ends = (0, -signal.SIGKILL, -number, 128 + number)
        if code not in ends and not self._could_not_start(daemon, code):
            self.crashes.append(f"{daemon.log} ended with {code} after {number.name}")

    def _kill_at_point(self, dice: Random) -> None:
        """Put a daemon in the present one's place that will end at a point of its way."""
        self._end(self._running[0], signal.SIGTERM)
        times = dice.randint(1, 12)
        daemon = self._start(f"{dice.choice(list(POINTS))}:{times}")
        ends = time.monotonic() + dice.uniform(4.0, 8.0)
        while daemon.process.poll() is None and time.monotonic() < ends:
            time.sleep(TICK_SEC)

    def _pause(self, dice: Random) -> None:
        self._running[0].process.send_signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.5, 4.0))
        self._running[0].process.send_signal(signal.SIGCONT)
        self.counts["pause"] += 1

    def _pair(self, dice: Random) -> None:
        """Let two daemons run at once for a while, and kill one of them."""
        self._start()
        self.tend_for(dice.uniform(2.0, 6.0))
        if len(self._running) > 1:
            self._end(dice.choice(self._running), signal.SIGKILL)
            self.counts["kill"] -= 1
            self.counts["pair"] += 1

    def _could_not_start(self, daemon: _Daemon, code: int) -> bool:
        """Tell whether it ended, as it should, because it found no database to start with."""
        log = daemon.log.read_text()
        return code == 2 and any(reason in log for reason in LOST)


def _spawn(
    module: str, environment: Mapping[str, str], output: IO[bytes]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", module, "run"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
