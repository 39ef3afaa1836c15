"""Edits of several vehicles at once: all or none, and no vehicle is locked for the others' sake."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.actions import Action, Actor
from fleetsyncd.database import bulk_edits, loading, vehicle_changes, vehicle_terms, vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicle_changes import VehicleChange
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.errors import CommandError
from fleetsyncd.terms import Terms, TermsChange, parse_change

HOURLY = parse_change(interval_sec="1h")
ACTION = Action("test", Actor("somebody", None))


class Counting:
    """A cursor that counts its statements."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.statements = 0

    def execute(self, *words: Any) -> None:
        self.statements += 1
        self._cursor.execute(*words)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


@pytest.fixture
def fleet(database: Database) -> list[RegisteredVehicle]:
    def add(cursor: Cursor) -> list[UUID]:
        return [
            vehicles.add_vehicle(cursor, f"Truck-{at}", f"10.8.0.{at}", 8001, None)
            for at in range(1, 6)
        ]

    ids = database.run(add)
    return database.run(lambda c: vehicles.read_registered(c, ids))


def set_terms(database: Database, fleet: list[RegisteredVehicle], change: TermsChange) -> int:
    names = {vehicle.id: vehicle.name for vehicle in fleet}
    return bulk_edits.set_terms(database, names, change, ACTION, 30)


def set_one(database: Database, vehicle: RegisteredVehicle, change: TermsChange) -> None:
    database.run(lambda c: vehicle_terms.change_terms(c, vehicle.id, change, 30))


def all_terms(database: Database) -> list[Terms]:
    return [vehicle.terms for vehicle in database.run(loading.load_vehicles)]


def transactions(database: Database) -> list[int]:
    def read(cursor: Cursor) -> list[int]:
        cursor.execute("SELECT count(*) FROM fleetsync.vehicle_terms GROUP BY xmin::text")
        return sorted(count for (count,) in cursor.fetchall())

    return database.run(read)


def test_the_statements_of_an_edit_do_not_grow_with_its_vehicles(
    database: Database, fleet: list[RegisteredVehicle]
) -> None:
    new = VehicleChange(port=9001, add_tags=("mine-3",), terms=HOURLY)

    def statements(seen: list[RegisteredVehicle], cursor: Cursor) -> int:
        counting = Counting(cursor)
        vehicle_changes.change_seen(counting, seen, new, 30)  # type: ignore[arg-type]  # acts as one
        return counting.statements

    assert database.run(partial(statements, fleet[:1])) == database.run(
        partial(statements, fleet[1:])
    )
    stored = database.run(loading.load_vehicles)
    assert {(each.port, each.terms) for each in stored} == {(9001, Terms(3600))}


def test_terms_of_very_many_are_set_in_several_transactions(
    database: Database, fleet: list[RegisteredVehicle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edits, "AT_ONCE", 2)
    assert set_terms(database, fleet, HOURLY) == 5
    assert all_terms(database) == [Terms(3600)] * 5
    assert transactions(database) == [1, 2, 2]


def test_of_very_many_none_is_set_if_one_cannot_be(
    database: Database, fleet: list[RegisteredVehicle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edits, "AT_ONCE", 2)
    set_one(database, fleet[-1], parse_change(interval_sec="2h", timeout_sec="90"))
    before = all_terms(database)
    name = fleet[-1].name
    with pytest.raises(CommandError, match=f"^{name}: a timeout of 90s .*: nothing was changed$"):
        set_terms(database, fleet, parse_change(interval_sec="1m"))
    assert all_terms(database) == before


def test_what_somebody_sets_meanwhile_ends_it_and_what_was_done_is_told(
    database: Database, fleet: list[RegisteredVehicle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edits, "AT_ONCE", 2)

    def check(*_words: object) -> None:
        set_one(database, fleet[2], parse_change(interval_sec="2h", timeout_sec="90"))

    monkeypatch.setattr(bulk_edits, "check_change", check)
    with pytest.raises(CommandError, match="2 vehicles changed before that, try again"):
        set_terms(database, fleet, parse_change(interval_sec="1m"))
    assert sum(terms == Terms(60) for terms in all_terms(database)) == 2


def test_terms_are_taken_back_of_those_that_have_any(
    database: Database, fleet: list[RegisteredVehicle]
) -> None:
    set_terms(database, fleet[:2], HOURLY)
    set_terms(database, fleet[2:], parse_change(interval_sec="1h", gap_kbit="64"))
    assert set_terms(database, fleet, parse_change(interval_sec="default")) == 5
    kept = {vehicle.id for vehicle in fleet[2:]}
    stored = database.run(loading.load_vehicles)
    assert {vehicle.id for vehicle in stored if vehicle.terms == Terms(gap_kbit=64)} == kept
    assert transactions(database) == [3]


def test_an_edit_changes_no_vehicle_if_somebody_changed_one_of_them(
    database: Database, fleet: list[RegisteredVehicle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_edits, "AT_ONCE", 2)
    other = VehicleChange(port=7001)
    database.run(lambda c: vehicle_changes.change_vehicle(c, fleet[-1].id, other))
    new = VehicleChange(port=9001, terms=HOURLY)
    with pytest.raises(CommandError, match=r"changed meanwhile .*: nothing was changed$"):
        bulk_edits.edit(database, fleet, new, ACTION, 30)
    assert sorted(each.port for each in database.run(loading.load_vehicles)) == [7001, *[8001] * 4]
    assert all_terms(database) == [Terms()] * 5
    bulk_edits.edit(database, fleet[:-1], new, ACTION, 30)
    assert transactions(database) == [2, 2]
