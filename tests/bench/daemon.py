"""The daemon, watched for stalls; `BENCH_STALLS` names the file that they go to.

`python -m tests.bench.daemon run` is `fleetsyncd run`; with `step` it runs a cycle for every line
on its standard input, watched if the line is `watch`, and answers `done SECONDS`.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from array import array  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import contextmanager, nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
import greenlet  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402

from fleetsyncd import bootstrap, process  # noqa: E402
from fleetsyncd.cli import main  # noqa: E402

BEAT_SEC = 0.002
TOLD_SEC = 0.001
"""Shorter waits are no stalls, and not noted."""


class Waits:
    """Waits in seconds, and the CPU time that this process used meanwhile."""

    def __init__(self) -> None:
        self.late = array("d")
        self.own = array("d")

    def note(self, late: float, own: float) -> None:
        if late > TOLD_SEC:
            self.late.append(late)
            self.own.append(own)


class Watch:
    """Notes how long each greenlet kept the others waiting, and how late a heartbeat came.

    A turn is the time that no other greenlet could run. A heartbeat waits for the turns of all that
    became ready before it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.turns = Waits()
        self.beats = Waits()
        self._hub = gevent.get_hub()
        self._switched = 0.0, 0.0

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch the body; it costs a little of the process's own time."""
        began = time.monotonic()
        self._switched = began, time.thread_time()
        heart = gevent.spawn(self._beat)
        greenlet.settrace(self._trace)
        try:
            yield
        finally:
            greenlet.settrace(None)
            heart.kill()
            self.seconds += time.monotonic() - began

    def _trace(self, _event: str, switch: tuple[object, object]) -> None:
        now, used = time.monotonic(), time.thread_time()
        if switch[0] is not self._hub:  # which rather waits for something to happen
            self.turns.note(now - self._switched[0], used - self._switched[1])
        self._switched = now, used

    def _beat(self) -> None:
        while True:
            began, used = time.monotonic(), time.thread_time()
            gevent.sleep(BEAT_SEC)
            self.beats.note(time.monotonic() - began - BEAT_SEC, time.thread_time() - used)

    def save(self, path: Path) -> None:
        """Leave what was noted in a file, for `stalls.Stalls`."""
        waits = {
            name: {"late": list(each.late), "own": list(each.own)}
            for name, each in (("turns", self.turns), ("beats", self.beats))
        }
        path.write_text(json.dumps({"seconds": self.seconds, **waits}))


def step(watch: Watch) -> None:
    """Run a cycle for every line that comes; watch it if the line says so."""
    settings = bootstrap.load_settings(log_to=sys.stdout)
    process.tune()
    supervisor = bootstrap.build_supervisor(settings, bootstrap.open_database(settings))
    print("ready", flush=True)
    for line in FileObject(sys.stdin.fileno(), "rb", close=False):
        began = time.monotonic()
        with watch.on() if line == b"watch\n" else nullcontext():
            supervisor.start_cycle()
            supervisor.serve_cycle(None)
        print(f"done {time.monotonic() - began:.4f}", flush=True)
    supervisor.drain()


if __name__ == "__main__":
    watched = Watch()
    try:
        if sys.argv[1:] == ["step"]:
            step(watched)
        else:
            with watched.on():
                main()
    finally:
        watched.save(Path(os.environ["BENCH_STALLS"]))
