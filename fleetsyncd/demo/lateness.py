"""How late a simulated vehicle commits its rows: a pure function of (seed, channel, stamp)."""

from dataclasses import dataclass
from math import ceil, inf

from fleetsyncd.demo.waveforms import mix


@dataclass(frozen=True, slots=True)
class Lateness:
    """Each row is committed between `least_s` and `most_s` after its stamp, by the vehicle's clock.

    Only rows stamped from `since` until before `until` are late, in seconds since 1970.
    """

    most_s: float = 0.0
    least_s: float = 0.0
    since: float = -inf
    until: float = inf

    @property
    def most_ms(self) -> int:
        """The latest that a row can be, in ms."""
        return ceil(self.most_s * 1000)

    def of(self, seed: int, channel_id: int, stamp_ms: int) -> int:
        """Return how many ms after its stamp a row is committed."""
        if not self.most_s or not self.since <= stamp_ms / 1000 < self.until:
            return 0
        least = int(self.least_s * 1000)
        return least + mix(mix(seed, channel_id), stamp_ms) % (self.most_ms - least + 1)


PROMPT = Lateness()
