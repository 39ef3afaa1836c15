"""`fleetsyncd minutes`: how far they are, and their rebuild."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fleetsyncd.database import due_minutes, vehicles
from tests.acceptance.conftest import Installation
from tests.integration.test_minutes import (
    HOUR,
    SECOND,
    ask,
    due,
    expected,
    keep_all,
    pulled,
    rows,
    store_rows,
    stored,
)

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
ANOTHERS = "INSERT INTO measurements (vehicle_id, channel_id, time, value) VALUES (%s, 1, %s, 0.5)"
ON = {"MINUTES_KEEP_MONTHS": "0"}


@pytest.fixture
def kept(installation: Installation) -> UUID:
    database = installation.database
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    database.run(lambda c: vehicles.add_vehicle(c, "Truck-02", "10.8.0.2", 8001, None))
    ask(database, "UPDATE vehicles SET last_sync_at = NULL")
    pulled(database, truck, NOON, 3600)
    keep_all(database)
    return truck


def shown(installation: Installation, *names: str) -> list[dict[str, Any]]:
    code, output, errors = installation.command("minutes", "--json", *names)
    assert (code, errors) == (0, "")
    found: list[dict[str, Any]] = json.loads(output)
    return found


def test_it_shows_how_far_the_minutes_of_each_vehicle_are(
    installation: Installation, kept: UUID
) -> None:
    store_rows(installation.database, kept, rows(NOON + SECOND / 2, 5))
    first, second = shown(installation)
    assert (first["name"], first["due"], first["behind_seconds"]) == ("Truck-01", 1, 0)
    assert datetime.fromisoformat(first["minutes_to"]) == NOON + timedelta(minutes=55)
    assert datetime.fromisoformat(first["due_from"]) == NOON
    assert (second["minutes_to"], second["due"]) == (None, 0)
    assert shown(installation, "Truck-01") == [first]
    _, output, _ = installation.command("minutes")
    assert "no minutes are computed: MINUTES_KEEP_MONTHS is not set here" in output
    assert "Truck-01  the first  " in output
    assert output.splitlines()[-1].split() == ["Truck-02", *"------"]
    _, output, _ = installation.command("minutes", **ON)
    assert "no minutes are computed" not in output


@pytest.mark.usefixtures("kept")
def test_a_rebuild_repairs_what_is_wrong(installation: Installation) -> None:
    database = installation.database
    ask(database, "UPDATE measurements_minute SET sum = 0 WHERE channel_id = 1")
    ask(database, "DELETE FROM measurements_minute WHERE channel_id = 7")
    assert stored(database) != expected(database)
    code, output, errors = installation.command("minutes", "--rebuild", "Truck-01", **ON)
    assert (code, errors) == (0, "")
    assert "computed the minutes of 6,600 measurements of 1 vehicle(s)" in output
    assert stored(database) == expected(database)
    assert not due(database)


@pytest.mark.usefixtures("kept")
def test_a_rebuild_of_an_interval_leaves_the_rest_alone(installation: Installation) -> None:
    database = installation.database
    ask(database, "UPDATE measurements_minute SET sum = 0")
    interval = ("--from", f"{NOON + 20 * 60 * SECOND:%Y-%m-%dT%H:%MZ}", "--to")
    until = f"{NOON + 29 * 60 * SECOND:%Y-%m-%dT%H:%MZ}"
    code, output, _ = installation.command("minutes", "--rebuild", *interval, until, **ON)
    assert code == 0
    assert "computed the minutes of 1,200 measurements of 2 vehicle(s)" in output
    assert len(stored(database) & expected(database)) == 2 * 10


def test_a_rebuild_computes_all_again_whatever_an_interrupted_one_has_computed(
    installation: Installation, kept: UUID
) -> None:
    database = installation.database
    pulled(database, kept, NOON + HOUR, 3600)
    keep_all(database)
    start = NOON - HOUR
    database.run(lambda c: due_minutes.request_rebuild(c, [kept], start, None))
    database.run(lambda c: due_minutes.work_off(c, kept))
    # As another program adds rows.
    ask(database, ANOTHERS, str(kept), NOON + HOUR + SECOND / 2)
    since = ("--from", f"{start:%Y-%m-%dT%H:%MZ}")
    _, output, _ = installation.command("minutes", "--rebuild", *since, **ON)
    assert "computed the minutes of 13,801 measurements" in output
    assert stored(database) == expected(database)
    assert not due(database)


def test_a_rebuild_of_a_part_also_ends_what_an_interrupted_one_has_left(
    installation: Installation, kept: UUID
) -> None:
    database = installation.database
    pulled(database, kept, NOON + HOUR, 3600)
    keep_all(database)
    ask(database, "UPDATE measurements_minute SET sum = 0")
    start = NOON - HOUR
    database.run(lambda c: due_minutes.request_rebuild(c, [kept], start, None))
    database.run(lambda c: due_minutes.work_off(c, kept))
    assert len(stored(database) & expected(database)) == 2 * 60
    ((_, left),) = due(database)
    part = (f"{start:%Y-%m-%dT%H:%MZ}", "--to", f"{left - 60 * SECOND:%Y-%m-%dT%H:%MZ}")
    _, output, _ = installation.command("minutes", "--rebuild", "--from", *part, **ON)
    assert "computed the minutes of 6,600 measurements" in output
    assert stored(database) == expected(database)


@pytest.mark.usefixtures("kept")
def test_a_rebuild_begins_earlier_after_a_longer_setting(installation: Installation) -> None:
    database = installation.database
    ask(database, "DELETE FROM measurements_minute")
    ask(database, "UPDATE fleetsync.minute_state SET minutes_from = minutes_to")
    _, _, errors = installation.command("minutes", "--rebuild", "--from", "1d", **ON)
    assert errors == ""
    assert not stored(database)
    until = f"{NOON:%Y-%m-%dT%H:%MZ}"
    installation.command("minutes", "--rebuild", "--to", until, **ON)
    # All up to where minutes were trusted before, or there would be a hole.
    assert stored(database) == expected(database)


@pytest.mark.parametrize(
    ("arguments", "settings", "told"),
    [
        (("--rebuild",), {}, "MINUTES_KEEP_MONTHS"),
        (("--rebuild", "--json"), ON, "exclude each other"),
        (("--from", "1d"), ON, "go with --rebuild"),
        (("--rebuild", "--from", "1d", "--to", "2d"), ON, "must begin before it ends"),
        (("Truck-99",), {}, "Truck-99"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    installation: Installation, arguments: tuple[str, ...], settings: dict[str, str], told: str
) -> None:
    code, output, errors = installation.command("minutes", *arguments, **settings)
    assert (code, output) == (2, "")
    assert told in errors
