"""What a daemon's process asks of the system and the interpreter before it starts."""

import gc
import resource

COLLECT_EVERY = 10_000
"""New objects between two looks for garbage that only the collector finds.

One answer alone makes thousands that die with it. At the interpreter's own 700, with the requests
of hundreds of vehicles in flight, the collector takes a quarter of the daemon's time.
"""


def prepare() -> None:
    """Allow many open files, and let the garbage collector run as rarely as it should."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every vehicle keeps a connection.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()  # what is loaded by now stays for good: not worth looking at
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])
