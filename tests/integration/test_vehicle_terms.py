"""What operators set for one vehicle: written, read by cycles, kept over a removal."""

from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.database import (
    loading,
    removal,
    removed_vehicles,
    restoration,
    vehicle_terms,
    vehicles,
)
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import CommandError, DatabaseError
from fleetsyncd.models import Vehicle
from fleetsyncd.terms import NO_TERMS, Terms, TermsChange, parse_change

ALL = Terms(600, 30, 120, 256)


@pytest.fixture
def truck(database: Database) -> UUID:
    return database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))


def set_terms(database: Database, truck: UUID, change: TermsChange, interval: float = 30) -> None:
    database.run(
        partial(
            vehicle_terms.change_terms,
            vehicle_id=truck,
            change=change,
            default_sync_interval_sec=interval,
        )
    )


def loaded(database: Database) -> Vehicle:
    return database.run(loading.load_vehicles)[0]


def test_a_cycle_is_told_the_terms_and_the_defaults_again_once_they_are_taken_back(
    database: Database, truck: UUID
) -> None:
    assert loaded(database).terms == NO_TERMS
    set_terms(database, truck, TermsChange.to(ALL))
    assert loaded(database).terms == ALL
    set_terms(database, truck, parse_change(interval_sec="default", gap_kbit="default"))
    assert loaded(database).terms == Terms(None, 30, 120, None)
    set_terms(database, truck, TermsChange.to(NO_TERMS))
    assert loaded(database).terms == NO_TERMS


def test_terms_that_cannot_go_together_are_refused_and_the_old_ones_stay(
    database: Database, truck: UUID
) -> None:
    set_terms(database, truck, parse_change(interval_sec="10m", timeout_sec="60"))
    with pytest.raises(CommandError, match="timeout of 1m is longer than the interval of 30s"):
        set_terms(database, truck, parse_change(interval_sec="default"))
    assert loaded(database).terms == Terms(600, 60)


def test_the_interval_of_the_running_daemon_is_the_least(database: Database, truck: UUID) -> None:
    def beat(cursor: Cursor) -> None:
        cursor.execute(
            "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec)"
            " VALUES (gen_random_uuid(), 'one', 1, '0', 120)"
        )

    database.run(beat)
    with pytest.raises(CommandError, match="SYNC_INTERVAL_SEC, which is 120"):
        set_terms(database, truck, parse_change(interval_sec="60"))


def test_another_term_is_set_though_the_fleets_interval_has_overtaken_its_own(
    database: Database, truck: UUID
) -> None:
    set_terms(database, truck, parse_change(interval_sec="10m"))
    set_terms(database, truck, parse_change(gap_kbit="256"), interval=900)
    assert loaded(database).terms == Terms(interval_sec=600, gap_kbit=256)
    with pytest.raises(CommandError, match="SYNC_INTERVAL_SEC, which is 900"):
        set_terms(database, truck, parse_change(interval_sec="11m"), interval=900)


def test_a_removed_vehicle_has_its_terms_again_when_it_is_restored(
    database: Database, truck: UUID
) -> None:
    set_terms(database, truck, TermsChange.to(ALL))
    database.run(partial(removal.remove, ids=[truck], with_measurements=False))

    def restore(cursor: Cursor) -> None:
        removed = removed_vehicles.find_removed(cursor, "Truck-01")
        restoration.restore(cursor, removed, restoration.NewRegistration())

    database.run(restore)
    assert loaded(database).terms == ALL


def test_terms_of_a_vehicle_that_was_removed_meanwhile_are_refused(
    database: Database, truck: UUID
) -> None:
    database.run(partial(removal.remove, ids=[truck], with_measurements=False))
    with pytest.raises(CommandError, match="removed meanwhile"):
        set_terms(database, truck, TermsChange.to(ALL))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("interval_sec", "0"),
        ("interval_sec", "'NaN'"),
        ("interval_sec", "1e9"),
        ("timeout_sec", "-1"),
        ("window_sec", "'Infinity'"),
        ("window_sec", "1"),
        ("gap_kbit", "0"),
    ],
)
def test_the_table_refuses_what_no_command_would_write(
    database: Database, truck: UUID, column: str, value: str
) -> None:
    def write(cursor: Cursor) -> None:
        columns = f"(vehicle_id, {column}) VALUES (%s, {value})"
        cursor.execute(f"INSERT INTO fleetsync.vehicle_terms {columns}", (str(truck),))

    with pytest.raises(DatabaseError, match=f"vehicle_terms_{column}_check"):
        database.run(write)
