"""Each vehicle's own terms, as commands set and tell them, and as a daemon keeps to them."""

import json
import re
import signal
from typing import Any

import pytest

from tests.acceptance.conftest import Installation

FLEET = """name,address,port,tags,interval,timeout,window,gap_kbit
Truck-01,127.0.0.1,1,mine-3,10m,30,2m,256
Truck-02,127.0.0.1,2,mine-3,,,,
"""
NONE = {"interval_sec": None, "timeout_sec": None, "window_sec": None, "gap_kbit": None}


@pytest.fixture
def trucks(installation: Installation) -> Installation:
    assert installation.command("vehicle", "add", "--from-file", "-", stdin=FLEET)[0] == 0
    return installation


def terms(it: Installation) -> dict[str, dict[str, Any] | None]:
    listed = json.loads(it.command("vehicle", "list", "--json")[1])
    return {each["name"]: each["terms"] for each in listed}


def test_terms_are_set_shown_and_taken_back(trucks: Installation) -> None:
    own = {"interval_sec": 600, "timeout_sec": 30, "window_sec": 120, "gap_kbit": 256}
    assert terms(trucks) == {"Truck-01": own, "Truck-02": None}
    header, first, second = trucks.command("vehicle", "list")[1].splitlines()
    column = header.index("TERMS")
    assert first[column:] == "interval=10m timeout=30s window=2m gap=256"
    assert second[column:] == "-"
    shown = trucks.command("status", "Truck-01")[1]
    assert "own terms: interval=10m timeout=30s window=2m gap=256" in shown
    header, first, second = trucks.command("status")[1].splitlines()
    every = slice(header.index("EVERY"), header.index("LAG"))
    assert (first[every].strip(), second[every].strip()) == ("10m", "1s")
    back = ("--interval", "default", "--timeout", "default", "--window", "default")
    changed = trucks.command("vehicle", "set", "Truck-01", *back)
    assert changed == (0, "changed Truck-01\n", "")
    assert terms(trucks)["Truck-01"] == {**NONE, "gap_kbit": 256}
    trucks.command("vehicle", "set", "Truck-01", "--gap-kbit", "default")
    assert terms(trucks) == {"Truck-01": None, "Truck-02": None}
    assert "TERMS" not in trucks.command("vehicle", "list")[1]
    assert "EVERY" not in trucks.command("status")[1]


def test_terms_are_set_for_all_that_have_a_tag_or_for_none(trucks: Installation) -> None:
    tagged = ("vehicle", "set", "--tag", "mine-3")
    assert trucks.command(*tagged, "--timeout", "2m", "--interval", "1h")[:2] == (
        0,
        "changed 2 vehicles\n",
    )
    assert {each and each["interval_sec"] for each in terms(trucks).values()} == {3600}
    trucks.command("vehicle", "set", "Truck-02", "--timeout", "default")
    before = terms(trucks)
    code, _, errors = trucks.command(*tagged, "--interval", "1m")
    assert code == 2
    assert "Truck-01: a timeout of 2m is longer than the interval of 1m" in errors
    assert "nothing was changed" in errors
    assert terms(trucks) == before
    code, _, errors = trucks.command("vehicle", "set", "--tag", "nowhere", "--interval", "10m")
    assert (code, "no vehicle has the tag nowhere" in errors) == (2, True)
    log = json.loads(trucks.command("log", "--json")[1])
    entry = next(each for each in log if each["vehicle"] == "Truck-02" and each["before"])
    assert (entry["before"], entry["after"]) == ({"timeout_sec": 120}, {"timeout_sec": None})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--interval", "10x"), "10x is no length of time"),
        (("--interval", "0"), "0 is no interval"),
        (("--interval=-5",), "-5 is no length of time"),
        (("--interval", "NaN"), "NaN is no length of time"),
        (("--interval", "1e9"), "1e9 is no length of time"),
        (("--interval", "999999999"), "it is more than 0 and at most 1d"),
        (("--interval", "0.5"), "shorter than SYNC_INTERVAL_SEC, which is 1"),
        (("--timeout", "11m"), "11m is no timeout: it is more than 0 and at most 2m"),
        (("--interval", "20"), "a timeout of 30s is longer than the interval of 20s"),
        (("--window", "2h"), "2h is no window: it is 10s to 1h"),
        (("--gap-kbit", "0"), "0 is no rate for a gap"),
        (("--tag", "mine-4"), None),
        ((), "nothing to change"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    trucks: Installation, words: tuple[str, ...], told: str | None
) -> None:
    before = terms(trucks)
    code, _, errors = trucks.command("vehicle", "set", "Truck-01", *words)
    assert code == (0 if told is None else 2)
    assert (told or "") in errors
    assert "Traceback" not in errors
    assert terms(trucks) == before


def test_a_file_with_odd_terms_registers_nothing_and_names_each_line(
    installation: Installation,
) -> None:
    odd = "name,address,interval,timeout\nA,10.8.0.1,10x,\nB,10.8.0.2,,20s\nC,10.8.0.3,10m,10\n"
    code, _, errors = installation.command("vehicle", "add", "--from-file", "-", stdin=odd)
    assert code == 2
    assert "line 2: 10x is no length of time" in errors
    odd = odd.replace("10x", "10m")
    code, _, errors = installation.command("vehicle", "add", "--from-file", "-", stdin=odd)
    assert code == 2
    assert "line 3: a timeout of 20s is longer than the interval of 1s" in errors
    assert installation.rows("SELECT count(*) FROM vehicles") == [(0,)]
    add = ("vehicle", "add", "D", "10.8.0.4", "--interval", "1h", "--gap-kbit", "64")
    assert installation.command(*add)[0] == 0
    assert terms(installation) == {"D": {**NONE, "interval_sec": 3600, "gap_kbit": 64}}


def test_doctor_names_terms_that_a_longer_interval_of_the_fleet_has_overtaken(
    trucks: Installation,
) -> None:
    assert "SYNC_INTERVAL_SEC, which is" not in trucks.command("doctor")[1]
    output = trucks.command("doctor", SYNC_INTERVAL_SEC="900")[1]
    assert "[Truck-01] an interval of 10m is shorter than SYNC_INTERVAL_SEC, which is 900" in output
    remedy = re.search(r"`fleetsyncd (vehicle set \S+ --interval default)`", output)
    assert remedy is not None, output
    assert trucks.command(*remedy[1].split(), SYNC_INTERVAL_SEC="900")[0] == 0
    assert "SYNC_INTERVAL_SEC, which is" not in trucks.command("doctor", SYNC_INTERVAL_SEC="900")[1]


def test_a_daemon_asks_a_vehicle_of_its_own_interval_that_often_and_misses_nothing(
    installation: Installation,
) -> None:
    installation.fleet(2, channels=2)
    ((own,), (usual,)) = installation.rows("SELECT name FROM vehicles ORDER BY name")
    assert installation.command("vehicle", "set", own, "--interval", "5")[0] == 0
    daemon = installation.daemon(LOG_LEVEL="WARNING")
    count = "SELECT count(*) >= 15 FROM sync_journal j JOIN vehicles v ON v.id = j.vehicle_id"
    installation.until(f"{count} WHERE v.name = '{usual}'", within=60)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    cycles = dict(
        installation.rows(
            "SELECT v.name, count(*) FROM sync_journal j JOIN vehicles v ON v.id = j.vehicle_id"
            " GROUP BY v.name"
        )
    )
    assert cycles[usual] >= 15
    assert 2 <= cycles[own] <= cycles[usual] // 5 + 3
    apart = installation.rows(
        "SELECT extract(epoch FROM started_at - lag(started_at) OVER (ORDER BY started_at))::float8"
        " FROM sync_journal j JOIN vehicles v ON v.id = j.vehicle_id WHERE v.name = %s"
        " ORDER BY started_at OFFSET 2",
        own,
    )
    assert all(seconds > 3 for (seconds,) in apart), apart
    findings = installation.check()
    assert findings.clean, findings.examples
    assert findings.checked > 0
