"""What a daemon's process asks of the system and the interpreter before it starts."""

import gc
import logging
import resource
import sys

log = logging.getLogger("sync")

GC_THRESHOLD = 10_000
"""New objects between two looks for garbage that only the collector finds.

One answer alone makes thousands that die with it. At the interpreter's own 700, with the requests
of hundreds of vehicles in flight, the collector takes a quarter of the daemon's time.
"""
RESERVED_FILES = 32
"""What the interpreter, the log and the metrics may have open, with some to spare."""
MIN_SESSIONS = 4


def forbid_core_dumps() -> None:
    """Allow no core dump: it would hold every vehicle's key."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def tune() -> None:
    """Allow many open files, and let the garbage collector run rarely."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Every vehicle keeps a connection.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()  # what is loaded by now stays for good: not worth looking at
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def share_open_files(wanted: int, others: int) -> tuple[int, int]:
    """Return how many of the `wanted` vehicles may be pulled at once, and how many sessions kept.

    Each takes an open file; without this bound they would leave none to PostgreSQL and backfills,
    which take up to `others`.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted, sys.maxsize
    room = max(MIN_SESSIONS, limit - RESERVED_FILES - others)
    concurrency = min(wanted, room * 3 // 4)
    if concurrency < wanted:
        log.warning(
            "the limit of %d open files allows %d vehicles at a time, not SYNC_CONCURRENCY=%d: "
            "raise it (ulimit -n, LimitNOFILE=)",
            limit,
            concurrency,
            wanted,
        )
    return concurrency, room - concurrency
