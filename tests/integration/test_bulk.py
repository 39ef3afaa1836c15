"""Changes to several vehicles at once."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import bulk, pausing, pool, vehicles
from fleetsyncd.database.bulk import BulkResult
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.fleet import fleet_overview
from fleetsyncd.errors import CommandError, DatabaseLost

NAMES = ("Crane-02", "Dozer-03", "Truck-01")


@pytest.fixture
def fleet(database: Database) -> dict[UUID, str]:
    def register(cursor: Cursor) -> dict[UUID, str]:
        hosts = enumerate(NAMES, 1)
        return {vehicles.add_vehicle(cursor, n, f"10.8.0.{i}", 8001, None): n for i, n in hosts}

    return database.run(register)


def ids(fleet: dict[UUID, str], *names: str) -> set[UUID]:
    return {key for key, name in fleet.items() if name in names}


def lost_after(parts: int) -> Callable[..., BulkResult]:
    """Return what changes a part of the vehicles, and after so many of them finds no database."""
    set_part, begun = bulk._set_part, count(1)

    def change(*arguments: Any, **options: Any) -> BulkResult:
        if next(begun) > parts:
            raise DatabaseLost("lost connection")
        return set_part(*arguments, **options)

    return change


def test_a_pause_returns_what_it_changed_and_leaves_the_rest(
    database: Database, fleet: dict[UUID, str]
) -> None:
    (crane,) = ids(fleet, "Crane-02")
    database.run(lambda cursor: pausing.set_paused(cursor, crane, True))
    assert bulk.set_paused(database, fleet, True).changed == ids(fleet, "Dozer-03", "Truck-01")
    assert bulk.set_paused(database, fleet, True).changed == set()
    assert bulk.set_paused(database, fleet, False).changed == set(fleet)
    assert bulk.set_paused(database, fleet, False).changed == set()


def test_a_resume_of_what_was_never_paused_changes_nothing(
    database: Database, fleet: dict[UUID, str]
) -> None:
    assert bulk.set_paused(database, fleet, False).changed == set()


@pytest.mark.parametrize("paused", [True, False])
def test_a_removed_vehicle_is_named_and_then_none_is_changed(
    database: Database, fleet: dict[UUID, str], paused: bool
) -> None:
    if not paused:
        bulk.set_paused(database, fleet, True)
    with pytest.raises(CommandError, match=r"^Loader-04: removed meanwhile, nothing was done"):
        bulk.set_paused(database, {**fleet, uuid4(): "Loader-04"}, paused)
    assert bulk.set_paused(database, fleet, paused).changed == set(fleet)


def test_an_undo_goes_on_without_the_removed_and_leaves_what_others_have_changed(
    database: Database, fleet: dict[UUID, str]
) -> None:
    gone = uuid4()
    done = bulk.set_paused(database, fleet, True)
    (crane,) = ids(fleet, "Crane-02")
    database.run(lambda cursor: pausing.set_paused(cursor, crane, False))
    when = {key: done.at_of(key) for key in fleet}
    result = bulk.undo_paused(database, {**fleet, gone: "Loader-04"}, True, when)
    assert result.changed == ids(fleet, "Dozer-03", "Truck-01")
    assert result.removed == {gone}


@pytest.mark.parametrize("paused", [True, False])
def test_an_undo_leaves_what_somebody_has_changed_back_and_forth(
    database: Database, fleet: dict[UUID, str], paused: bool
) -> None:
    bulk.set_paused(database, fleet, not paused)
    done = bulk.set_paused(database, fleet, paused)
    (crane,) = ids(fleet, "Crane-02")
    for state in (not paused, paused):
        database.run(partial(pausing.set_paused, vehicle_id=crane, paused=state))
    at = {key: done.at_of(key) for key in fleet}
    result = bulk.undo_paused(database, fleet, paused, at)
    assert result.changed == ids(fleet, "Dozer-03", "Truck-01")


def test_very_many_are_changed_by_several_transactions_and_undone_the_same_way(
    database: Database, fleet: dict[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    with pytest.raises(CommandError, match=r"^Loader-04: removed meanwhile, nothing was done"):
        bulk.set_paused(database, {**fleet, uuid4(): "Loader-04"}, True)
    action = Action("vehicle pause", Actor("olga", None))
    done = bulk.set_paused(database, fleet, True, action)
    assert done.changed == set(fleet)
    assert len({done.at_of(key) for key in fleet}) == 2
    (crane,) = ids(fleet, "Crane-02")
    for state in (False, True):
        database.run(partial(pausing.set_paused, vehicle_id=crane, paused=state))
    when = {key: done.at_of(key) for key in fleet}
    undone = bulk.undo_paused(database, fleet, True, when)
    assert undone.changed == ids(fleet, "Dozer-03", "Truck-01")
    with database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM fleetsync.action_log")
        assert cursor.fetchall() == [(3,)]


@pytest.mark.parametrize("paused", [True, False])
def test_of_very_many_those_that_were_changed_are_told_if_a_later_transaction_fails(
    database: Database, fleet: dict[UUID, str], monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    bulk.set_paused(database, fleet, not paused)
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    first, *others = sorted(fleet)
    with monkeypatch.context() as broken:
        broken.setattr(bulk, "_set_part", lost_after(1))
        done = bulk.set_paused(database, fleet, paused)
        broken.setattr(bulk, "_set_part", lost_after(0))
        with pytest.raises(DatabaseLost, match="lost connection"):
            bulk.set_paused(database, fleet, paused)
    assert done.changed == {first}
    assert done.unfinished == set(others)
    assert str(done.error) == "lost connection"
    assert bulk.set_paused(database, fleet, paused).changed == set(others)


def test_of_very_many_those_that_were_removed_meanwhile_are_told(
    database: Database, fleet: dict[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 2)
    monkeypatch.setattr(bulk, "_require_known", lambda _cursor, _names: None)
    gone = uuid4()
    done = bulk.set_paused(database, {**fleet, gone: "Loader-04"}, True)
    assert done.changed == set(fleet)
    assert done.removed == {gone}


def test_a_pause_and_a_resume_date_the_states(database: Database, fleet: dict[UUID, str]) -> None:
    for paused in (True, False):
        bulk.set_paused(database, fleet, paused)
        ages = [each.state_age for each in database.run(lambda c: fleet_overview(c, 30))]
        assert len(ages) == len(fleet)
        assert all(age is not None and age < 60 for age in ages)


def test_a_pause_whose_commit_was_not_answered_still_returns_what_it_changed(
    database: Database, fleet: dict[UUID, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[str] = []
    execute = Cursor.execute

    def lose_first_commit(cursor: Cursor, query: Any, arguments: Any = None) -> None:
        execute(cursor, query, arguments)
        if query == "COMMIT" and not answered:
            answered.append(query)
            cursor.connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(pool.Cursor, "execute", lose_first_commit)
    assert bulk.set_paused(database, fleet, True).changed == set(fleet)
    assert answered
    monkeypatch.undo()
    assert bulk.set_paused(database, fleet, True).changed == set()


def test_a_sync_of_several_is_requested_for_all_or_none(
    database: Database, fleet: dict[UUID, str]
) -> None:
    def requested(cursor: Cursor) -> int:
        cursor.execute(
            "SELECT count(*) FROM fleetsync.vehicle_state WHERE sync_requested_at IS NOT NULL"
        )
        return int(cursor.fetchall()[0][0])

    bulk.set_paused(database, {key: fleet[key] for key in ids(fleet, "Dozer-03")}, True)
    with pytest.raises(CommandError, match=r"^Dozer-03: paused, resume first"):
        bulk.request_sync(database, fleet)
    with pytest.raises(CommandError, match=r"^Loader-04: removed meanwhile"):
        bulk.request_sync(database, {**fleet, uuid4(): "Loader-04"})
    assert database.run(requested) == 0
    bulk.set_paused(database, fleet, False)
    bulk.request_sync(database, fleet)
    assert database.run(requested) == 3
