"""Long answers made in slices, between which the daemon goes on."""

import time
from collections.abc import Iterator
from threading import Lock

from fleetsyncd.slices import pause

SLICE_SEC = 0.003
"""CPU time between two pauses, each of which may be long in a busy daemon."""


class Turns:
    """Lets one answer at a time be made, slice by slice."""

    def __init__(self) -> None:
        self._turn = Lock()

    def slices(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the parts, joined to slices."""
        ended = False
        while not ended:
            with self._turn:
                made, ended = _slice(parts)
                pause()
            if made:
                yield made
            # Without this pause the next answer would never get its turn.
            pause()


def _slice(parts: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return what is made in SLICE_SEC, and whether it is the rest."""
    began = time.thread_time()
    made = []
    for part in parts:
        made.append(part)
        if time.thread_time() - began > SLICE_SEC:
            return b"".join(made), False
    return b"".join(made), True
