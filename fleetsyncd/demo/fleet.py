"""A fleet of simulated vehicles in one process; the first seven include six with faults."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from fleetsyncd.demo.faults import HEALTHY, PRESETS, Faults
from fleetsyncd.demo.lateness import Lateness
from fleetsyncd.demo.readings import CHANNELS
from fleetsyncd.demo.vehicle import SimulatedVehicle

HISTORY_S = 90 * 86_400.0
OFFLINE_S = 26 * 3600.0

_KINDS = ("Truck", "Excavator", "Loader", "Dozer", "Grader", "Crane", "Roller")


@dataclass(frozen=True, slots=True)
class VehicleSpec:
    """One vehicle as it is to be registered and simulated.

    `key` is the registered key; `own_key`, where given, is the one the vehicle really wants.
    `offline_since_s`: seconds ago of its last sync, None when it has never been synced.
    """

    name: str
    key: str
    own_key: str | None = None
    faults: Faults = HEALTHY
    offline_since_s: float | None = None

    def build(
        self,
        *,
        channels: int = len(CHANNELS),
        history_s: float = HISTORY_S,
        clock: Callable[[], float] = time.time,
    ) -> SimulatedVehicle:
        """Make the vehicle, not yet listening."""
        return SimulatedVehicle(
            self.name,
            self.own_key or self.key,
            faults=self.faults,
            channels=channels,
            history_s=history_s,
            clock=clock,
        )


def demo_specs(
    count: int,
    *,
    with_faults: bool = True,
    begin: float | None = None,
    late: Sequence[float] = (),
) -> list[VehicleSpec]:
    """Describe `count` vehicles; the first is healthy, the next six have one fault each.

    Faults that come and go first show at `begin`, in seconds since 1970. The last vehicles, one for
    each of `late`, commit every row up to so many seconds late.
    """
    specs = [_healthy(number) for number in range(1, count + 1)]
    if with_faults:
        specs = [_afflicted(spec, at) for at, spec in enumerate(specs)]
    for at, most_s in enumerate(late, start=-len(late)):
        specs[at] = replace(specs[at], faults=replace(specs[at].faults, lateness=Lateness(most_s)))
    return specs if begin is None else [replace(s, faults=s.faults.beginning(begin)) for s in specs]


def demo_fleet(
    count: int,
    *,
    with_faults: bool = True,
    channels: int = len(CHANNELS),
    history_s: float = HISTORY_S,
    clock: Callable[[], float] = time.time,
) -> list[SimulatedVehicle]:
    """Make the vehicles of `demo_specs`, in the same order."""
    return [
        spec.build(channels=channels, history_s=history_s, clock=clock)
        for spec in demo_specs(count, with_faults=with_faults)
    ]


class Fleet:
    """Vehicles that start and stop together, on ports from `base_port` up, or on free ones.

    Every vehicle holds a listening socket: the caller raises RLIMIT_NOFILE for large fleets.
    """

    def __init__(
        self, vehicles: Sequence[SimulatedVehicle], *, host: str = "127.0.0.1", base_port: int = 0
    ) -> None:
        self.vehicles = tuple(vehicles)
        self._host = host
        self._base_port = base_port

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every vehicle, in their order; only after `start`."""
        return [vehicle.address for vehicle in self.vehicles]

    def start(self) -> None:
        """Listen with every vehicle, or with none and OSError when a port is taken."""
        try:
            for at, vehicle in enumerate(self.vehicles):
                vehicle.start(self._host, self._base_port + at if self._base_port else 0)
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """Close all ports and connections."""
        for vehicle in self.vehicles:
            vehicle.stop()


def _healthy(number: int) -> VehicleSpec:
    name = f"{_KINDS[(number - 1) % len(_KINDS)]}-{number:02d}"
    return VehicleSpec(name, f"demo-{blake2b(name.encode(), digest_size=12).hexdigest()}")


def _afflicted(spec: VehicleSpec, position: int) -> VehicleSpec:
    match position:
        case 1:
            return replace(spec, faults=PRESETS["times out now and then"])
        case 2:
            return replace(spec, own_key=f"{spec.key}-rotated")
        case 3:
            return replace(spec, faults=PRESETS["database down for a while"])
        case 4:
            return replace(spec, offline_since_s=OFFLINE_S)
        case 5:
            return replace(spec, faults=PRESETS["clock 40 s behind"])
        case 6:
            return replace(spec, faults=PRESETS["commits 3 s late"])
        case _:
            return spec
