from collections.abc import Iterator
from datetime import timedelta

import pytest

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.database.schema.distribution import health
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import DatabaseError
from fleetsyncd.findings import Finding, Level, fault, ok
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import utc_now


@pytest.mark.parametrize("lead", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_database_whose_clock_differs_from_ours_is_found(
    database: Database, lead: timedelta
) -> None:
    findings = checks.run_checks(database, 8, lambda: utc_now() + lead)
    (clock,) = [each for each in findings if each.check == "clock"]
    assert clock.level is Level.FAULT
    assert f"the database's clock is {-lead.total_seconds():+.0f} s off this host's" in clock.text
    assert "NTP" in str(clock.remedy)


def test_more_connections_than_the_server_has_are_found(database: Database) -> None:
    findings = list(checks.run_checks(database, 100_000, utc_now))
    assert any("max_connections" in f"{each.text} {each.remedy}" for each in findings)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server's host be taken for another one: tests stay on this one."""
    here = "inet_client_addr() IS NULL OR"
    assert here in checks._SERVER
    another = checks._SERVER.replace(here, "false AND")
    monkeypatch.setattr(checks, "_SERVER", another)


def told_of_encryption(server: Server, name: str, **parameters: str) -> list[Finding]:
    database = Database(DatabaseSettings({**server.parameters(name), **parameters}))
    findings = list(checks.run_checks(database, 8, utc_now))
    database.close()
    return [each for each in findings if "encrypted" in each.text]


@pytest.mark.usefixtures("elsewhere")
def test_an_unencrypted_connection_to_another_host_is_warned_of(
    server: Server, database_name: str
) -> None:
    (finding,) = told_of_encryption(server, database_name)
    assert finding.level is Level.WARNING
    assert "sslmode=verify-full" in str(finding.remedy)
    assert "PGSSLMODE=disable" in str(finding.remedy)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("where", ["DATABASE_URL", "PGSSLMODE"])
def test_it_is_not_warned_of_where_the_operator_has_said_that_it_is_wanted(
    server: Server, database_name: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "PGSSLMODE":
        monkeypatch.setenv("PGSSLMODE", "disable")
        told = told_of_encryption(server, database_name)
    else:
        told = told_of_encryption(server, database_name, sslmode="disable")
    assert [(each.level, each.text) for each in told] == [
        (Level.OK, "not encrypted, as sslmode=disable asks for")
    ]


def test_a_connection_within_the_host_needs_no_encryption(
    server: Server, database_name: str
) -> None:
    assert told_of_encryption(server, database_name) == []


def test_an_error_that_has_a_hint_of_its_own_is_not_blamed_on_the_schema(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled(_database: Database) -> list[str]:
        database.run(lambda cursor: cursor.execute("DO $$ BEGIN RAISE query_canceled; END $$"))
        return []

    monkeypatch.setattr(migrate, "missing_migrations", cancelled)
    finding = list(checks.run_checks(database, 8, utc_now))[-1]
    assert "locks" in str(finding.remedy)
    assert "migrate" not in str(finding.remedy)


def test_a_cluster_that_cannot_be_looked_at_is_a_finding_and_the_last_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frozen(_cursor: Cursor) -> Iterator[Finding]:
        yield ok("cluster", "so far")
        raise DatabaseError("no answer of worker-1", "look at it")

    monkeypatch.setattr(health, "check_cluster", frozen)
    *others, last = checks.run_checks(database, 8, utc_now)
    assert last == fault("cluster", "no answer of worker-1", "look at it")
    assert any("schema" in each.check for each in others)
