"""How a simulated vehicle misbehaves: pure functions of the true time, in seconds since 1970."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from types import MappingProxyType

from fleetsyncd.demo.lateness import PROMPT, Lateness


@dataclass(frozen=True, slots=True)
class Stretches:
    """`length_s` seconds out of every `period_s`, the first beginning at `offset_s`."""

    period_s: float
    length_s: float
    offset_s: float = 0.0

    def remaining(self, now: float) -> float:
        """Return the seconds until the current stretch ends, 0 outside one."""
        return max(self.length_s - (now - self.offset_s) % self.period_s, 0.0)


ALWAYS = Stretches(86_400.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that is wrong with one vehicle; by default nothing.

    `timeout_every`: accepts requests and never answers them.
    `down`: its database is down, so that only /status answers.
    `refuse_key`: answers 401 whatever the key.
    `offline_before`: no data before this time of its own clock, in seconds since 1970.
    `clock_offset_s`: its clock's distance from the true time, negative when behind.
    `commit_delay_s`: rows and alarms become visible this long after their stamp.
    `lateness`: rows become visible still later, each by its own time.
    `latency_s`: waits before each answer.
    """

    timeout_every: Stretches | None = None
    down: Stretches | None = None
    refuse_key: bool = False
    offline_before: float = -inf
    clock_offset_s: float = 0.0
    commit_delay_s: float = 0.0
    lateness: Lateness = PROMPT
    latency_s: float = 0.0

    def beginning(self, at: float) -> "Faults":
        """Return the same faults with their first stretches beginning at `at`."""
        return replace(
            self,
            timeout_every=self.timeout_every and replace(self.timeout_every, offset_s=at),
            down=self.down and replace(self.down, offset_s=at),
        )

    def hangs_for(self, now: float) -> float:
        """Return the seconds for which requests stay unanswered, 0 when they are answered."""
        return self.timeout_every.remaining(now) if self.timeout_every else 0.0

    def is_down(self, now: float) -> bool:
        """Tell whether the vehicle's own database is down."""
        return self.down is not None and self.down.remaining(now) > 0


HEALTHY = Faults()
PRESETS: Mapping[str, Faults] = MappingProxyType(
    {
        "healthy": HEALTHY,
        "times out now and then": Faults(timeout_every=Stretches(150.0, 40.0)),
        "refuses its key": Faults(refuse_key=True),
        "database down for a while": Faults(down=Stretches(300.0, 90.0)),
        "clock 40 s behind": Faults(clock_offset_s=-40.0),
        "commits 3 s late": Faults(commit_delay_s=3.0),
        "slow link": Faults(latency_s=0.6),
    }
)
