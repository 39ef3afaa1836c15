"""Simulated vehicles, each of which is silent once; a process of its own.

`python -m tests.chaos.silences COUNT EVERY LENGTH`: the next one falls silent EVERY seconds after
the one before, for LENGTH seconds. Prints the vehicles as one JSON line; ends with its input.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402

from gevent.fileobject import FileObject  # noqa: E402

from fleetsyncd.demo.faults import Stretches  # noqa: E402
from fleetsyncd.demo.fleet import Fleet, demo_specs  # noqa: E402

BEFORE_SEC = 30.0
DAY_SEC = 86_400.0


def serve(count: int, every: float, length: float) -> None:
    """Serve until the input ends."""
    begin = time.time() + BEFORE_SEC
    specs = demo_specs(count, with_faults=False)
    silent = [
        replace(spec, faults=replace(spec.faults, timeout_every=Stretches(DAY_SEC, length, at)))
        for spec, at in zip(specs, (begin + every * n for n in range(count)), strict=True)
    ]
    fleet = Fleet([spec.build(channels=2) for spec in silent])
    fleet.start()
    known = [
        {"name": spec.name, "host": host, "port": port, "key": spec.key}
        for spec, (host, port) in zip(specs, fleet.addresses, strict=True)
    ]
    print(json.dumps(known), flush=True)
    for _ in FileObject(sys.stdin.fileno(), "rb", close=False):
        pass
    fleet.stop()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
