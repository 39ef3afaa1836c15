import random
import re
import signal
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.acceptance.conftest import Installation

COMPLETE = "SELECT bool_and(finished_at IS NOT NULL) FROM fleetsync.backfill"


PATIENT_SEC = 150.0


def expect_since(installation: Installation, earlier: timedelta) -> None:
    """Let the checker expect what was measured so much before the fleet was registered, too."""
    installation.expectations[:] = [
        replace(one, start=one.start - earlier) for one in installation.expectations
    ]


@pytest.mark.long
def test_a_gap_of_thirty_days_interrupted_by_ten_kills_ends_complete(
    installation: Installation,
) -> None:
    installation.fleet(1, ago=timedelta(days=30), channels=1)
    dice = random.Random(30)  # noqa: S311  a seed, no secret
    reached = 0.0
    for _ in range(10):
        daemon = installation.daemon()
        reached += dice.uniform(0.02, 0.08)
        installation.until(
            "SELECT last_sync_at > now() - interval '30 days' * %s FROM vehicles",
            1 - reached,
            within=PATIENT_SEC,
        )
        daemon.process.kill()
        daemon.end()
    last = installation.daemon()
    installation.until(
        "SELECT last_sync_at > now() - interval '1 minute' FROM vehicles", within=PATIENT_SEC
    )
    installation.until("SELECT count(*) > 0 FROM sync_journal WHERE status = 'ok'")
    last.process.send_signal(signal.SIGTERM)
    assert last.end() == 0
    findings = installation.check()
    assert findings.clean
    assert findings.checked > 2_500_000


def test_the_command_watches_a_backfill_to_its_end_while_cycles_go_on(
    installation: Installation,
) -> None:
    installation.fleet(3, channels=2)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    code, out, err = installation.command("backfill", "--all", "--from", "26h")
    assert (code, err) == (0, "")
    assert out.count("complete") == 3
    assert "of 3 vehicle(s)" in out
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    expect_since(installation, timedelta(hours=25))
    assert installation.check().clean
    log = "\n".join(daemon.lines)
    assert log.count("; complete") == 3
    assert installation.rows(COMPLETE) == [(True,)]


def test_no_more_backfills_run_at_a_time_than_are_allowed(installation: Installation) -> None:
    installation.fleet(5, channels=1)
    installation.command("backfill", "--all", "--from", "26h", "--no-wait")
    daemon = installation.daemon(CATCH_UP_CONCURRENCY="2")
    installation.until(COMPLETE, within=PATIENT_SEC)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    running, most, ended = 0, 0, 0
    for line in daemon.lines:
        running += ("backfill of" in line and "begins" in line) - ("; complete" in line)
        most, ended = max(most, running), ended + ("; complete" in line)
    assert (most, ended, running) == (2, 5, 0)


def test_a_backfill_survives_the_daemons_restart(installation: Installation) -> None:
    installation.fleet(1, channels=1)
    code, out, err = installation.command("backfill", "--all", "--from", "4d", "--no-wait")
    assert (code, "requested" in out) == (0, True)
    assert "no daemon is running" in err
    daemon = installation.daemon()
    installation.until("SELECT reached_at > from_at FROM fleetsync.backfill")
    daemon.process.kill()
    daemon.end()
    second = installation.daemon()
    installation.until(COMPLETE, within=PATIENT_SEC)
    second.process.send_signal(signal.SIGTERM)
    assert second.end() == 0
    expect_since(installation, timedelta(days=3))
    assert installation.check().clean


def test_a_backfill_can_be_cancelled_and_mistakes_are_explained(installation: Installation) -> None:
    installation.fleet(1)
    assert installation.command("backfill", "--all", "--from", "2d", "--no-wait")[0] == 0
    code, out, _ = installation.command("backfill", "--all", "--cancel")
    assert (code, "cancelled: 1" in out) == (0, True)
    for arguments, told in (
        (["--all"], "no backfill is requested"),
        ([], "name the vehicles, or give --all"),
        (["nobody", "--from", "1d"], "no vehicle is called nobody"),
        (["--all", "--from", "yesterday"], "yesterday is not a time"),
        (["--all", "--from", "1h", "--to", "2h"], "before it ends"),
        (["--all", "--from", "500d"], "nothing older is kept: write "),
        (["--all", "--from", "1d", "--wait", "soon"], "soon is not a length of time"),
        (["--all", "--from", "1d", "--wait", "now"], "now is not a length of time; write 90m"),
        (["--all", "--wait", "1h", "--no-wait"], "--wait goes with neither"),
        (["--all", "--wait", "1h", "--cancel"], "--wait goes with neither"),
    ):
        code, _, err = installation.command("backfill", *arguments)
        assert (code, told in err) == (2, True), err


def test_a_backfill_of_which_nothing_is_left_says_so_now_and_later(
    installation: Installation,
) -> None:
    installation.fleet(1, channels=1)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    asked = ("backfill", "--all", "--from", "101d", "--to", "100d")
    for arguments in (asked, ("backfill", "--all")):
        code, out, err = installation.command(*arguments)
        assert (code, "nothing left to pull: all 24h gone" in out) == (1, True), (out, err)
        assert "the vehicle has no longer, or it is older than what is kept" in err
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    (line,) = (line for line in daemon.lines if "gone for good" in line)
    assert "[WARNING]" in line


def test_a_backfill_of_a_paused_vehicle_says_what_it_waits_for_and_ends_in_time(
    installation: Installation,
) -> None:
    installation.fleet(1, channels=1)
    name = installation.expectations[0].name
    installation.command("vehicle", "pause", name)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    asked = ("backfill", name, "--from", "2h")
    told = f"[{name}] the vehicle is paused, its backfill waits until it is resumed"
    code, _, err = installation.command(*asked, "--no-wait")
    assert (code, err.splitlines()) == (0, [told])
    code, out, err = installation.command(*asked, "--wait", "2s")
    assert (code, err.count(told)) == (1, 1)
    assert "not done within 2s: 1 backfill(s) stay requested" in err
    assert out.splitlines()[-1].startswith(name)
    assert "paused" in out.splitlines()[-1]
    installation.command("vehicle", "resume", name)
    code, out, err = installation.command("backfill", name, "--wait", "25s")
    assert (code, err, "complete" in out) == (0, "", True)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0


def test_a_watcher_is_told_of_a_vehicle_that_fails_and_of_a_daemon_that_is_lost(
    installation: Installation,
) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Gone-01', '127.0.0.1', 1)"
    )
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    code, out, err = installation.command("backfill", "Gone-01", "--from", "2h", "--wait", "3s")
    assert (code, "[Gone-01] " in err, "refused" in err) == (1, True, True)
    assert "refused" in out
    daemon.process.kill()
    daemon.end()
    installation.rows("UPDATE fleetsync.replica SET beat_at = now() - interval '23 s'")
    code, _, err = installation.command("backfill", "Gone-01", "--wait", "11s")
    told = [line for line in err.splitlines() if "no daemon is running" in line]
    assert (code, len(told)) == (1, 1)
    assert err.index("refused") < err.index("no daemon is running")


def test_an_interval_that_is_not_the_one_asked_for_is_told(installation: Installation) -> None:
    installation.fleet(1, channels=1)
    name = installation.expectations[0].name
    asked = ("backfill", name, "--no-wait", "--from")
    _, out, err = installation.command(*asked, "9d", "--to", "2199-01-01T00:00Z")
    (window,) = re.findall(r"requested: (\[.*\)) of 1", out)
    assert f"cut: --to is in the future, the interval is {window}" in err
    _, out, _ = installation.command(*asked, "3d", "--to", "2d")
    assert f"[{name}] has an open backfill, both are one now: {window}" in out


def test_a_backfill_that_is_cancelled_at_work_is_neither_an_error_nor_a_warning(
    installation: Installation,
) -> None:
    installation.fleet(1, channels=1)
    daemon = installation.daemon()
    installation.command("backfill", "--all", "--from", "60d", "--no-wait")
    installation.until("SELECT reached_at > from_at FROM fleetsync.backfill")
    assert "cancelled: 1" in installation.command("backfill", "--all", "--cancel")[1]
    line = daemon.wait_for("cancelled by an operator")
    assert "[INFO]" in line
    ((status, rows),) = installation.rows(
        "SELECT status, rows_written FROM sync_journal WHERE error_msg LIKE 'backfill of %%'"
    )
    assert (status, rows > 0) == ("ok", True)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
