"""A fleet that does not answer for long, as the dispatcher asks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent
import pytest

from fleetsyncd.database import backfills, loading, sync_requests
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import VehicleTimeout
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.sync.dispatcher import Dispatcher
from fleetsyncd.sync.requests import RequestReader
from fleetsyncd.sync.silence import Silences
from fleetsyncd.vehicle.answer import Answer
from tests.integration.test_dispatcher import (
    EndlessVehicle,
    SatisfiedVehicle,
    change,
    dispatcher,
    pause_and_resume,
    register,
    until_idle,
)

VEHICLES = 24


class DarkVehicle(EndlessVehicle):
    """Answers nothing."""

    def status(self) -> Answer:
        self.questions += 1
        raise VehicleTimeout("/status", "no complete answer within 10 s")


LONG_SILENT = 100


@contextmanager
def long_silent(database: Database, count: int) -> Iterator[tuple[Dispatcher, DarkVehicle]]:
    """Run a fleet that has been silent for long and was asked once by this daemon."""
    register(database, count)
    database.run(
        lambda c: c.execute(
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, failures)"
            " SELECT id, %s FROM vehicles;"
            " UPDATE vehicles SET sync_status = 'timeout', last_sync_at = now() - interval '2 h'",
            (LONG_SILENT,),
        )
    )
    dark, silences = DarkVehicle(), Silences(timedelta(seconds=30), timedelta(seconds=120))
    with dispatcher(database, [], silences) as pulling:
        answer_with(pulling, lambda _vehicle: dark)
        pulling.rebalance()
        assert len(cycle(database, pulling)) == count
        yield pulling, dark


def answer_with(pulling: Dispatcher, connect: Any) -> None:
    """Let other vehicles answer at the same addresses."""
    pulling._cycles._sessions._connect = connect
    pulling._cycles._sessions.close()


def cycle(database: Database, pulling: Dispatcher) -> list[Vehicle]:
    """Run a cycle of the fleet; return whom it has asked."""
    asked = pulling.start_fleet_cycle(database.run(loading.load_vehicles))
    until_idle(pulling)
    return asked


def test_a_fleet_that_is_silent_for_long_is_asked_a_quarter_a_cycle_and_journalled_as_often(
    database: Database,
) -> None:
    with long_silent(database, VEHICLES) as (pulling, dark):
        before = dark.questions
        asked = [cycle(database, pulling) for _ in range(4)]
        assert sorted(v.id for part in asked for v in part) == sorted(
            v.id for v in database.run(loading.load_vehicles)
        )
        assert dark.questions - before == VEHICLES
        assert pulling.resting == VEHICLES - len(asked[-1])
    (count, status), *_ = database.run(_journal)
    assert (count, status) == (2 * VEHICLES, "timeout")
    fleet = database.run(loading.load_vehicles)
    assert {(v.status, v.failures) for v in fleet} == {("timeout", LONG_SILENT + 2)}


def test_a_backfill_of_a_silent_vehicle_is_tried_once_and_then_when_the_vehicle_is_asked(
    database: Database,
) -> None:
    with long_silent(database, 20) as (pulling, dark):
        chosen = resting_vehicle(database, pulling)
        connect: Any = lambda _vehicle: dark  # noqa: E731  of another type than a client
        pulling._catch_ups._context = replace(pulling._catch_ups._context, connect=connect)

        def request() -> None:
            now = datetime.now(UTC)
            window = Window(now - timedelta(hours=2), now)
            database.run(lambda c: backfills.request_backfill(c, chosen.id, window))

        def attempts() -> int:
            asked = dark.questions
            pulling.start_catch_ups()
            while pulling._catch_ups.running:
                gevent.sleep(0.01)
            return dark.questions - asked

        def rest() -> None:
            while chosen.id in {v.id for v in cycle(database, pulling)}:
                pass

        for _ in range(2):
            rest()
            request()
            assert (attempts(), attempts()) == (1, 0), "once for each request"
        for _ in range(4):
            was_asked = chosen.id in {v.id for v in cycle(database, pulling)}
            assert attempts() == was_asked


def _journal(cursor: Cursor) -> list[tuple[int, str]]:
    cursor.execute("SELECT count(*), min(status) FROM sync_journal")
    return cursor.fetchall()


def resting_vehicle(database: Database, pulling: Dispatcher) -> Vehicle:
    """Return a vehicle that the next two cycles would leave alone."""
    asked = {v.id for _ in range(2) for v in cycle(database, pulling)}
    last = {v.id for v in cycle(database, pulling)}
    return next(v for v in database.run(loading.load_vehicles) if v.id in asked - last)


@pytest.mark.parametrize("how", ["sync", "resume", "address"])
def test_an_operator_has_a_vehicle_asked_at_once_though_it_is_silent_for_long(
    database: Database, how: str
) -> None:
    with long_silent(database, 20) as (pulling, _dark):
        chosen = resting_vehicle(database, pulling)
        if how == "sync":
            database.run(lambda c: sync_requests.request_sync(c, chosen.id))
            wanted = RequestReader(database).read(pulling.running, pulling.shards).wanted
            assert [v.id for v in wanted] == [chosen.id]
            pulling.start(wanted)
            assert pulling.busy
            until_idle(pulling)
            return
        if how == "resume":
            pause_and_resume(database, pulling, chosen)
        else:
            change(host="10.8.9.9")(database, pulling, chosen)
        assert chosen.id in {v.id for v in cycle(database, pulling)}


def test_a_fleet_that_its_network_had_silenced_is_back_after_two_cycles(
    database: Database,
) -> None:
    with long_silent(database, VEHICLES) as (pulling, _dark):
        cycle(database, pulling)
        answer_with(pulling, lambda _vehicle: SatisfiedVehicle())
        cycle(database, pulling)
        cycle(database, pulling)
        assert {v.status for v in database.run(loading.load_vehicles)} == {"ok"}


def test_a_vehicle_that_stays_silent_has_its_row_written_only_if_it_says_otherwise(
    database: Database,
) -> None:
    def rows(cursor: Cursor) -> list[tuple[str, str]]:
        cursor.execute("SELECT xmin::text, sync_status FROM vehicles")
        return cursor.fetchall()

    with long_silent(database, 1) as (pulling, dark):
        before = database.run(rows)
        asked = dark.questions
        while dark.questions == asked:
            cycle(database, pulling)
        assert database.run(rows) == before
        database.run(lambda c: c.execute("UPDATE vehicles SET sync_status = 'ok'"))
        while dark.questions == asked + 1:
            cycle(database, pulling)
        assert [status for _, status in database.run(rows)] == ["timeout"]


@pytest.mark.parametrize("before", ["ok", "error", "unknown"])
def test_a_vehicle_that_falls_silent_has_its_row_written(database: Database, before: str) -> None:
    with long_silent(database, 1) as (pulling, _dark):
        database.run(lambda c: c.execute("UPDATE vehicles SET sync_status = %s", (before,)))
        while not cycle(database, pulling):
            pass
        assert {v.status for v in database.run(loading.load_vehicles)} == {"timeout"}
