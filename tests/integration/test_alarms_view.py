"""The open alarms of the fleet, as the dashboard reads them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg2 import sql

from fleetsyncd.database import vehicles
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.views.alarms import (
    AlarmFilter,
    FleetAlarm,
    Order,
    open_alarms,
    read_alarms,
)
from fleetsyncd.demo.embedded import Server
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.severities import OpenAlarms, Severity

ALARM = """
INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, severity, message, triggered_at,
    resolved_at)
VALUES (%s::uuid, %s, %s, %s, %s, now() - %s::interval, %s)
"""
_numbers = count(1)


def truck(database: Database, name: str) -> UUID:
    host = f"10.8.0.{next(_numbers)}"
    return database.run(lambda cursor: vehicles.add_vehicle(cursor, name, host, 8001, None))


def execute(database: Database, statement: str, *arguments: object) -> None:
    database.run(lambda cursor: cursor.execute(statement, arguments))


def alarm(
    database: Database,
    vehicle: UUID,
    severity: str | None,
    ago: str = "1 h",
    *,
    message: str = "oil pressure low",
    channel: int | None = 3,
    resolved: str | None = None,
) -> int:
    number = next(_numbers)
    execute(database, ALARM, str(vehicle), number, channel, severity, message, ago, resolved)
    return number


def read(
    database: Database,
    order: Order = Order.SEVERITY,
    chosen: AlarmFilter = AlarmFilter(),  # noqa: B008  immutable
) -> list[FleetAlarm]:
    return list(database.run(lambda cursor: read_alarms(cursor, order, chosen)).rows)


def counts(database: Database) -> dict[UUID, OpenAlarms]:
    return database.run(open_alarms)


def plan_of(database: Database, read_them: Callable[[Any], object]) -> str:
    """Return how the server would carry out the last statement of a function."""
    plan = []

    class Explainer:
        def __init__(self, cursor: Cursor) -> None:
            self.cursor = cursor

        def execute(self, statement: str, values: object = None) -> None:
            setting, semicolon, query = statement.rpartition(";")
            self.cursor.execute(f"{setting}{semicolon} EXPLAIN {query}", values)
            plan.append(str(self.cursor.fetchall()))

        def fetchall(self) -> list[tuple[str]]:
            return [("[]",)] if read_them is open_alarms else []

    database.run(lambda cursor: read_them(Explainer(cursor)))
    return plan[-1]


def test_known_severities_have_an_order_and_every_other_one_counts_as_a_warning(
    database: Database,
) -> None:
    vehicle = truck(database, "Truck-01")
    names = ["info", "high", None, " Warning ", "error", "ALARM", "Critical"]
    for minutes, name in enumerate(names, 1):
        alarm(database, vehicle, name, f"{minutes} min")
    rows = read(database)
    assert [row.severity for row in rows] == [
        "Critical", "error", "ALARM", "high", "", " Warning ", "info",
    ]  # fmt: skip
    assert [row.rank for row in rows] == [4, 3, 3, 2, 2, 2, 1]
    assert [row.severity for row in read(database, Order.NEWEST)] == [name or "" for name in names]
    assert counts(database) == {vehicle: OpenAlarms(7, Severity.CRITICAL, 1)}


def test_counts_of_vehicles_add_up_to_those_of_the_fleet() -> None:
    warnings, alarms = OpenAlarms(5, Severity.WARNING, 4), OpenAlarms(2, Severity.ALARM, 1)
    assert warnings + alarms == alarms + warnings == OpenAlarms(7, Severity.ALARM, 1)
    assert warnings + warnings == OpenAlarms(10, Severity.WARNING, 8)


def test_only_open_alarms_of_registered_vehicles_are_shown(
    server: Server, database: Database, database_name: str
) -> None:
    vehicle = truck(database, "Truck-01")
    still_open = alarm(database, vehicle, "critical")
    alarm(database, vehicle, "critical", resolved="2026-01-01Z")
    # As in an adopted table without a foreign key, whose vehicle another service has deleted.
    server.execute(
        sql.SQL("ALTER TABLE alarms_log DROP CONSTRAINT alarms_log_vehicle_id_fkey"),
        database=database_name,
    )
    alarm(database, uuid4(), "critical")
    assert [row.alarm_id for row in read(database)] == [still_open]
    database.run(lambda cursor: cursor.execute("DELETE FROM vehicles"))
    assert read(database) == []


def test_an_alarm_has_its_channel_where_it_names_one(database: Database) -> None:
    vehicle = truck(database, "Truck-01")
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name, unit, min_value, max_value)"
        " VALUES (%s::uuid, 3, 'oil', 'bar', 0, 10)",
        str(vehicle),
    )
    alarm(database, vehicle, "info", "1 min")
    alarm(database, vehicle, "info", "2 min", channel=9)
    alarm(database, vehicle, "info", "3 min", channel=None)
    known, unknown, none = read(database)
    assert (known.channel_id, known.channel_name, known.unit) == (3, "oil", "bar")
    assert (known.min_value, known.max_value) == (0, 10)
    assert (unknown.channel_id, unknown.channel_name) == (9, "")
    assert (none.channel_id, none.channel_name) == (None, "")


@pytest.mark.parametrize("order", Order)
def test_pages_hold_each_alarm_once_also_those_of_one_moment(
    database: Database, order: Order
) -> None:
    trucks = [truck(database, f"Truck-{number}") for number in range(3)]
    expected = [
        (vehicle, alarm(database, vehicle, severity, ago))
        for vehicle in trucks
        for severity in ("critical", None, "info")
        for ago in ("1 h", "1 h", "1 h", "1 h", "0 s")
    ]
    execute(
        database,
        "UPDATE alarms_log SET triggered_at = CASE mod(alarm_id, 5) WHEN 0 THEN 'infinity'"
        " WHEN 1 THEN '-infinity' ELSE date_trunc('day', triggered_at) END",
    )
    shown: list[FleetAlarm] = []

    def page(cursor: Cursor) -> list[FleetAlarm]:
        last = shown[-1] if shown else None
        page = read_alarms(cursor, order, AlarmFilter(), before=last, limit=4)
        assert page.total == len(expected)
        return list(page.rows)

    for _ in range(0, len(expected), 4):
        shown += database.run(page)
    assert sorted(row.key for row in shown) == sorted(expected)
    assert [row.key for row in shown] == [row.key for row in read(database, order)]


def test_a_filter_narrows_by_text_vehicle_and_severity(database: Database) -> None:
    dozer, loader = truck(database, "Dozer-100%"), truck(database, "Loader-7")
    execute(
        database,
        "INSERT INTO channel_config (vehicle_id, channel_id, name) VALUES (%s::uuid, 5, 'Coolant')",
        str(loader),
    )
    oil = alarm(database, dozer, "critical", message="Oil pressure low")
    hot = alarm(database, loader, "Overheat", message="above 105", channel=5)
    door = alarm(database, loader, None, message="door open")

    def shown(chosen: AlarmFilter) -> set[int]:
        return {row.alarm_id for row in read(database, chosen=chosen)}

    for texts, expected in (
        (("OIL",), {oil}), (("coolant",), {hot}), (("overh",), {hot}), (("loader",), {hot, door}),
        (("loader", "door"), {door}), (("100%",), {oil}), (("%",), {oil}), (("zeppelin",), set()),
    ):  # fmt: skip
        assert shown(AlarmFilter(texts=texts)) == expected
    assert shown(AlarmFilter(vehicles=("DOZ", "crane"))) == {oil}
    assert shown(AlarmFilter(vehicles=("door",))) == set()
    assert shown(AlarmFilter(severities=frozenset([Severity.WARNING]))) == {hot, door}
    assert shown(AlarmFilter(("door",), ("doz",))) == set()
    assert shown(AlarmFilter(severities=frozenset())) == set()


def test_the_age_of_the_knowledge_is_that_of_the_last_answer_about_alarms(
    database: Database,
) -> None:
    answers, silent, failing, behind = (
        truck(database, name) for name in ("Answers", "Silent", "Failing", "Clock behind")
    )
    for vehicle, seen, watermark, skew in (
        (answers, "5 s", "10 s", 40), (silent, "5 h", "5 h", None), (failing, "5 s", "3 h", 0),
        (behind, "5 s", "1 h", -3_600_000),
    ):  # fmt: skip
        alarm(database, vehicle, "info")
        execute(
            database,
            "UPDATE vehicles SET last_seen_at = now() - %s::interval WHERE id = %s::uuid",
            seen, str(vehicle),
        )  # fmt: skip
        execute(
            database,
            "INSERT INTO fleetsync.vehicle_state (vehicle_id, alarm_watermark, clock_skew_ms,"
            " paused) VALUES (%s::uuid, now() - %s::interval, %s, %s)",
            str(vehicle), watermark, skew, vehicle == silent,
        )  # fmt: skip
    never = truck(database, "Never asked")
    alarm(database, never, "info")
    known = {row.vehicle_id: row.known_age for row in read(database)}
    for vehicle, seconds in (
        (answers, 10), (silent, 18_000), (failing, 10_800), (behind, 5),
    ):  # fmt: skip
        assert known[vehicle] == pytest.approx(seconds, abs=3)
    assert known[never] is None
    assert {row.vehicle_id for row in read(database) if row.paused} == {silent}


def test_open_alarms_are_found_by_their_index_and_without_it(
    server: Server, database: Database, database_name: str
) -> None:
    vehicle = truck(database, "Truck-01")
    execute(
        database,
        "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at,"
        " resolved_at) SELECT %s::uuid, 1000000 + n, 1, 'over', now(), now()"
        " FROM generate_series(1, 20000) n",
        str(vehicle),
    )
    number = alarm(database, vehicle, "critical")
    server.execute(sql.SQL("ANALYZE alarms_log"), database=database_name)

    for read_them in (open_alarms, partial(read_alarms, order=Order.NEWEST, chosen=AlarmFilter())):
        assert "alarms_log_open" in plan_of(database, read_them)
    with_index = (read(database), counts(database))
    assert [row.alarm_id for row in with_index[0]] == [number]
    server.execute(sql.SQL("DROP INDEX alarms_log_open"), database=database_name)
    assert counts(database) == with_index[1]
    assert [row.alarm_id for row in read(database)] == [number]


@pytest.fixture
def site_viewer(server: Server, database_name: str) -> Iterator[Database]:
    """Return the database as a role sees it that may see Truck-01 only."""
    role, database = sql.Identifier("site_viewer"), database_name
    server.execute(
        sql.SQL(
            "CREATE ROLE {0} LOGIN; GRANT USAGE ON SCHEMA public, fleetsync TO {0};"
            " GRANT SELECT ON ALL TABLES IN SCHEMA public, fleetsync TO {0};"
            " CREATE POLICY site ON vehicles AS RESTRICTIVE TO {0} USING (name = 'Truck-01');"
            " CREATE POLICY site ON alarms_log AS RESTRICTIVE TO {0}"
            " USING (vehicle_id IN (SELECT id FROM vehicles))"
        ).format(role),
        database=database,
    )
    viewer = server.parameters(database_name, "site_viewer")
    with closing(Database(DatabaseSettings(viewer))) as opened:
        yield opened
    server.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role), database=database)


def test_a_role_sees_only_the_alarms_that_row_level_security_shows_it(
    database: Database, site_viewer: Database
) -> None:
    own, other = truck(database, "Truck-01"), truck(database, "Truck-02")
    number = alarm(database, own, "warning")
    alarm(database, other, "critical")
    assert set(counts(database)) == {own, other}
    assert counts(site_viewer) == {own: OpenAlarms(1, Severity.WARNING, 1)}
    assert [row.alarm_id for row in read(site_viewer)] == [number]
