"""The list of removed vehicles, of which there may be thousands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd import bootstrap
from fleetsyncd.commands.removed_vehicles import print_removed
from fleetsyncd.database import leftovers, measurements, removal, removed_vehicles, restoration
from fleetsyncd.database.leftovers import Leftover
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.purge import purge_by_id
from fleetsyncd.database.restoration import NewRegistration
from fleetsyncd.database.vehicles import add_vehicle
from fleetsyncd.database.views.estimates import Count
from fleetsyncd.errors import DatabaseLost
from fleetsyncd.telemetry import Measurements

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
NAMES = ("Truck-01", "Truck-02", "Truck-03")


@pytest.fixture
def removed(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Return three vehicles, removed with five rows each."""
    Partitions(database).ensure(NOW, NOW)
    monkeypatch.setattr(bootstrap, "configured_database", lambda: database)
    return [remove(database, number, name) for number, name in enumerate(NAMES, start=1)]


def remove(database: Database, number: int, name: str) -> UUID:
    page = Measurements.from_rows((NOW + timedelta(seconds=n), 1, 0.5) for n in range(5))
    truck = database.run(lambda c: add_vehicle(c, name, f"10.0.0.{number}", 8001, None))
    database.run(lambda cursor: measurements.add_measurements(cursor, truck, page))
    removal.remove_vehicles(database, [truck], with_measurements=False)
    return truck


def names(left: Any) -> list[str | None]:
    return [each.vehicle.name for each in left]


def at_second(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something before the second of the vehicles is counted."""
    count_left, calls = leftovers.count_left, []

    def counting(*arguments: Any) -> Count:
        calls.append(arguments)
        if len(calls) == 2:
            act()
        return count_left(*arguments)

    monkeypatch.setattr(leftovers, "count_left", counting)


def test_no_transaction_reads_what_more_than_one_vehicle_left(
    removed: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    cursors: list[Cursor] = []
    read_ends = removed_vehicles.read_ends

    def watched(cursor: Cursor, *arguments: Any) -> Any:
        cursors.append(cursor)
        return read_ends(cursor, *arguments)

    monkeypatch.setattr(removed_vehicles, "read_ends", watched)
    print_removed(as_json=False)
    print_removed(as_json=True)
    assert len(set(cursors)) == len(cursors) == 2 * len(removed)


@pytest.mark.usefixtures("removed")
def test_each_vehicle_is_listed_before_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost() -> None:
        raise DatabaseLost("lost connection")

    at_second(monkeypatch, lost)
    with pytest.raises(DatabaseLost):
        print_removed(as_json=False)
    header, line = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["VEHICLE", "ADDRESS"]
    assert line.startswith("Truck-03")


@pytest.mark.usefixtures("removed")
def test_json_is_whole_or_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_removed(as_json=True)
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == [*reversed(NAMES)]

    def lost() -> None:
        raise DatabaseLost("lost connection")

    at_second(monkeypatch, lost)
    with pytest.raises(DatabaseLost):
        print_removed(as_json=True)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("removed")
def test_columns_stand_below_each_other_whatever_was_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = [
        Count(12_345_678_901, exact=False),
        Count(10_000, exact=False, at_least=True),
        Count(0),
    ]
    texts = [number.text for number in numbers]
    monkeypatch.setattr(leftovers, "count_left", lambda *_: numbers.pop(0))
    print_removed(as_json=False)
    header, *lines = capsys.readouterr().out.splitlines()
    for line, text in zip(lines, texts, strict=True):
        start, end = (header.index(name) for name in ("MEASUREMENTS", "FIRST"))
        assert line[start:end].rstrip() == text
        UUID(line[header.index("ID") :])


@pytest.mark.parametrize("settle", ["restored", "purged"])
def test_a_vehicle_that_is_settled_meanwhile_is_not_listed(
    database: Database, removed: list[UUID], settle: str
) -> None:
    everyone = database.run(leftovers.find_all)
    (second,) = (each for each in everyone if each.id == removed[1])
    left = leftovers.read_each(database, everyone)
    first: Leftover = next(left)
    assert (first.vehicle.name, first.measurements) == ("Truck-03", Count(5))
    if settle == "purged":
        assert purge_by_id(database, second.id) == 5
    else:
        database.run(lambda c: restoration.restore(c, second, NewRegistration()))
    assert names(left) == ["Truck-01"]
