"""Vehicles with terms of their own, pulled over HTTP by a dispatcher whose clock the test sets."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import parse_qs

import pytest

from fleetsyncd.database import loading, sync_requests, vehicle_terms
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.models import Vehicle
from fleetsyncd.reports import CycleReport
from fleetsyncd.states import State
from fleetsyncd.sync.dispatcher import Dispatcher
from fleetsyncd.sync.own_intervals import OwnIntervals
from fleetsyncd.sync.requests import RequestReader
from fleetsyncd.sync.sessions import VehicleSessions
from fleetsyncd.sync.silence import Silences
from fleetsyncd.terms import Terms, TermsChange
from fleetsyncd.vehicle.client import VehicleClient
from tests.integration.rig import Rig, rig
from tests.integration.test_dispatcher import until_idle

SYNC = timedelta(seconds=30)
OWN = Terms(interval_sec=300)


def set_terms(one: Rig, terms: Terms) -> None:
    one.database.run(
        partial(
            vehicle_terms.change_terms,
            vehicle_id=one.vehicle_id,
            change=TermsChange.to(terms),
            default_sync_interval_sec=SYNC.total_seconds(),
        )
    )


@dataclass
class Road:
    """Two vehicles of which the second has an interval of its own, and who pulls them."""

    usual: Rig
    own: Rig
    reports: list[CycleReport] = field(default_factory=list)

    def start(self) -> Dispatcher:
        """Return a dispatcher that knows nothing of what another one has done."""
        clients = {self.usual.vehicle_id: self.usual, self.own.vehicle_id: self.own}

        def connect(vehicle: Vehicle) -> VehicleClient:
            one = clients[vehicle.id]
            return one.connect(vehicle.host, vehicle.port)

        context = replace(
            self.usual.context(),
            connect=connect,
            late_after=3 * SYNC,
            partitions=Partitions(self.usual.database),
        )
        return Dispatcher(
            context,
            sync_interval_sec=30.0,
            sync_concurrency=4,
            kept_sessions=0,
            catch_up_concurrency=1,
            silences=Silences(SYNC, timedelta(seconds=120)),
            own_intervals=OwnIntervals(SYNC),
            on_report=self.reports.append,
            on_attempt=lambda _report: None,
            on_database_error=lambda error: pytest.fail(str(error)),
        )

    def cycle(self, pulling: Dispatcher) -> list[str]:
        """Let half a minute pass, run a cycle of the fleet, and return whom it has asked."""
        self.usual.now += SYNC
        self.own.now = self.usual.now
        asked = pulling.start_fleet_cycle(self.usual.database.run(loading.load_vehicles))
        until_idle(pulling)
        return [vehicle.name for vehicle in asked]

    def until_own(self, pulling: Dispatcher) -> None:
        """Run cycles until the vehicle with an interval of its own was asked."""
        while "Own" not in self.cycle(pulling):
            pass


@contextmanager
def road(database: Database) -> Iterator[Road]:
    with ExitStack() as stack:
        usual = stack.enter_context(rig(database, 30, name="Usual"))
        own = stack.enter_context(rig(database, 30, name="Own"))
        own.now = usual.now
        set_terms(own, OWN)
        yield Road(usual, own)


def test_a_vehicle_of_five_minutes_is_pulled_in_every_tenth_cycle_and_misses_nothing(
    database: Database,
) -> None:
    with road(database) as it:
        pulling = it.start()
        pulling.rebalance()
        it.until_own(pulling)
        it.own.asked.clear()
        asked = Counter(name for _ in range(40) for name in it.cycle(pulling))
        pulling.end(0)
        assert asked == {"Usual": 40, "Own": 4}
        calls = Counter(path for path, _ in it.own.asked)
        assert calls["/status"] == calls["/data"] == 4
        assert {report.outcome.value for report in it.reports} == {"ok"}
        for one in (it.usual, it.own):
            comparison = one.compare()
            assert comparison.clean, comparison.examples
            assert comparison.checked > 0


def test_a_daemon_that_takes_over_keeps_to_the_interval(database: Database) -> None:
    with road(database) as it:
        asked: Counter[str] = Counter()
        pulling = it.start()
        pulling.rebalance()
        it.until_own(pulling)
        pulling.end(0)
        for _ in range(40):
            pulling = it.start()
            pulling.rebalance()
            asked.update(it.cycle(pulling))
            pulling.end(0)
        assert asked == {"Usual": 40, "Own": 4}


def test_a_request_of_an_operator_does_not_wait_for_the_interval(database: Database) -> None:
    with road(database) as it:
        pulling = it.start()
        pulling.rebalance()
        it.until_own(pulling)
        assert it.cycle(pulling) == ["Usual"]
        before = len(it.own.asked)
        database.run(lambda c: sync_requests.request_sync(c, it.own.vehicle_id))
        pulling.start(RequestReader(database).read(set(), None).wanted)
        until_idle(pulling)
        assert len(it.own.asked) > before
        assert it.cycle(pulling) == ["Usual"]
        pulling.end(0)


def test_one_cycle_of_the_whole_fleet_asks_it_as_well(database: Database) -> None:
    with road(database) as it:
        pulling = it.start()
        pulling.pull_every_shard_once()
        assert [sorted(it.cycle(pulling)) for _ in range(2)] == [["Own", "Usual"]] * 2
        pulling.end(0)


def test_a_request_asks_for_no_more_than_the_window_and_a_first_pull_for_all_of_it(
    database: Database,
) -> None:
    with rig(database, 3590) as it:
        set_terms(it, Terms(window_sec=600))
        assert it.cycle().outcome.value == "ok"
        lengths = [_length(query) for path, query in it.asked if path == "/data"]
        assert len(lengths) == 6
        assert max(lengths) == 600
        learned = it.vehicle().learned.data
        assert learned is None or learned >= timedelta(hours=1)
        assert it.compare().clean
    with rig(database, None, name="New") as it:
        set_terms(it, Terms(window_sec=120))
        assert it.cycle().outcome.value == "ok"
        (query,) = [query for path, query in it.asked if path == "/data"]
        assert _length(query) == 120


def _length(query: str) -> float:
    start, end = (datetime.fromisoformat(parse_qs(query)[name][0]) for name in ("from", "to"))
    return (end - start).total_seconds()


def test_a_vehicle_is_late_after_three_of_its_own_intervals(database: Database) -> None:
    def state(cursor: Cursor) -> tuple[State, float | None, float | None]:
        (vehicle,) = fleet_overview(cursor, 30)
        return vehicle.state, vehicle.interval_sec, vehicle.state_age

    with rig(database, 500) as it:
        database.run(lambda c: c.execute("UPDATE vehicles SET sync_status = 'ok'"))
        assert database.run(state)[:2] == (State.LATE, 30)
        set_terms(it, Terms(interval_sec=300))
        assert database.run(state)[:2] == (State.ONLINE, 300)
        it.set_watermark(it.now - timedelta(seconds=1000))
        assert database.run(state)[:2] == (State.LATE, 300)


def test_a_cycle_after_two_of_its_own_intervals_does_not_end_a_lateness_that_never_was(
    database: Database,
) -> None:
    statement = "SELECT status_since FROM fleetsync.vehicle_state"
    with rig(database, 30) as it:
        set_terms(it, OWN)
        context = replace(it.context(), late_after=3 * SYNC)
        it.context = lambda: context  # type: ignore[method-assign]  # the same clock
        it.cycle()
        ((since,),) = it.run(statement)
        it.cycle(after=600)
        assert it.run(statement) == [(since,)]


def test_what_is_live_of_a_vehicle_is_two_of_its_own_intervals(database: Database) -> None:
    with rig(database, 7200) as it:
        it.live = timedelta(seconds=120)
        it.cycle()
        (island,) = it.vehicle().islands
        assert island.length == timedelta(seconds=120)
    with rig(database, 7200, name="Own") as it:
        it.live = timedelta(seconds=120)
        set_terms(it, Terms(interval_sec=600))
        it.cycle()
        (island,) = it.vehicle().islands
        assert island.length == timedelta(seconds=1200)


def test_another_timeout_gets_another_session(database: Database) -> None:
    with rig(database) as it:
        made: list[float | None] = []

        def connect(vehicle: Vehicle) -> VehicleClient:
            made.append(vehicle.terms.timeout_sec)
            return it.connect(vehicle.host, vehicle.port)

        sessions = VehicleSessions(connect, 1)
        for terms in (Terms(), Terms(), Terms(timeout_sec=20), Terms(300, 20), Terms()):
            set_terms(it, terms)
            sessions.get(it.vehicle())
        assert made == [None, 20, None]
        sessions.close()
