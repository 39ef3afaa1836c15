import json
from dataclasses import replace

from tests.acceptance.conftest import Installation
from tests.acceptance.test_doctor import findings, wrong

ADDRESSES = "SELECT name, api_port, api_key FROM vehicles ORDER BY name"
FRESH = "SELECT bool_and(last_sync_at > %s::timestamptz) FROM vehicles"
NOW = "SELECT clock_timestamp()::text"


def test_two_vehicles_change_places_while_a_daemon_pulls_them(installation: Installation) -> None:
    installation.fleet(2, channels=2)
    daemon = installation.daemon()
    installation.until(FRESH, installation.rows(NOW)[0][0])
    (excavator, *its), (truck, *others) = installation.rows(ADDRESSES)
    code, output, errors = installation.command("vehicle", "swap", truck, excavator)
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        f"Truck-01 is at 127.0.0.1 port {its[0]} from now on",
        f"Excavator-02 is at 127.0.0.1 port {others[0]} from now on",
    ]
    assert installation.rows(ADDRESSES) == [(excavator, *others), (truck, *its)]
    installation.until(FRESH, installation.rows(NOW)[0][0])
    daemon.process.terminate()
    assert daemon.end() == 0
    remarks = installation.rows("SELECT error_msg FROM sync_journal WHERE error_msg IS NOT NULL")
    assert [r for (r,) in remarks if "changed meanwhile" not in r and "stopped" not in r] == []
    # Rows of before the swap are of the one machine, those after it of the other.
    own, swapped = ({e.name: e for e in installation.expectations}, {})
    for name, other in ((truck, excavator), (excavator, truck)):
        swapped[name] = replace(own[name], name=other)
    rows = (
        "SELECT (SELECT count(*) FROM measurements WHERE vehicle_id = %s::uuid)"
        " + (SELECT count(*) FROM alarms_log WHERE vehicle_id = %s::uuid)"
    )
    for name in (truck, excavator):
        installation.expectations = [own[name]]
        before = installation.check()
        installation.expectations = [swapped[name]]
        after = installation.check()
        stored = installation.rows(rows, *[str(own[name].vehicle_id)] * 2)[0][0]
        # Both machines may have measured in one millisecond, but never the same.
        foreign = before.unexpected + before.altered, after.unexpected + after.altered
        assert sum(foreign) == stored
        assert 0 < before.unexpected < stored


def test_a_swap_names_two_vehicles_that_exist(installation: Installation) -> None:
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('Truck-01', '10.8.0.1')")
    for second, told in (("Truck-01", "the same vehicle"), ("Truck-09", "no vehicle is called")):
        code, _, errors = installation.command("vehicle", "swap", "Truck-01", second)
        assert (code, errors.count("\n")) == (2, 1)
        assert told in errors


def test_an_operator_finds_a_renamed_machine_and_accepts_it(installation: Installation) -> None:
    installation.fleet(1)
    installation.command("once")
    installation.rows("UPDATE fleetsync.vehicle_state SET id_hint = 'Old-01'")
    assert "calls itself Truck-01 instead of Old-01" in installation.command("once")[1]
    assert "calls itself Truck-01" in installation.command("status")[1]
    assert "[Truck-01] calls itself Truck-01 instead" in installation.command("doctor")[1]
    accepted = "accepted Truck-01: it calls itself Truck-01\n"
    assert installation.command("vehicle", "accept", "Truck-01") == (0, accepted, "")
    nothing = "nothing to accept of 1 vehicle(s)\n"
    assert installation.command("vehicle", "accept", "--all") == (0, nothing, "")
    assert installation.command("vehicle", "accept")[0] == 2
    assert "calls itself" not in installation.command("once")[1]


def test_another_vehicles_machine_fails_where_an_operator_looks(
    installation: Installation,
) -> None:
    installation.fleet(2)
    installation.command("once")
    installation.rows(
        "UPDATE fleetsync.vehicle_state s SET id_hint = o.name FROM vehicles o"
        " WHERE o.id <> s.vehicle_id"
    )
    told = "calls itself Truck-01 instead of Excavator-02, which is the machine of [Excavator-02]"
    code, output, errors = installation.command("vehicle", "test", "Truck-01")
    assert (code, errors) == (1, "")
    assert f"FAILED  /status    {told}" in output
    assert [line[:2] for line in output.splitlines()[2:]] == ["ok"] * 3
    code, output, _ = installation.command("vehicle", "test", "Truck-01", "--json")
    assert (code, [each["good"] for each in json.loads(output)]) == (1, [False, True, True, True])
    code, rows = findings(installation, PULL_TIMEOUT_SEC="0.9")
    assert (code, wrong(rows)) == (1, [("FAULT", "vehicles")] * 2)
    assert "fleetsyncd vehicle swap Truck-01 OTHER" in [each["remedy"] for each in rows]
    assert told in installation.command("once")[1]
    code, output, _ = installation.command("doctor", "--no-vehicles")
    assert code == 1
    assert "FAULT    machines" in output
    assert "which is the machine of [Excavator-02]: nothing of it is stored" in output


def test_a_vehicle_with_a_name_of_nobody_passes_its_test_with_a_remark(
    installation: Installation,
) -> None:
    installation.fleet(1)
    installation.command("once")
    installation.rows("UPDATE fleetsync.vehicle_state SET id_hint = 'Old-01'")
    code, output, _ = installation.command("vehicle", "test", "Truck-01")
    assert code == 0
    assert "db_ok=True; calls itself Truck-01 instead of Old-01: another machine" in output
