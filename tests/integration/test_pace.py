"""Gaps that are pulled no faster than their vehicles' rates, over real HTTP on the loopback."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import gevent
import pytest

from fleetsyncd.database import (
    backfills,
    loading,
    vehicles,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_terms import change_terms
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.demo.fleet import Fleet
from fleetsyncd.demo.vehicle import SimulatedVehicle
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.reports import AttemptReport
from fleetsyncd.sync.catch_up_runner import CatchUpRunner
from fleetsyncd.sync.pace import ANSWER_SEC, GROWTH
from fleetsyncd.terms import Given, TermsChange
from fleetsyncd.traffic import Traffic
from fleetsyncd.vehicle.client import VehicleClient
from tests.integration.test_dispatcher import context_of
from tests.simulated import running

KEY = "pace-key-4711"
KBIT = 64
RATE = KBIT * 125.0
SHOWN_SEC = 6.0
"""For how long a gap is watched that takes far longer."""
SLACK = RATE * ANSWER_SEC * (1 + GROWTH)
"""What was saved before, and one answer of the largest expected size."""


@dataclass
class Watched:
    """A runner over simulated vehicles, and what their links carried when."""

    database: Database
    simulated: dict[str, SimulatedVehicle]
    ids: dict[str, UUID] = field(default_factory=dict)
    carried: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    reports: list[AttemptReport] = field(default_factory=list)

    def connect(self, vehicle: Vehicle) -> VehicleClient:
        calls = self.carried.setdefault(vehicle.name, [])

        def on_call(_call: str, _seconds: float, traffic: Traffic) -> None:
            calls.append((time.monotonic(), traffic.received + traffic.sent))

        return VehicleClient(
            vehicle.host,
            vehicle.port,
            KEY,
            pull_timeout_sec=30,
            pull_max_body_mb=64,
            deadline=lambda *_: nullcontext(),
            on_call=on_call,
        )

    def register(self, gap: timedelta) -> None:
        """Register the vehicles as live, with a gap before."""
        now = datetime.now(UTC).replace(microsecond=0)

        def add(cursor: Cursor) -> None:
            for name, simulated in self.simulated.items():
                host, port = simulated.address
                self.ids[name] = vehicles.add_vehicle(cursor, name, host, port, KEY)
            cursor.execute(
                "UPDATE public.vehicles SET last_sync_at = %s, sync_status = 'ok'", (now - gap,)
            )
            cursor.execute(
                "INSERT INTO fleetsync.vehicle_state (vehicle_id, islands) SELECT id,"
                " tstzmultirange(tstzrange(%s, %s)) FROM public.vehicles",
                (now - timedelta(minutes=1), now),
            )

        self.database.run(add)

    def limit(self, name: str, kbit: int = KBIT) -> None:
        change = TermsChange(gap_kbit=Given(kbit))
        self.database.run(lambda c: change_terms(c, self.ids[name], change, 30))

    def runner(self, slots: int) -> CatchUpRunner:
        return CatchUpRunner(
            replace(context_of(self.database), connect=self.connect),
            lambda _vehicle, report: self.reports.append(report),
            lambda error: pytest.fail(str(error)),
            catch_up_concurrency=slots,
        )

    def run(self, made: CatchUpRunner, seconds: float) -> dict[str, float]:
        """Let the runner work as the daemon does; return when which gap was closed."""
        begun, closed = time.monotonic(), dict[str, float]()
        while (elapsed := time.monotonic() - begun) < seconds:
            made.start_due()
            gevent.sleep(0.05)
            for vehicle in self.database.run(loading.load_vehicles):
                if not vehicle.islands:
                    closed.setdefault(vehicle.name, elapsed)
        made.stop("the test is over")
        made.end(5, 1)
        return closed

    def peak(self, name: str, span_sec: float) -> int:
        """Return the most that a link has carried within so long."""
        calls = self.carried[name]
        return max(sum(size for at, size in calls if 0 <= at - t < span_sec) for t, _ in calls)


@contextmanager
def watched(database: Database, *names: str, channels: int = 2) -> Iterator[Watched]:
    simulated = {name: SimulatedVehicle(name, KEY, channels=channels) for name in names}
    with running(Fleet(list(simulated.values()))):
        yield Watched(database, simulated)


def test_a_gap_takes_no_more_of_its_link_than_its_rate_and_holds_up_no_other(
    database: Database,
) -> None:
    with watched(database, "free", "slow") as it:
        it.register(timedelta(hours=3))
        it.limit("slow")
        made = it.runner(slots=1)
        closed = it.run(made, SHOWN_SEC)
        total = sum(size for _, size in it.carried["slow"])
        assert RATE * SHOWN_SEC / 2 < total <= RATE * SHOWN_SEC + SLACK
        assert it.peak("slow", 3.0) <= RATE * 3 + SLACK
        assert set(closed) == {"free"}, "its gap had the only slot while the other waited"
        assert sum(size for _, size in it.carried["free"]) > 2 * total
        assert made._slots.free == 1


def test_the_time_left_of_a_gap_counts_its_waits(database: Database) -> None:
    with watched(database, "slow") as it:
        it.register(timedelta(hours=12))
        it.limit("slow")
        it.run(it.runner(slots=2), 3.0)
        (vehicle,) = database.run(lambda c: fleet_overview(c, 30))
        progress = vehicle.catching_up
        assert progress is not None
        left = progress.seconds_left
        assert left is not None
        expected = 3.0 * (1 - progress.fraction) / progress.fraction
        assert expected / 2 < left < expected * 2


def test_a_backfill_keeps_to_the_rate_too_and_ends_at_once_when_it_is_to(
    database: Database,
) -> None:
    with watched(database, "slow") as it:
        it.register(timedelta(hours=12))
        it.database.run(lambda c: c.execute("UPDATE fleetsync.vehicle_state SET islands = '{}'"))
        it.limit("slow", 8)
        now = datetime.now(UTC).replace(microsecond=0)
        window = Window(now - timedelta(hours=20), now - timedelta(hours=12))
        it.database.run(lambda c: backfills.request_backfill(c, it.ids["slow"], window))
        made = it.runner(slots=2)
        made.start_due()
        gevent.sleep(2.0)
        begun = time.monotonic()
        made.stop("paused")
        made.end(10, 1)
        assert time.monotonic() - begun < 5
        assert sum(size for _, size in it.carried["slow"]) <= 1000 * 4 + 6000
        (report,) = it.reports
        assert "paused" in str(report.entry.error_msg)
