"""The daemon before servers of others: behind a pooler, and while nothing can be written."""

import signal
from pathlib import Path

import pytest
from psycopg2 import sql

from tests.acceptance.conftest import Installation
from tests.pgbouncer import HOST, pgbouncer

GOOD = "SELECT count(*) >= 4 FROM sync_journal WHERE status = 'ok'"


def behind(installation: Installation, folder: Path, mode: str) -> dict[str, str]:
    port = installation.stack.enter_context(pgbouncer(installation.server, folder, mode))
    return {"DB_HOST": HOST, "DB_PORT": str(port)}


def test_a_daemon_refuses_a_pooler_in_transaction_mode_and_other_commands_work(
    installation: Installation, tmp_path: Path
) -> None:
    installation.fleet(2)
    pooled = behind(installation, tmp_path, "transaction")
    code, _, errors = installation.command("run", **pooled)
    assert code == 2
    assert "pool_mode = session" in errors
    assert installation.command("once", **pooled)[0] == 0
    assert installation.command("status", **pooled)[0] == 0
    assert installation.command("health", **pooled)[0] == 1


def test_two_daemons_behind_a_pooler_in_session_mode_share_the_fleet_and_one_takes_over(
    installation: Installation, tmp_path: Path
) -> None:
    installation.fleet(4)
    pooled = behind(installation, tmp_path, "session")
    first, second = installation.daemon(**pooled), installation.daemon(**pooled)
    installation.until("SELECT count(*) = 2 FROM fleetsync.replica WHERE cardinality(shards) = 32")
    first.process.send_signal(signal.SIGKILL)
    second.wait_for(r"pulling 64 of 64 shards")
    installation.until(GOOD)
    second.process.send_signal(signal.SIGTERM)
    assert second.end() == 0
    assert installation.check().clean


@pytest.mark.parametrize("scope", ["database", "role"])
def test_a_database_that_can_only_be_read_for_a_while_is_lost_and_comes_back(
    installation: Installation, scope: str
) -> None:
    installation.fleet(2)
    daemon = installation.daemon()
    installation.until(GOOD)
    database = sql.Identifier(installation.database_name)
    target = sql.SQL("DATABASE {}" if scope == "database" else "ROLE fleet_app IN DATABASE {}")
    name = sql.Literal(installation.database_name)
    end = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}")
    change = sql.SQL("ALTER {} {} default_transaction_read_only {}")
    installation.server.execute(
        change.format(target.format(database), sql.SQL("SET"), sql.SQL("= on")), end.format(name)
    )
    assert "can only read" in daemon.wait_for("pulling stops")
    errors = installation.rows("SELECT count(*) FROM sync_journal WHERE status <> 'ok'")
    installation.server.execute(
        change.format(target.format(database), sql.SQL("RESET"), sql.SQL("")), end.format(name)
    )
    daemon.wait_for("database is back")
    daemon.wait_for("Cycle done", times=2)
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert installation.rows("SELECT count(*) FROM sync_journal WHERE status <> 'ok'") == errors
    assert sum("pulling stops" in line for line in daemon.lines) == 1
    assert installation.check().clean
