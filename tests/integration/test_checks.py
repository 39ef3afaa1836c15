from datetime import timedelta

import pytest

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import checks, migrate
from fleetsyncd.findings import Level
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
