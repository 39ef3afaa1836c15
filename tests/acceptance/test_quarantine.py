import json

from fleetsyncd.database import store, vehicles
from fleetsyncd.models import BadRow
from tests.acceptance.conftest import Installation

REPLAYED = "tried 2: 1 stored, 0 were stored already, 1 are still refused"


def test_refused_rows_are_listed_shown_replayed_and_purged(installation: Installation) -> None:
    key = installation.database.run(
        lambda c: vehicles.add_vehicle(c, "Truck-01", "10.8.0.1", 8001, None)
    )
    good = '{"channel_id":1,"value":2.5,"time":"2026-11-01T00:00:00.000Z"}'
    bad = [BadRow("/data", good, "was refused"), BadRow("/data", '{"x":"\x1b[2J"}', "no time")]
    installation.database.run(lambda cursor: store.quarantine_rows(cursor, key, bad))
    code, out, err = installation.command("quarantine", "list")
    assert (code, err) == (0, "")
    assert "was refused" in out
    assert "\x1b" not in out
    code, out, _ = installation.command("quarantine", "list", "Truck-01", "--count", "--json")
    assert sorted((one["reason"], one["rows"]) for one in json.loads(out)) == [
        ("no time", 1),
        ("was refused", 1),
    ]
    number = json.loads(installation.command("quarantine", "list", "--json")[1])[0]["id"]
    code, out, _ = installation.command("quarantine", "show", str(number))
    assert (code, "Truck-01  /data" in out) == (0, True)
    code, out, _ = installation.command("quarantine", "replay")
    assert (code, out.splitlines()[-1]) == (0, REPLAYED)
    code, out, _ = installation.command("quarantine", "purge", "--all")
    assert (code, out) == (0, "deleted 1 refused row(s)\n")
    for arguments, told in (
        (["purge"], "name the vehicle, or give --all"),
        (["purge", "--all", "--older", "week"], "week is not a time"),
        (["show", "4711"], "no refused row has the id 4711"),
        (["list", "nobody"], "no vehicle is called nobody"),
    ):
        code, _, err = installation.command("quarantine", *arguments)
        assert (code, told in err) == (2, True), err
