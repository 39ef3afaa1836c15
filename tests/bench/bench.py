"""What the groups share: the installation, the extent, and fleets measured once for all."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.bench import processes
from tests.bench.installation import Installation
from tests.bench.machine import busy_seconds, peak_megabytes
from tests.bench.processes import Puller, SimulatedFleet
from tests.bench.stalls import Stalls

REACH = timedelta(seconds=30)
"""What a cycle pulls: 540 rows of 18 channels at 1 Hz."""
OVERLAP = timedelta(seconds=5)
"""What the daemon asks for beside that, and the others are to ask for too."""


@dataclass(frozen=True, slots=True)
class Round:
    """One pull of a whole fleet; seconds, of CPU but for `wall`.

    `coordinator`: its part of `database`, which is all where there is no cluster; `strangers`: what
    the rest of the machine used meanwhile.
    """

    wall: float
    cpu: float
    database: float
    coordinator: float
    simulator: float
    strangers: float


@dataclass(slots=True)
class FleetRun:
    """Rounds of several pullers on one fleet, taken in turns; `peak` is the daemon's memory."""

    vehicles: int
    rounds: dict[str, list[Round]]
    peak: float = 0.0

    def cpu_ms(self, puller: str) -> list[float]:
        """Return a puller's milliseconds of CPU per vehicle, by round."""
        return [1000 * each.cpu / self.vehicles for each in self.rounds[puller]]

    def wall(self, puller: str) -> list[float]:
        """Return a puller's seconds per round."""
        return [each.wall for each in self.rounds[puller]]


@dataclass(eq=False)
class Bench:
    """One run of the benchmark; `beside` names the pullers that are measured beside the daemon."""

    installation: Installation
    folder: Path
    full: bool
    beside: frozenset[str]
    stalls: dict[str, Stalls] = field(default_factory=dict)
    _runs: dict[int, FleetRun] = field(default_factory=dict)

    def log(self, text: str) -> None:
        """Say what goes on, on standard error."""
        print(f"bench: {text}", file=sys.stderr, flush=True)

    def environment(self, database: str, **settings: str) -> dict[str, str]:
        """Return what a puller's process needs to know."""
        return {
            **os.environ,
            **self.installation.server.environment(database),
            "LOG_LEVEL": "INFO",
            **settings,
        }

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many vehicles the fleets have that cycles are measured on."""
        return (100, 1000, 5000) if self.full else (100, 1000)

    @property
    def usual_sizes(self) -> tuple[int, ...]:
        """The fleets that the puller that most would write is measured on: it takes its time."""
        return self.sizes[:-1]

    def fleet(self, vehicles: int) -> FleetRun:
        """Return the rounds of a healthy fleet of that size, measured when first asked for."""
        if vehicles not in self._runs:
            self._runs[vehicles] = self._measure(vehicles)
        return self._runs[vehicles]

    @contextmanager
    def daemon(self, label: str, environment: dict[str, str]) -> Iterator[Puller]:
        """Run the daemon as it always runs, and keep its stalls under a label."""
        path = self.folder / f"{label}.stalls"
        with processes.daemon(environment, path) as puller:
            yield puller
        self.stalls[label] = Stalls.read(path)

    def _measure(self, vehicles: int) -> FleetRun:
        names = ["daemon", *sorted(self.beside)]
        if vehicles not in self.usual_sizes:
            names = [name for name in names if name != "usual"]
        rounds = 3 if vehicles >= max(self.sizes) else 4
        self.log(f"{vehicles} vehicles: {', '.join(names)}")
        run = FleetRun(vehicles, {name: [] for name in names})
        with ExitStack() as stack:
            fleet = stack.enter_context(processes.simulated(vehicles))
            pullers = {name: stack.enter_context(self.commanded(name, fleet)) for name in names}
            pullers["daemon"].command()  # opens the connections, stores the channels
            for _ in range(rounds):
                for name, puller in pullers.items():
                    run.rounds[name].append(self.pull(name, puller, fleet))
            run.peak = peak_megabytes(pullers["daemon"].process.pid)
            self.installation.rewind("daemon", REACH)
            pullers["daemon"].command("watch")
        return run

    @contextmanager
    def commanded(self, name: str, fleet: SimulatedFleet) -> Iterator[Puller]:
        """Run a puller with a database of its own, if it needs one."""
        count = len(fleet.vehicles)
        stalls = self.folder / f"{count}.stalls"
        if name == "floor":
            known = self.folder / "fleet.json"
            known.write_text(json.dumps(fleet.vehicles))
            command = ["tests.bench.floor", str(known), str((REACH + OVERLAP).total_seconds())]
            environment = dict(os.environ)
        else:
            self.installation.prepare(name, fleet.vehicles)
            command = ["tests.bench.usual"] if name == "usual" else ["tests.bench.daemon", "step"]
            environment = self.environment(name, BENCH_STALLS=str(stalls))
        with processes.commanded(command, environment) as puller:
            yield puller
        if name == "daemon":
            self.stalls[f"{count} vehicles"] = Stalls.read(stalls)

    def pull(self, name: str, puller: Puller, fleet: SimulatedFleet) -> Round:
        """Have a puller pull REACH of every vehicle."""
        if name != "floor":
            self.installation.rewind(name, REACH if name == "daemon" else REACH + OVERLAP)
        return self.measured(puller, fleet)

    def measured(self, puller: Puller, fleet: SimulatedFleet) -> Round:
        """Have a puller pull what is new of every vehicle."""

        def spent() -> tuple[float, ...]:
            database = self.installation
            return puller.cpu, database.cpu, database.coordinator_cpu, fleet.cpu, busy_seconds()

        before = spent()
        wall = puller.command()
        own, database, coordinator, simulator, machine = (
            late - early for early, late in zip(before, spent(), strict=True)
        )
        strangers = max(0.0, machine - own - database - simulator)
        return Round(wall, own, database, coordinator, simulator, strangers)
