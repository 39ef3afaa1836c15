"""A daemon tidies closed months beside its cycles; the owner does it by a command."""

import json
import signal
from contextlib import closing

import pytest

from fleetsyncd.demo.embedded import OWNER
from tests.acceptance.conftest import Installation
from tests.acceptance.test_monitoring import free_port, scrape
from tests.integration.closed_month import INVALID, fill, old_snapshot

SECONDS = 500
TIDIED = "SELECT count(finished_at) = 1 FROM fleetsync.housekeeping"
BUSY = f"SELECT EXISTS ({INVALID})"
OWNED = {"DB_USER": OWNER}
"""Before PostgreSQL 17 only the owner may tidy."""


@pytest.fixture
def month(installation: Installation) -> str:
    # That before the last: it ended long enough ago on every day.
    return fill(installation.server, installation.database, SECONDS, 2)


def right(installation: Installation) -> dict[str, str]:
    with closing(installation.server.connect("postgres")) as connection:
        return {} if connection.server_version >= 170_000 else OWNED


def test_a_daemon_tidies_a_closed_month_and_tells_what_that_has_saved(
    installation: Installation, month: str
) -> None:
    port = free_port()
    daemon = installation.daemon(METRICS_PORT=str(port), TIDY_AFTER_DAYS="1", **right(installation))
    assert "[INFO] sync.tidy: " in daemon.wait_for(f"tidying {month}: its key takes")
    daemon.wait_for(f"tidied {month}: its key takes .*, it was ")
    installation.until(TIDIED)
    daemon.wait_for("Cycle done")
    _, samples = scrape(port)
    assert samples["fleetsync_tidied_bytes_total"][0] > 500_000
    code, output, _ = installation.command("storage", "--json")
    assert code == 0
    shown = {each["name"]: each["tidied_at"] for each in json.loads(output)[0]["tables"]}
    assert shown[month] is not None
    assert shown["vehicles"] is None


def test_a_daemon_that_is_stopped_ends_at_once_and_leaves_no_index(
    installation: Installation, month: str
) -> None:
    with old_snapshot(installation.server, installation.database):
        daemon = installation.daemon(TIDY_AFTER_DAYS="1", **right(installation))
        daemon.wait_for(f"tidying {month}: its key takes")
        installation.until(BUSY)
        daemon.wait_for("Cycle done")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end(within=10) == 0
        installation.until(f"SELECT NOT EXISTS ({INVALID})")
    log = "\n".join(daemon.lines)
    assert f"{month} could not be tidied: it was stopped" in log
    assert "Sync service stopped" in log


def test_the_next_daemon_drops_what_a_killed_one_has_left(
    installation: Installation, month: str
) -> None:
    settings = right(installation)
    with old_snapshot(installation.server, installation.database):
        daemon = installation.daemon(TIDY_AFTER_DAYS="1", **settings)
        daemon.wait_for(f"tidying {month}: its key takes")
        installation.until(BUSY)
        daemon.process.kill()
        daemon.end()
        # The server finds out within 5 s that its client has gone.
        installation.until(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE application_name = 'fleetsyncd tidy'"
            " AND datname = current_database())"
        )
        assert installation.rows(BUSY) == [(True,)]
        following = installation.daemon(TIDY_AFTER_DAYS="0", **settings)
        following.wait_for("dropped index .*_ccnew, which an interrupted tidying had left")
        assert installation.rows(BUSY) == [(False,)]


def test_the_owner_tidies_with_migrate(installation: Installation, month: str) -> None:
    code, output, errors = installation.command("migrate", "--tidy", **OWNED)
    assert (code, output.splitlines()[0]) == (0, "the schema is up to date")
    assert f"tidied: {month}, " in output
    assert f"tidying {month}: its key takes" in errors
    code, output, _ = installation.command("migrate", "--tidy", **OWNED)
    assert (code, output.splitlines()[1]) == (0, "no closed month takes more than it needs")
    code, _, errors = installation.command("migrate", "--check", "--tidy", **OWNED)
    assert (code, "--check and --tidy exclude each other" in errors) == (2, True)
    with old_snapshot(installation.server, installation.database):
        installation.rows("DELETE FROM fleetsync.housekeeping")
        code, output, _ = installation.command("migrate", "--tidy", "--wait", "1s", **OWNED)
    assert (code, f"not tidied: {month} could not be tidied: " in output) == (1, True)
