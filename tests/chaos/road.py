"""The vehicles and their proxies, in a process of their own; letters on standard input are orders.

`python -m tests.chaos.road '{"seed": 7, ...}'` writes one JSON line with the vehicles, and one
after each order: `c` ends the storm, and it says what happened to them; `s` lets the vehicles fall
silent, and it says when that was. It serves on, without faults, until its standard input ends.
"""

import json
import resource
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import partial
from random import Random
from typing import Any

from gevent.os import tp_read
from gevent.server import StreamServer
from gevent.socket import socket

from fleetsyncd.demo.faults import Faults
from fleetsyncd.demo.lateness import PROMPT, Lateness
from fleetsyncd.demo.vehicle import SimulatedVehicle
from tests.chaos import kinds
from tests.chaos.proxy import TRUTH, Address, Proxy

HOUR = 3600.0
OFFSETS = {
    TRUTH: 0.0,
    "clock-back": -HOUR,
    "clock-ahead": 2 * HOUR,
    "clock-far-ahead": 100 * 24 * HOUR,
}
HISTORY_SEC = 30 * 24 * HOUR
BACKFILLED = 2
"""So many vehicles, the last ones, are backfilled in a storm."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A vehicle of the storm, last pulled `gap_sec` ago; its history may be shorter than that."""

    name: str
    key: str
    channels: int = 6
    gap_sec: float = 60.0
    history_sec: float = HISTORY_SEC
    commit_delay_sec: float = 0.0
    lateness: Lateness = PROMPT
    old_alarms: bool = False


def plans(count: int, scale: float) -> list[Plan]:
    """Describe the vehicles; the gaps of the first ones grow with `scale`, 1 for a long storm.

    With a scale of 0 all are alike.
    """
    special = [
        Plan("Dense-01", _key(1), channels=18, gap_sec=max(2.0, 8 * scale) * HOUR),
        Plan("Offline-02", _key(2), channels=4, gap_sec=max(0.1, 40 * scale) * HOUR),
        Plan("Forgetful-03", _key(3), channels=4, gap_sec=26 * HOUR, history_sec=HOUR),
        Plan("Late-04", _key(4), commit_delay_sec=3.0),
        Plan("Old-05", _key(5), old_alarms=True, gap_sec=HOUR),
    ]
    alike = [Plan(f"Truck-{number:03d}", _key(number)) for number in range(1, count + 1)]
    return special[:count] + alike[len(special) :] if scale else alike


def _late(made: list[Plan], seed: int, seconds: float) -> list[Plan]:
    """Draw how late each commits.

    The last ones are backfilled up to the storm's beginning: what they had not committed when that
    was asked for is promised by nobody, so they are late from then on.
    """
    now = time.time()
    drawn = [kinds.lateness(seed, number, now, seconds) for number in range(len(made))]
    for number in range(max(0, len(made) - BACKFILLED), len(made)):
        drawn[number] = replace(drawn[number], since=max(drawn[number].since, now))
    return [replace(plan, lateness=late) for plan, late in zip(made, drawn, strict=True)]


def _key(number: int) -> str:
    return f"storm-key-{number * 7919:08d}-{number:02d}"


class Road:
    """All vehicles with their proxies, and a canary that must receive no connection.

    The first `hostile` ones never give an honest answer where they need not.
    """

    def __init__(self, seed: int, chosen: list[str], plans_: list[Plan], hostile: int) -> None:
        self._began = time.monotonic()
        self._seed = seed
        self._kinds = chosen
        self._hostile = hostile
        self._canary_met = 0
        canary = StreamServer(("127.0.0.1", 0), self._meet)
        canary.start()
        self._canary: Address = canary.socket.getsockname()[:2]
        self._proxies: list[Proxy] = []
        self._simulated: list[SimulatedVehicle] = []
        self.vehicles = [self._add(number, plan) for number, plan in enumerate(plans_)]

    def _meet(self, _connection: socket, _address: object) -> None:
        self._canary_met += 1

    def _add(self, number: int, plan: Plan) -> dict[str, Any]:
        now = time.time()
        history_ms = int((now - plan.history_sec) * 1000)
        clocks = OFFSETS | {"clock-1970": -now}
        addresses = {}
        for clock, offset in clocks.items():
            faults = Faults(
                clock_offset_s=offset,
                commit_delay_s=plan.commit_delay_sec,
                lateness=plan.lateness,
            )
            vehicle = SimulatedVehicle(
                plan.name,
                plan.key,
                faults=faults,
                channels=plan.channels,
                old_alarms=plan.old_alarms,
            )
            vehicle.history_start_ms = history_ms
            vehicle.start()
            self._simulated.append(vehicle)
            addresses[clock] = vehicle.address
        proxy = Proxy(
            addresses,
            plan.key,
            self._canary,
            partial(self._strike, number),
            partial(self._clock, number),
        )
        self._proxies.append(proxy)
        host, port = proxy.start()
        return asdict(plan) | {"host": host, "port": port, "history_ms": history_ms}

    def _strike(self, number: int, count: int, call: str) -> tuple[str | None, Random]:
        if number < self._hostile:
            return kinds.malice(number, count, call)
        return kinds.strike(self._seed, number, count, call, self._kinds)

    def _clock(self, number: int) -> str | None:
        return kinds.clock(self._seed, number, time.monotonic() - self._began, self._kinds)

    def calm(self) -> dict[str, object]:
        """End the storm; return how often each kind of fault happened, and what the canary met."""
        total: Counter[str] = Counter()
        for proxy in self._proxies:
            proxy.storming = False
            total += proxy.counts
        return {"happened": total, "canary": self._canary_met}

    def fall_silent(self) -> int:
        """Let no vehicle measure anything from now on; return that time in ms."""
        now_ms = int(time.time() * 1000)
        for vehicle in self._simulated:
            vehicle.silent_from_ms = now_ms
        return now_ms


def main() -> None:
    """Serve until standard input ends."""
    wanted = json.loads(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    made = plans(wanted["vehicles"], wanted["scale"])
    if seconds := wanted.get("late_seconds"):
        made = _late(made, wanted["seed"], seconds)
    road = Road(wanted["seed"], wanted["kinds"], made, wanted.get("hostile", 0))
    _say(road.vehicles)
    orders = {b"c": road.calm, b"s": road.fall_silent}
    while order := tp_read(0, 1):
        _say(orders[order]())


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
