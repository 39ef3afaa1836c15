"""What the vehicles' links have carried, from the wire to what commands tell of it."""

import json

import pytest

from fleetsyncd.text import size
from tests.acceptance.conftest import Installation

COUNTED = "SELECT received_bytes, sent_bytes, requests FROM fleetsync.traffic"


@pytest.fixture
def pulled(installation: Installation) -> Installation:
    """Return an installation whose vehicle Truck-01 had one cycle; Truck-02 never answered."""
    installation.fleet(1)
    assert installation.command("once")[0] == 0
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Truck-02', '127.0.0.1', 1)"
    )
    return installation


def told(it: Installation, *words: str) -> str:
    code, output, errors = it.command(*words)
    assert code == 0, errors
    return output


def test_a_daemon_that_ends_has_stored_what_it_counted(pulled: Installation) -> None:
    ((received, sent, requests),) = pulled.rows(COUNTED)
    assert (requests, sent > 4 * 100, received > sent) == (4, True, True)
    assert pulled.command("once")[0] == 1  # Truck-02 answers nothing
    ((more, _sent, requests),) = pulled.rows(COUNTED)
    assert (more > received, requests) == (True, 8)


def test_status_tells_this_month_and_the_last_one(pulled: Installation) -> None:
    ((received, sent, _),) = pulled.rows(COUNTED)
    first, second = json.loads(told(pulled, "status", "--json"))
    assert first["traffic"] == {
        "today": received + sent,
        "this_month": received + sent,
        "last_month": 0,
    }
    assert second["traffic"]["this_month"] == 0
    listed = json.loads(told(pulled, "vehicle", "list", "--json"))
    assert [each["traffic"] for each in listed] == [first["traffic"], second["traffic"]]
    header, line, _ = told(pulled, "status").splitlines()
    assert header.split()[-5:] == ["MONTH", "LAST", "MONTH", "LAST", "ERROR"]
    assert f" {size(received + sent)} " in line


def test_traffic_lists_months_and_days_of_vehicles_and_tags(pulled: Installation) -> None:
    pulled.rows(
        "INSERT INTO fleetsync.traffic SELECT id, (date_trunc('month', current_date)"
        " - interval '1 month')::date + n, 1000000, 1000, 7 FROM vehicles, generate_series(0, 1) n"
        " WHERE name = 'Truck-01'"
    )
    told(pulled, "vehicle", "set", "Truck-02", "--tag", "mine-3")
    months = json.loads(told(pulled, "traffic", "--json"))
    days = json.loads(told(pulled, "traffic", "Truck-01", "--days", "--json"))
    assert [each["name"] for each in months] == ["Truck-01"] * 2
    assert months[1]["received_bytes"] == 2_000_000
    assert [each["requests"] for each in days] == [4, 7, 7]
    assert json.loads(told(pulled, "traffic", "--months", "1", "--json")) == months[:1]
    assert json.loads(told(pulled, "traffic", "--tag", "mine-3", "--json")) == []
    header, _, before = told(pulled, "traffic").splitlines()
    assert header.split() == ["VEHICLE", "MONTH", "RECEIVED", "SENT", "BOTH", "REQUESTS"]
    assert before.split()[2:] == ["2", "MB", "2", "kB", "2", "MB", "14"]
    assert told(pulled, "traffic", "--days").startswith("VEHICLE   DAY")


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (("Truck-07",), "no vehicle is called Truck-07"),
        (("Truck-01", "--tag", "mine-3"), "name vehicles, or give --tag"),
        (("--months", "15"), "15 is not in the range"),
    ],
)
def test_what_traffic_cannot_tell_is_refused(
    pulled: Installation, words: tuple[str, ...], remark: str
) -> None:
    code, _, errors = pulled.command("traffic", *words)
    assert (code, remark in errors) == (2, True)
