"""How long greenlets had to wait for their turn."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PRECISION_SEC = 1e-5


@dataclass(frozen=True, slots=True)
class Waits:
    """`late`: each wait in seconds; `own`: the CPU time the process itself used meanwhile, which
    tells its own stalls from those of a machine that was busy with others.
    """

    late: tuple[float, ...]
    own: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Stalls:
    """`turns`: how long single greenlets kept all others waiting; `beats`: how late a heartbeat
    came, which has to wait for everybody that became ready before it; `seconds`: how long both were
    watched.
    """

    seconds: float
    turns: Waits
    beats: Waits

    @classmethod
    def read(cls, path: Path) -> "Stalls":
        """Return what a watched daemon left in a file when it ended."""
        stalls = json.loads(path.read_text())
        turns, beats = (
            Waits(tuple(stalls[name]["late"]), tuple(stalls[name]["own"]))
            for name in ("turns", "beats")
        )
        return cls(stalls["seconds"], turns, beats)

    @classmethod
    def joined(cls, several: Iterable["Stalls"]) -> "Stalls":
        """Return the stalls of several processes as one."""
        each = list(several)
        return cls(
            sum(one.seconds for one in each),
            _joined(one.turns for one in each),
            _joined(one.beats for one in each),
        )


def _joined(several: Iterable[Waits]) -> Waits:
    each = list(several)
    late = tuple(wait for one in each for wait in one.late)
    return Waits(late, tuple(used for one in each for used in one.own))


def longest(waits: Iterable[float]) -> float:
    """Return the longest wait, in seconds."""
    return max(waits, default=0.0)


def wait_exceeded(waits: Iterable[float], seconds: float, share: float) -> float:
    """Return the wait that only `share` of all moments in `seconds` exceed.

    By moments and not by beats: during one long stall there is one beat, but many a moment at
    which somebody may have wanted to run.
    """
    late = tuple(waits)
    low, high = 0.0, longest(late)
    while high - low > PRECISION_SEC:
        middle = (low + high) / 2
        beyond = sum(wait - middle for wait in late if wait > middle)
        low, high = (middle, high) if beyond > share * seconds else (low, middle)
    return high
