import re

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.demo.fleet import Fleet, demo_specs
from tests.simulated import running
from tests.tui.driving import Driver, beat, drive, execute
from tui.dialogs.probe import MOST_TESTED


@pytest.fixture
def configured(server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let started processes use the database that the dashboard reads."""
    for name, value in server.environment(database_name).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("configured")
def test_each_of_the_four_calls_is_tested_and_gets_a_readable_result(database: Database) -> None:
    specs = demo_specs(2, with_faults=False)
    beat(database)
    fleet = Fleet([spec.build(channels=3) for spec in specs])

    async def look(it: Driver) -> None:
        await it.press("asterisk", "t")
        await it.sees("Test 2 vehicles", "3 channels", "HTTP 401")
        for call in ("/status", "/channels", "/data", "/alarms"):
            assert f"✔ {call}" in it.screen()
            assert f"✖ {call}" in it.screen()
        # A demo vehicle may have an alarm at any time of the day.
        assert re.search(r"\d+ alarms? in the last minute", it.screen())
        execute(database, "UPDATE vehicles SET api_key = %s WHERE api_key = 'wrong'", specs[1].key)
        await it.click("#accept")
        await it.sees_no("✖")
        await it.press("escape")
        assert it.dialog() == "FleetPage"

    with running(fleet):
        for spec, (host, port), key in zip(
            specs, fleet.addresses, (specs[0].key, "wrong"), strict=True
        ):
            execute(
                database,
                "INSERT INTO vehicles (name, vpn_ip, api_port, api_key)"
                " VALUES (%s, %s::inet, %s, %s)",
                spec.name, host, port, key,
            )  # fmt: skip
        drive(database, look, size=(100, 40))


@pytest.mark.usefixtures("configured")
def test_another_vehicles_machine_fails_its_test(database: Database) -> None:
    (spec,) = demo_specs(1, with_faults=False)
    fleet = Fleet([spec.build(channels=3)])

    async def look(it: Driver) -> None:
        await it.press("t")
        await it.sees("✖ /status", "which is the machine of [Truck-10]", "✔ /data")

    with running(fleet):
        ((host, port),) = fleet.addresses
        execute(
            database,
            "WITH v AS (INSERT INTO vehicles (name, vpn_ip, api_port, api_key) VALUES"
            " ('Truck-09', %s::inet, %s, %s), ('Truck-10', '127.0.0.1', 1, 'k') RETURNING id, name)"
            " INSERT INTO fleetsync.vehicle_state (vehicle_id, id_hint)"
            " SELECT id, CASE name WHEN 'Truck-10' THEN %s ELSE name END FROM v",
            host, port, spec.key, spec.name,
        )  # fmt: skip
        drive(database, look, size=(140, 40))


def test_a_test_that_cannot_run_shows_the_reason(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(database, "INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")
    monkeypatch.setenv("SYNC_INTERVAL_SEC", "soon")

    async def look(it: Driver) -> None:
        await it.press("t")
        await it.sees("✖", "SYNC_INTERVAL_SEC")

    drive(database, look)


def test_more_vehicles_than_can_be_tested_are_refused(database: Database) -> None:
    execute(
        database,
        "INSERT INTO vehicles (name, vpn_ip) SELECT 'Truck-' || n, '10.8.0.0'::inet + n"
        " FROM generate_series(1, %s) n",
        MOST_TESTED + 1,
    )

    async def look(it: Driver) -> None:
        await it.press("asterisk", "t")
        await it.sees(f"{MOST_TESTED + 1} vehicles: t tests at most {MOST_TESTED} at once")
        assert it.dialog() == "FleetPage"

    drive(database, look, size=(120, 40))
