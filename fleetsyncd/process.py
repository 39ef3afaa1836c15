"""Settings of the process: open files, core dumps, garbage collection."""

import ctypes
import gc
import logging
import resource
import sys
from contextlib import suppress

log = logging.getLogger("sync")

GC_THRESHOLD = 10_000
"""New objects between two runs of the collector.

One answer alone makes thousands that live only as long as it. With the interpreter's default of 700
and hundreds of requests in flight, the collector takes a quarter of the daemon's time.
"""
RESERVED_FILES = 32
"""For the interpreter, the log and the metrics, with a margin."""
MIN_SESSIONS = 4
_M_TRIM, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""
_LARGE = 128 * 1024


def forbid_core_dumps() -> None:
    """Forbid core dumps: one would hold the vehicles' keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def hold_little_memory() -> None:
    """Keep memory that is free again in one place, and give large pieces of it back at once.

    By default, the C library gives threads pools of their own, and each keeps what its largest
    answer needed. Other C libraries than glibc are left as they are.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM, _LARGE)):
            mallopt(option, value)
    gc.collect()
    gc.freeze()  # what is loaded by now is never garbage


def tune() -> None:
    """Raise the limit of open files to the most allowed, and run the garbage collector rarely."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Each vehicle keeps a connection open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.freeze()  # what is loaded by now is never garbage
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def share_open_files(wanted: int, others: int) -> tuple[int, int]:
    """Return how many of the `wanted` vehicles may be pulled at once, and how many sessions kept.

    Each needs an open file. Without this bound none would be left for PostgreSQL and backfills,
    which need up to `others`.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted, sys.maxsize
    available = max(MIN_SESSIONS, limit - RESERVED_FILES - others)
    concurrency = min(wanted, available * 3 // 4)
    if concurrency < wanted:
        log.warning(
            "the limit of %d open files allows %d vehicles at a time, not SYNC_CONCURRENCY=%d: "
            "raise it (ulimit -n, LimitNOFILE=)",
            limit,
            concurrency,
            wanted,
        )
    return concurrency, available - concurrency
