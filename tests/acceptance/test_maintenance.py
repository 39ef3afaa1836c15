"""Pauses and mutes with an end and a reason, as commands tell them."""

import json
from datetime import timedelta

import pytest

from fleetsyncd.times import utc_now
from tests.acceptance.conftest import Installation

PAUSED = "SELECT paused FROM fleetsync.vehicle_state"


@pytest.fixture
def trucks(installation: Installation) -> Installation:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port)"
        " VALUES ('Truck-01', '127.0.0.1', 1), ('Truck-02', '127.0.0.1', 2)"
    )
    return installation


def told(it: Installation, *words: str) -> str:
    code, output, errors = it.command(*words, SUDO_USER="olga")
    assert code == 0, errors
    return output


def test_a_pause_with_an_end_and_a_reason_is_told_wherever_the_state_is(
    trucks: Installation,
) -> None:
    later = (utc_now() + timedelta(days=3)).replace(microsecond=0, second=0)
    when = f"{later:%Y-%m-%dT%H:%MZ}"
    words = ("vehicle", "pause", "Truck-01", "--until", when, "--reason", "workshop")
    line = f"until {later:%Y-%m-%d %H:%M:%S} UTC by olga: workshop"
    assert told(trucks, *words) == f"paused Truck-01 {line}\n"
    assert f"paused {line}" in told(trucks, "status")
    assert f"paused {line}" in told(trucks, "status", "Truck-01")
    listed = told(trucks, "vehicle", "list").splitlines()
    assert listed[0].split()[-1] == "MAINTENANCE"
    assert listed[1].endswith(f"paused {line}")
    assert trucks.command("doctor")[1].count(f"[Truck-01] paused {line}") == 1
    entry = json.loads(told(trucks, "status", "--json"))[0]
    assert (entry["state"], entry["pause"]["by"], entry["mute"]) == ("paused", "olga", None)
    assert entry["pause"]["until"] == f"{later:%Y-%m-%dT%H:%M:%SZ}"
    told(trucks, "vehicle", "resume", "Truck-01")
    assert "MAINTENANCE" not in told(trucks, "vehicle", "list")
    assert json.loads(told(trucks, "status", "--json"))[0]["pause"] is None


def test_a_pause_for_a_time_ends_by_itself_and_the_log_says_so(
    installation: Installation,
) -> None:
    installation.fleet(1)
    ((name,),) = installation.rows("SELECT name FROM vehicles")
    told(installation, "vehicle", "pause", name, "--for", "3s")
    daemon = installation.daemon()
    daemon.wait_for("the pause is over: ")
    installation.until("SELECT count(*) > 0 FROM sync_journal WHERE status = 'ok'")
    (entry,) = json.loads(told(installation, "log", "--limit", "1", "--json"))
    assert entry["login"].startswith("daemon on ")
    assert (entry["vehicle"], entry["after"]) == (name, {"paused": False})


def test_mutes_of_a_vehicle_a_tag_and_the_fleet_are_set_and_ended_apart(
    trucks: Installation,
) -> None:
    told(trucks, "vehicle", "set", "Truck-02", "--tag", "mine-3")
    assert told(trucks, "vehicle", "mute", "Truck-02", "--reason", "tyres") == (
        "muted Truck-02 by olga: tyres\n"
    )
    assert told(trucks, "vehicle", "mute", "--tag", "mine-3") == "muted tag mine-3 by olga\n"
    assert told(trucks, "vehicle", "mute", "--all") == "muted the fleet by olga\n"
    mutes = [each["mute"]["scope"] for each in json.loads(told(trucks, "status", "--json"))]
    assert mutes == ["fleet", "vehicle"]
    assert told(trucks, "vehicle", "unmute", "--all") == "unmuted the fleet\n"
    assert told(trucks, "vehicle", "unmute", "Truck-01", "Truck-02").splitlines() == [
        "Truck-01: was not muted",
        "unmuted Truck-02",
        "Truck-02 stays muted with tag mine-3: `fleetsyncd vehicle unmute --tag mine-3`",
    ]
    assert "muted with tag mine-3 by olga" in told(trucks, "status")
    told(trucks, "vehicle", "unmute", "--tag", "mine-3")
    assert "muted" not in told(trucks, "status")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("pause", "Truck-01", "--for", "8h", "--until", "2126-01-01"), "exclude each other"),
        (("pause", "Truck-01", "--for", "soon"), "soon is not a length of time"),
        (("pause", "Truck-01", "--for", "0h"), "0h is not a length of time"),
        (("pause", "Truck-01", "--for", "999999999d"), "is too long: 366d at most"),
        (("pause", "Truck-01", "--until", "2020-01-01"), "2020-01-01 is not in the future"),
        (("pause", "Truck-01", "--until", "8h"), "8h is not in the future"),
        (("pause", "Truck-01", "--until", "2126-01-01"), "is too long: 366d at most"),
        (("mute", "Truck-01", "--reason", "a\x1b[2Jb"), "a reason has at most 200 printable"),
        (("mute", "Truck-01", "--reason", "x" * 201), "a reason has at most 200 printable"),
        (("mute",), "name the vehicles, or give --tag or --all"),
        (("mute", "Truck-01", "--all"), "name the vehicles, or give --tag or --all"),
        (("unmute", "Truck-01", "--tag", "x"), "name the vehicles, or give --tag or --all"),
        (("mute", "Truck-07"), "no vehicle is called Truck-07"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_changes_nothing(
    trucks: Installation, words: tuple[str, ...], complaint: str
) -> None:
    code, output, errors = trucks.command("vehicle", *words)
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert complaint in errors
    assert trucks.rows("SELECT FROM fleetsync.mute") == trucks.rows(PAUSED) == []
