import json
import signal
from datetime import timedelta

from tests.acceptance.conftest import Installation
from tests.acceptance.test_backfill import PATIENT_SEC
from tests.acceptance.test_signals import ended, start

MINUTE_AGO = "SELECT last_sync_at > now() - interval '1 minute' FROM vehicles"


def pulled(installation: Installation, percent: str = "0") -> None:
    """Pull an hour of one vehicle, and leave a daemon that goes on."""
    installation.fleet(1, ago=timedelta(hours=1), channels=2)
    installation.daemon(AUDIT_PERCENT=percent, SYNC_INTERVAL_SEC="5").wait_for("Cycle done")
    installation.until(MINUTE_AGO, within=PATIENT_SEC)
    installation.until("SELECT islands = '{}' FROM fleetsync.vehicle_state", within=PATIENT_SEC)


def lose(installation: Installation) -> int:
    rows = installation.rows(
        "DELETE FROM measurements WHERE time > now() - interval '50 minutes'"
        " AND time < now() - interval '49 minutes' RETURNING 1"
    )
    return len(rows)


def test_what_is_missing_is_counted_then_stored_then_there(installation: Installation) -> None:
    pulled(installation)
    lost = lose(installation)
    assert lost
    code, out, err = installation.command("audit", "--all", "--report-only", "--json")
    (told,) = json.loads(out)
    assert (code, err) == (1, "")
    assert (told["missing"], told["different"], told["finished"]) == (lost, 0, True)
    code, out, _ = installation.command("audit", "--all", "--from", "55m")
    assert (code, f"{lost} (stored)" in out, "complete" in out) == (1, True, True)
    code, out, _ = installation.command("audit", "--all")
    assert (code, "complete" in out) == (0, True)
    assert installation.check().clean


def test_an_audit_goes_on_without_its_command_and_is_watched_again(
    installation: Installation,
) -> None:
    installation.fleet(1, ago=timedelta(hours=1), channels=2)
    assert installation.command("once")[0] == 0
    lost = lose(installation)
    assert lost
    watching = start(installation, "audit", "--all")
    installation.until("SELECT count(*) = 1 FROM fleetsync.audit")
    watching.send_signal(signal.SIGTERM)
    assert ended(watching)[0] == 128 + signal.SIGTERM
    ((asked_at,),) = installation.rows("SELECT asked_at FROM fleetsync.audit")
    again = start(installation, "audit", "--all")
    assert again.stderr is not None
    assert "no daemon is running" in again.stderr.readline()
    daemon = installation.daemon(AUDIT_PERCENT="0")
    out, _ = again.communicate(timeout=3 * PATIENT_SEC)
    assert (again.returncode, f"{lost} (stored)" in out) == (1, True), out
    assert installation.rows("SELECT asked_at FROM fleetsync.audit") == [(asked_at,)]
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert any(
        "audit of" in line and f"{lost} missing, stored now" in line for line in daemon.lines
    )
    assert installation.check().clean


def test_an_audit_can_be_cancelled_and_mistakes_are_explained(installation: Installation) -> None:
    installation.fleet(1, ago=timedelta(hours=1))
    assert installation.command("once")[0] == 0
    assert installation.command("audit", "--all", "--no-wait")[0] == 0
    code, out, _ = installation.command("audit", "--all", "--cancel")
    assert (code, "cancelled: 1" in out) == (0, True)
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('New-01', '10.8.0.1')")
    for arguments, told in (
        ([], "name the vehicles, or give --all"),
        (["nobody"], "no vehicle is called nobody"),
        (["New-01"], "[New-01] nothing of the interval was pulled yet"),
        (["Truck-01", "New-01"], "[New-01] nothing of the interval was pulled yet"),
        (["--all", "--from", "yesterday"], "yesterday is not a time"),
        (["--all", "--from", "500d"], "nothing older is kept: write "),
        (["--all", "--wait", "1h", "--no-wait"], "--wait goes with neither"),
    ):
        code, _, err = installation.command("audit", *arguments)
        assert (code, told in err) == (2, True), (arguments, err)


def test_an_audit_of_the_fleet_leaves_out_and_names_what_was_never_pulled(
    installation: Installation,
) -> None:
    installation.fleet(1, ago=timedelta(hours=1))
    assert installation.command("once")[0] == 0
    installation.rows("INSERT INTO vehicles (name, vpn_ip) VALUES ('New-01', '10.8.0.1')")
    code, out, err = installation.command("audit", "--all", "--no-wait", "--json")
    assert (code, len(json.loads(out))) == (0, 1)
    assert "left out, nothing of the interval was pulled yet: New-01" in err
    assert installation.rows("SELECT count(*) FROM fleetsync.audit") == [(1,)]
    installation.rows("UPDATE vehicles SET last_sync_at = NULL")
    code, _, err = installation.command("audit", "--all", "--from", "1h", "--no-wait")
    assert (code, "nothing of the interval was pulled yet" in err) == (2, True)


def test_the_daemon_finds_and_stores_by_itself_what_is_missing(
    installation: Installation,
) -> None:
    pulled(installation, percent="2")
    lost = lose(installation)
    assert lost
    installation.rows(
        "UPDATE fleetsync.vehicle_state SET suspect_from = now() - interval '55 minutes'"
    )
    installation.until(
        "SELECT count(*) = 1 FROM fleetsync.audit"
        " WHERE is_repair AND missing = %s AND finished_at IS NOT NULL",
        lost,
        within=PATIENT_SEC,
    )
    assert installation.check().clean
