"""One vehicle, one daemon's cycle and one database, with a clock that the test sets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from unittest.mock import patch
from uuid import UUID

from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.conditions.chatter import Chatter
from fleetsyncd.database import (
    audits,
    backfills,
    loading,
    vehicles,
    verified,
)
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import checker, readings
from fleetsyncd.demo.checker import Comparison
from fleetsyncd.demo.fleet import Fleet
from fleetsyncd.demo.vehicle import SimulatedVehicle
from fleetsyncd.errors import VehicleError
from fleetsyncd.jobs import Look, Visit
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import AttemptReport, CycleReport, Progress
from fleetsyncd.severities import Severity
from fleetsyncd.sync.audit import run_audit
from fleetsyncd.sync.audit_plan import look_window
from fleetsyncd.sync.backfill import run_backfill
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.cycle import sync_vehicle
from fleetsyncd.sync.gap import catch_up
from fleetsyncd.sync.look import run_visit
from fleetsyncd.sync.prefetch import LazyPage, Prefetch
from fleetsyncd.telemetry import DataPage
from fleetsyncd.vehicle.client import VehicleClient
from tests.simulated import running

KEY = "rig-key-4711"
NAME = "Truck-01"
MOMENT = timedelta(milliseconds=1)
"""What begins at the same time as another attempt has no entry in the journal."""
Reply = tuple[HTTPStatus, bytes]
Ask = Callable[[str], Reply]
Hook = Callable[[str, str, Ask], Reply]


class HookedVehicle(SimulatedVehicle):
    """A simulated vehicle whose answers a test may change, or watch, before they are sent."""

    hook: Hook | None = None

    def answer(self, path: str, query: str, key: str | None) -> Reply:
        ask = super().answer
        if self.hook is None:
            return ask(path, query, key)
        return self.hook(path, query, lambda changed: ask(path, changed, key))


class Eager:
    """A question that is asked at once, its answer or error kept until it is wanted."""

    def __init__(self, ask: Callable[[], DataPage]) -> None:
        self.dropped = False
        self._page: DataPage | None = None
        self._fault: Exception | None = None
        try:
            self._page = ask()
        except VehicleError as error:
            self._fault = error

    def result(self) -> DataPage:
        if self._page is None:
            assert self._fault is not None
            raise self._fault
        return self._page

    def drop(self) -> None:
        self.dropped = True


@dataclass
class Rig:
    """Drives cycles by hand; `now` is the centre's clock, `offset` the vehicle's lead over it."""

    database: Database
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    offset: timedelta = timedelta(0)
    start: datetime | None = None
    overlap: timedelta = timedelta(seconds=5)
    begin: Prefetch = LazyPage
    budget: VehicleBudget = field(default_factory=VehicleBudget)
    alarms_keep: timedelta | None = None
    told_alarms: Severity | None = None
    chatter: Chatter = field(default_factory=Chatter)
    live: timedelta | None = None
    """How much a cycle pulls ahead of a gap."""
    name: str = NAME
    partitions: Partitions | None = None
    """Kept between cycles if the test sets it."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def serve(self, **options: Any) -> None:
        """Make the vehicle, not yet listening."""
        self.simulated = HookedVehicle(self.name, KEY, clock=self._vehicle_clock, **options)
        self.simulated.hook = self._log

    def _vehicle_clock(self) -> float:
        return (self.now + self.offset).timestamp()

    def register(self, watermark: datetime | None) -> UUID:
        """Register the vehicle at the address it listens on."""
        host, port = self.simulated.address
        self.vehicle_id = self.database.run(
            lambda c: vehicles.add_vehicle(c, self.name, host, port, KEY)
        )
        self.set_watermark(watermark)
        self.start = watermark
        self.client = self.connect(host, port)
        return self.vehicle_id

    def connect(self, host: str, port: int) -> VehicleClient:
        return VehicleClient(
            host,
            port,
            KEY,
            pull_timeout_sec=30,
            pull_max_body_mb=64,
            deadline=lambda *_: nullcontext(),
        )

    def _log(self, path: str, query: str, ask: Ask) -> Reply:
        self.asked.append((path, query))
        return ask(query)

    def context(self) -> SyncContext:
        return SyncContext(
            database=self.database,
            partitions=self.partitions or Partitions(self.database),
            connect=lambda _vehicle: self.client,
            pull_window=timedelta(seconds=60),
            pull_overlap=self.overlap,
            now=lambda: self.now,
            prefetch=self.begin,
            budget=self.budget,
            alarms_keep=self.alarms_keep,
            told_alarms=self.told_alarms,
            chatter=self.chatter,
            live_window=self.live,
        )

    def cycle(
        self,
        *,
        after: float = 0,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        stopped: Callable[[], str | None] = lambda: None,
    ) -> CycleReport:
        """Let `after` seconds pass and run one cycle."""
        self.now += timedelta(seconds=after)
        return sync_vehicle(
            self.vehicle(),
            self.client,
            self.context(),
            on_progress=on_progress,
            stop_reason=stopped,
        )

    def backfill(self) -> str:
        """Run the open backfill once; return its journal entry's text, `none` if none is open."""
        due = self.database.run(lambda c: backfills.open_backfills(c, set(), 1))
        if self.vehicle_id not in due:
            return "none"
        report = run_backfill(self.vehicle(), due[self.vehicle_id], self.client, self.context())
        return str(report.entry.error_msg)

    def catch_up(
        self,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        stopped: Callable[[], str | None] = lambda: None,
    ) -> str:
        """Run one attempt at the first gap; return its journal entry's text, `none` without one."""
        report = self.attempt(may_go_on=may_go_on, stopped=stopped)
        return "none" if report is None else str(report.entry.error_msg)

    def attempt(
        self,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        stopped: Callable[[], str | None] = lambda: None,
        goes_on_at: datetime | None = None,
    ) -> AttemptReport | None:
        """Run one attempt at the first gap, which may go on where another one has ended."""
        return catch_up(self.vehicle(), self.client, self.context(), stopped, may_go_on, goes_on_at)

    def audit(self, *, stopped: Callable[[], str | None] = lambda: None) -> str:
        """Run the open audit once; return its journal entry's text, `none` if none is open."""
        due = self.database.run(lambda c: audits.open_audits(c, set(), 1))
        if self.vehicle_id not in due:
            return "none"
        audit = due[self.vehicle_id]
        self.now += MOMENT
        report = run_audit(self.vehicle(), audit, self.client, self.context(), stopped)
        return str(report.entry.error_msg)

    def look(self, age_sec: int, seconds: float = 10) -> AttemptReport | None:
        """Look at the last `seconds` before what is so old; None if that cannot be proved."""
        self.database.run(lambda c: verified.begin(c, [self.vehicle_id], [age_sec]))
        known = self.database.run(lambda c: verified.proved(c, [self.vehicle_id]))
        vehicle, length = self.vehicle(), timedelta(seconds=seconds)
        if (self.vehicle_id, age_sec) not in known or vehicle.watermark is None:
            return None
        at, learned = known[self.vehicle_id, age_sec]
        oldest = self.context().accepted_interval().start
        window = look_window(
            vehicle.watermark, at, oldest, age_sec, length, learned or self.overlap
        )
        if window is None:
            return None
        look = Look(window, age_sec, age_sec, at, learned)
        self.now += MOMENT
        (report,) = run_visit(vehicle, Visit((look,)), self.client, self.context())
        return report

    def vehicle(self) -> Vehicle:
        return self.database.run(lambda c: loading.load_vehicles(c, [self.vehicle_id]))[0]

    def watermark(self) -> datetime | None:
        return self.vehicle().watermark

    def set_watermark(self, watermark: datetime | None) -> None:
        self.run("UPDATE public.vehicles SET last_sync_at = %s", watermark)

    def run(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Run one statement as the daemon's role; return its rows."""

        def work(cursor: Cursor) -> list[tuple[Any, ...]]:
            cursor.execute(statement, arguments)
            return cursor.fetchall() if cursor.description else []

        return self.database.run(work)

    def journal(self) -> list[tuple[Any, ...]]:
        """Return (status, rows_written, error_msg) of every cycle, oldest first."""
        return self.run("SELECT status, rows_written, error_msg FROM sync_journal ORDER BY id")

    def compare(self, delay: float = 0) -> Comparison:
        """Compare everything stored with what the vehicle generated."""
        assert self.start is not None
        expected = checker.Expectation(
            self.vehicle_id,
            self.name,
            self.start,
            timedelta(seconds=delay),
            self.simulated.channels,
        )
        return checker.compare(self.database, [expected])


@contextmanager
def rig(
    database: Database, watermark_ago: float | None = 300, name: str = NAME, **options: Any
) -> Iterator[Rig]:
    """Run a vehicle that was pulled `watermark_ago` seconds before the rig's first moment.

    A vehicle with one channel has always a value: where it had none, at a time by the clock, it
    would be asked more than at others.
    """
    made = Rig(database, name=name)
    made.serve(**options)
    silence = 0 if options.get("channels") == 1 else readings.SILENCE_S
    with (
        patch.object(readings, "SILENCE_S", silence),
        running(Fleet([made.simulated])),
    ):
        ago = None if watermark_ago is None else made.now - timedelta(seconds=watermark_ago)
        made.register(ago)
        yield made
        made.client.close()
