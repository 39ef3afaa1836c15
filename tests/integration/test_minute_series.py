"""A plot of a long span shows the same from minutes as from the rows, whatever is still due."""

from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from fleetsyncd.database import minutes, vehicles
from fleetsyncd.database.pool import Database
from fleetsyncd.database.views import minute_series
from fleetsyncd.database.views.minute_series import read_minutes
from fleetsyncd.database.views.plot import PlotSpan, read_plot
from fleetsyncd.database.views.series import Series, Slices, read_series
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.settings import DatabaseSettings
from tests.integration.test_adoption import as_owner
from tests.integration.test_minutes import (
    HOUR,
    NOON,
    ask,
    due,
    keep_all,
    rows,
    set_watermark,
    store_rows,
)
from tui.model.curve import joined

STEP = timedelta(seconds=20)
END = NOON + 10 * HOUR
SPAN = Slices.until(END.timestamp() - 1, 10 * 3600, 60)


@pytest.fixture
def truck(database: Database) -> UUID:
    """Return a vehicle with ten hours of rows, two of which are missing."""
    truck = database.run(lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None))
    store_rows(database, truck, rows(NOON, 3 * 180, (1, 7), STEP))
    store_rows(database, truck, rows(NOON + 5 * HOUR, 5 * 180, (1, 7), STEP))
    set_watermark(database, truck, END)
    return truck


def from_minutes(database: Database, truck: UUID, *channels: int) -> list[Series] | None:
    return database.run(lambda c: read_minutes(c, truck, channels or (1, 7), SPAN))


def from_rows(database: Database, truck: UUID, *channels: int) -> list[Series]:
    return database.run(lambda c: read_series(c, truck, channels or (1, 7), SPAN))


def pictures(found: list[Series] | None) -> list[list[tuple[float, ...]]]:
    assert found is not None
    return [
        [(each.index, each.count, each.low, each.mean, each.high) for each in series.values]
        for series in found
    ]


def test_minutes_show_what_the_rows_show(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_all(database)
    monkeypatch.setattr(minute_series, "EXACT_ROWS", 2 * 3 * 5)
    found, wanted = from_minutes(database, truck), from_rows(database, truck)
    assert pictures(found) == pictures(wanted)
    assert found is not None
    for series, other in zip(found, wanted, strict=True):
        assert series.oldest == other.oldest == NOON.timestamp()
        assert len(list(joined(series, SPAN.step))) == 48 - 2
        assert len(list(joined(other, SPAN.step))) == 48 - 2


def test_the_rows_are_read_where_minutes_are_due(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_all(database)
    store_rows(database, truck, rows(NOON + HOUR + STEP / 2, 100, (1,), STEP))
    store_rows(database, truck, rows(NOON + 6 * HOUR, 100, (9,), STEP))
    assert len(due(database)) == 2
    monkeypatch.setattr(minute_series, "EXACT_ROWS", 1000)
    wanted = pictures(from_rows(database, truck, 1, 7, 9))
    assert pictures(from_minutes(database, truck, 1, 7, 9)) == wanted


def test_minutes_that_were_never_kept_are_not_trusted(database: Database, truck: UUID) -> None:
    keep_all(database)
    ask(database, "DELETE FROM measurements_minute WHERE minute < %s", NOON + 2 * HOUR)
    ask(database, "UPDATE fleetsync.minute_state SET minutes_from = %s", NOON + 2 * HOUR)
    assert pictures(from_minutes(database, truck)) == pictures(from_rows(database, truck))


def test_the_rows_are_read_if_too_many_would_be_read_beside_the_minutes(
    database: Database, truck: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minute_series, "EXACT_ROWS", 1000)
    assert from_minutes(database, truck) is None
    database.run(minutes.begin)
    assert from_minutes(database, truck) is None
    keep_all(database)
    assert from_minutes(database, truck) is not None
    monkeypatch.setattr(minute_series, "MOST_MINUTES", 600)
    assert from_minutes(database, truck, 1) is not None
    assert from_minutes(database, truck) is None


def test_a_short_span_is_read_from_the_rows(database: Database, truck: UUID) -> None:
    keep_all(database)
    for seconds, count in ((3 * 3600, 60), (10 * 3600, 1200)):
        slices = Slices.until(END.timestamp(), seconds, count)
        reading = partial(read_minutes, vehicle_id=truck, channels=[1], slices=slices)
        assert database.run(reading) is None


def test_minutes_of_measurements_that_were_dropped_are_shown(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    keep_all(database)
    wanted = pictures(from_rows(database, truck))
    as_owner(server, database_name, "DELETE FROM measurements WHERE time < '2026-02-10 20:00Z'")
    span = PlotSpan(END.timestamp() - 1, 10 * 3600)
    plot = database.run(lambda c: read_plot(c, truck, [1, 7], span, 60))
    assert pictures([each.series for each in plot.channels]) == wanted
    assert plot.oldest == NOON.timestamp()
    # A part of them comes again: it is less than what is known.
    store_rows(database, truck, rows(NOON + HOUR, 5, (1,), STEP * 5))
    assert due(database)
    assert pictures(from_minutes(database, truck)) == wanted


@pytest.mark.parametrize(("ago", "hours", "count"), [(3, 2, 60), (0, 10, 1200), (0, 12, 60)])
def test_whatever_span_is_plotted_minutes_are_shown_where_rows_were_dropped(
    server: Server,
    database_name: str,
    database: Database,
    truck: UUID,
    monkeypatch: pytest.MonkeyPatch,
    ago: int,
    hours: int,
    count: int,
) -> None:
    """A short span, slices shorter than a minute, and more minutes than are read usually."""
    keep_all(database)
    cut = "DELETE FROM measurements WHERE time < '2026-02-10 19:00Z'"
    as_owner(server, database_name, cut)
    monkeypatch.setattr(minute_series, "MOST_MINUTES", 700)
    span = PlotSpan((END - ago * HOUR).timestamp() - 1, hours * 3600)
    plot = database.run(lambda c: read_plot(c, truck, [1, 7], span, count))
    for each in plot.channels:
        before = sum(
            values.count
            for values in each.series.values
            if plot.slices.time(values.index) < (NOON + 7 * HOUR).timestamp()
        )
        assert before == 180 * (2 if hours == 2 else 5)


def test_a_young_vehicles_short_span_is_read_from_its_rows(database: Database, truck: UUID) -> None:
    keep_all(database)
    span = PlotSpan((NOON + HOUR).timestamp() - 1, 2 * 3600)
    plot = database.run(lambda c: read_plot(c, truck, [1], span, 360))
    assert sum(values.count for values in plot.channels[0].series.values) == 180
    assert len(plot.channels[0].series.values) == 180, "by the second, not by the minute"


def test_huge_values_have_a_mean_between_their_bounds(database: Database, truck: UUID) -> None:
    ask(
        database,
        "INSERT INTO measurements VALUES (%s::uuid, 5, %s, 1.7e308), (%s::uuid, 5, %s, 1.7e308)",
        str(truck), NOON, str(truck), NOON + STEP,
    )  # fmt: skip
    keep_all(database)
    assert pictures(from_minutes(database, truck, 5)) == [[(0, 2, 1.7e308, 1.7e308, 1.7e308)]]


def test_a_role_whose_rights_are_older_reads_the_rows(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    keep_all(database)
    as_owner(server, database_name, "REVOKE SELECT ON fleetsync.minute_due FROM fleet_app")
    assert from_minutes(database, truck) is None


@pytest.mark.parametrize(("granted", "seen"), [(True, [48]), (False, None)])
def test_an_owner_of_vehicles_sees_only_theirs(
    server: Server,
    database_name: str,
    database: Database,
    truck: UUID,
    granted: bool,
    seen: list[int] | None,
) -> None:
    keep_all(database)
    store_rows(database, truck, rows(NOON + HOUR + STEP / 2, 10, (1,), STEP))
    user = "11111111-1111-1111-1111-111111111111"
    if granted:
        access = f"INSERT INTO vehicle_access VALUES ('{user}', '{truck}')"  # noqa: S608  ids
        as_owner(server, database_name, access)
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT set_config('app.user_role', 'owner', true),"
            " set_config('app.user_id', %s, true)",
            (user,),
        )
        found = read_minutes(cursor, truck, [1], SPAN)
    assert (None if found is None else [len(each.values) for each in found]) == seen


def test_the_parts_of_a_span_are_told_to_the_minute(
    server: Server, database_name: str, database: Database, truck: UUID
) -> None:
    keep_all(database)
    with closing(Database(DatabaseSettings(server.parameters(database_name, OWNER)))) as owner:
        parts = ask(
            owner,
            "SELECT * FROM fleetsync.minute_parts(%s::uuid, %s, %s) ORDER BY begins",
            str(truck), NOON + timedelta(seconds=1), END + timedelta(seconds=1),
        )  # fmt: skip
    reached = END - minutes.LAG
    assert parts == [
        (True, NOON + minutes.MINUTE, reached),
        (False, reached, END + minutes.MINUTE),
    ]
