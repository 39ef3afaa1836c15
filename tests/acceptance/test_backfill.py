import random
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
    daemon = installation.daemon(BACKFILL_CONCURRENCY="2")
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
    ):
        code, _, err = installation.command("backfill", *arguments)
        assert (code, told in err) == (2, True), err
