"""The kinds of fault, by where they strike, and which of them strikes when: pure and seeded."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from random import Random

from fleetsyncd.demo.lateness import PROMPT, Lateness

LINK = (
    "hang",
    "drip",
    "drip-head",
    "endless-100",
    "endless-103",
    "busy",
    "slow-link",
    "reset",
    "cut",
    "hang-up",
    "401",
    "422",
    "500",
    "503",
    "html",
    "redirect",
)
"""The mobile link and what stands on it: proxies, portals, refusals."""
POISON = (
    "cut-gzip",
    "double-gzip",
    "bomb",
    "huge-length",
    "hand-made",
    "bad-entries",
    "control-characters",
    "echoed-key",
    "other-interval",
    "channels-change",
    "dear-to-read",
    "never-complete",
    "alarm-flood",
    "clock-9999",
    "two-lengths",
    "other-notation",
)
"""Answers that are complete HTTP and still not what was asked for."""
MALICE = ("new-alarms", "new-channels", "other-past", "past-flood", "no-past")
"""What only a hostile vehicle does: what it sends is stored, and nothing that it measured."""
CLOCK = ("clock-back", "clock-ahead", "clock-far-ahead", "clock-1970")
DATABASE = (
    "restart",
    "crash",
    "kill-backend",
    "kill-postmaster",
    "terminate",
    "freeze",
    "go-back",
    "compress",
)
CLUSTER = (
    "worker-restart",
    "worker-crash",
    "worker-kill",
    "worker-freeze",
    "worker-terminate",
    "move-shard",
    "commit-cut",
)
"""Only where the database is a Citus cluster."""
DAEMON = ("kill", "kill-at-point", "term", "pause", "pair")

GROUPS: Mapping[str, tuple[str, ...]] = {
    "link": LINK,
    "poison": POISON,
    "clock": CLOCK,
    "database": DATABASE,
    "daemon": DAEMON,
}
KINDS = tuple(kind for group in GROUPS.values() for kind in group)
ALL_GROUPS = {**GROUPS, "cluster": CLUSTER}
# One node alone cannot go back: the others would know of months and shards that it does not.
CLUSTER_GROUPS = {
    group: tuple(kind for kind in kinds if kind != "go-back") for group, kinds in ALL_GROUPS.items()
}
CLUSTER_KINDS = tuple(kind for group in CLUSTER_GROUPS.values() for kind in group)
KILLS = frozenset({"kill", "kill-at-point", "pair"})
RESTARTS = frozenset({"restart", "crash", "kill-backend", "kill-postmaster", "go-back"})
WORKERS = frozenset({"worker-restart", "worker-crash", "worker-kill"})

WORST = (
    "drip",
    "drip-head",
    "endless-100",
    "hang",
    "reset",
    "redirect",
    "bomb",
    "double-gzip",
    "huge-length",
    "hand-made",
    "bad-entries",
    "control-characters",
    "echoed-key",
    "slow-link",
    "dear-to-read",
    "never-complete",
    "alarm-flood",
    "new-alarms",
    "new-channels",
    "other-past",
    "past-flood",
    "no-past",
)
"""What a vehicle may do on purpose to harm others."""

LINK_SHARE = 0.04
POISON_SHARE = 0.22
CLOCK_SHARE = 0.15
CLOCK_SLOT_SEC = 8.0
PROMPT_SHARE = 0.3
EPISODE_SHARE = 0.3
LATE_SEC = (2.0, 8.0, 20.0, 90.0, 100.0)
ONLY_FOR = {
    "bad-entries": {"/data", "/channels", "/alarms"},
    "control-characters": {"/status", "/channels"},
    "other-interval": {"/data"},
    "channels-change": {"/channels"},
    "never-complete": {"/data"},
    "alarm-flood": {"/alarms"},
    "clock-9999": {"/status"},
    "new-alarms": {"/alarms"},
    "new-channels": {"/channels"},
    "other-past": {"/data"},
    "past-flood": {"/data"},
    "no-past": {"/data"},
}


@dataclass(frozen=True, slots=True)
class Event:
    """A fault that strikes `at` seconds after the storm began; `dice` decides its details."""

    at: float
    kind: str
    dice: Random


def chosen(text: str) -> tuple[str, ...]:
    """Return the kinds named in a list of kinds and groups; ValueError names an unknown one."""
    kinds: list[str] = []
    for name in text.split(","):
        if name not in (*ALL_GROUPS, *KINDS, *CLUSTER):
            known = ", ".join([*ALL_GROUPS, *KINDS, *CLUSTER])
            raise ValueError(f"{name} is no kind of fault: {known}")
        kinds += ALL_GROUPS.get(name, (name,))
    return tuple(dict.fromkeys(kinds))


def strike(
    seed: int, vehicle: int, number: int, call: str, kinds: Collection[str]
) -> tuple[str | None, Random]:
    """Return what befalls a vehicle's answer of this number, None for nothing; and its dice."""
    dice = Random(f"{seed}/{vehicle}/{number}")
    chance = dice.random()
    group = LINK if chance < LINK_SHARE else POISON
    fitting = [kind for kind in group if kind in kinds and call in ONLY_FOR.get(kind, {call})]
    if chance >= LINK_SHARE + POISON_SHARE or not fitting:
        return None, dice
    return dice.choice(fitting), dice


def malice(vehicle: int, number: int, call: str) -> tuple[str | None, Random]:
    """Return what a hostile vehicle answers: always the worst that it can at this call."""
    dice = Random(f"{vehicle}/{number}")
    worst = WORST[vehicle % len(WORST)]
    if (worst, call) == ("never-complete", "/channels"):
        worst = "new-channels"  # so that every single one must be asked for
    return (worst if call in ONLY_FOR.get(worst, {call}) else None), dice


def clock(seed: int, vehicle: int, elapsed: float, kinds: Collection[str]) -> str | None:
    """Return how the vehicle's clock is wrong so long after the storm began, None if it is not."""
    slot = int(elapsed / CLOCK_SLOT_SEC)
    dice = Random(f"{seed}/clock/{vehicle}/{slot}")
    fitting = [kind for kind in CLOCK if kind in kinds]
    return dice.choice(fitting) if fitting and dice.random() < CLOCK_SHARE else None


def lateness(seed: int, vehicle: int, began: float, seconds: float) -> Lateness:
    """Return how late a vehicle commits in a storm that begins then and lasts so long."""
    dice = Random(f"{seed}/late/{vehicle}")
    chance, most = dice.random(), dice.choice(LATE_SEC)
    since, until = (began + seconds * dice.uniform(*part) for part in ((0.0, 0.4), (0.6, 1.0)))
    least = dice.choice((0.0, most))
    if chance < PROMPT_SHARE:
        return PROMPT
    if chance < PROMPT_SHARE + EPISODE_SHARE:
        return Lateness(most, least, since, dice.choice((until, inf)))
    return Lateness(most, least)


def events(
    seed: int, group: str, seconds: float, mean: float, kinds: Collection[str]
) -> Iterator[Event]:
    """Yield the faults of a group that strikes every `mean` seconds on average, in order."""
    fitting = [kind for kind in ALL_GROUPS[group] if kind in kinds]
    dice = Random(f"{seed}/{group}")
    at = dice.uniform(0.3, 1.7) * mean
    while fitting and at < seconds:
        yield Event(at, dice.choice(fitting), Random(dice.random()))
        at += dice.uniform(0.3, 1.7) * mean
