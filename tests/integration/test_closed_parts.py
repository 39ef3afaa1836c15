"""Parts of measurements and minutes have no policies: nobody but their owner has rights on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from psycopg2 import sql

from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema import partition_checks
from fleetsyncd.database.schema.hidden.conversion import State
from fleetsyncd.database.schema.lock_waits import PatientSession
from fleetsyncd.demo.embedded import OWNER, Server
from fleetsyncd.findings import Finding, Level
from fleetsyncd.times import month_of, utc_now
from tests.hidden import bring_back, hide
from tests.integration.test_adoption import as_owner
from tests.integration.test_retention import query

WEB = "fleet_web_18"
IS_PART = "relname ~ '^measurements_(minute_)?[0-9]' AND relkind = 'r'"
READABLE = f"""
SELECT relname::text FROM pg_class
WHERE {IS_PART} AND has_table_privilege('{WEB}', oid, 'SELECT, DELETE') ORDER BY 1
"""  # noqa: S608  made of this file's own text
PARTS = f"SELECT count(*) FROM pg_class WHERE {IS_PART}"  # noqa: S608  the same


@contextmanager
def a_role(server: Server, name: str) -> Iterator[None]:
    """Make a role, to which default privileges give new tables."""
    role, owner = sql.Identifier(WEB), sql.Identifier(OWNER)
    given = "ALTER DEFAULT PRIVILEGES FOR ROLE {} GRANT SELECT, DELETE ON TABLES TO {}"
    server.execute(sql.SQL("CREATE ROLE {}").format(role))
    server.execute(sql.SQL(given).format(owner, role), database=name)
    try:
        yield
    finally:
        server.execute(sql.SQL("DROP OWNED BY {}").format(role), database=name)
        server.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def web(server: Server, database_name: str) -> Iterator[str]:
    with a_role(server, database_name):
        yield WEB


def make_months(database: Database) -> None:
    now = utc_now()
    Partitions(database).ensure(now - timedelta(days=60), now + timedelta(days=31))
    query(database, "SELECT fleetsync.make_minute_month(%s)", month_of(now).date())


def told(database: Database) -> list[Finding]:
    findings = database.run(lambda c: list(partition_checks.check_partitions(utc_now, c)))
    return [each for each in findings if each.level is not Level.OK]


@pytest.mark.usefixtures("web")
def test_default_privileges_open_no_new_month(database: Database) -> None:
    make_months(database)
    assert query(database, PARTS)[0][0] >= 4
    assert query(database, READABLE) == []
    assert told(database) == []


@pytest.mark.usefixtures("web")
def test_default_privileges_open_no_month_that_comes_back(
    server: Server, database_name: str, database: Database
) -> None:
    make_months(database)
    hide(server, database_name)
    bring_back(server, database_name)
    assert query(database, READABLE) == []
    # With TimescaleDB the role could not be dropped: its parts of the table, to which no role but
    # the owner has rights, depend on it by pg_shdepend.
    server.execute(sql.SQL("DROP TABLE fleetsync.samples_before"), database=database_name)


OTHERS = f"""
SELECT oid::regclass::text FROM pg_class
WHERE (relnamespace = 'fleetsync'::regnamespace
       AND relname IN ('samples', 'copied', 'measurements_back', 'samples_before')
       OR oid = 'public.measurements'::regclass)
  AND has_table_privilege('{WEB}', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1
"""  # noqa: S608  made of this file's own text


@pytest.mark.usefixtures("web")
def test_default_privileges_open_nothing_while_rows_are_copied_there_or_back(
    server: Server, database_name: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_months(database)
    as_owner(server, database_name, f"REVOKE ALL ON measurements FROM {WEB}")
    opened: list[tuple[str, str]] = []
    execute = PatientSession.execute

    def watched(self: PatientSession, what: str, statement: str) -> None:
        execute(self, what, statement)
        opened.extend((statement, name) for (name,) in as_owner(server, database_name, OTHERS))

    monkeypatch.setattr(PatientSession, "execute", watched)
    assert hide(server, database_name)
    assert bring_back(server, database_name) is State.HIDDEN
    assert {name for _, name in opened} == set(), opened
    server.execute(sql.SQL("DROP TABLE fleetsync.samples_before"), database=database_name)


@pytest.mark.usefixtures("web")
def test_months_that_others_may_read_around_the_policies_are_told(
    server: Server, database_name: str, database: Database
) -> None:
    make_months(database)
    month = f"measurements_{utc_now():%Y_%m}"
    minutes = f"measurements_minute_{utc_now():%Y_%m}"
    as_owner(
        server,
        database_name,
        f"GRANT SELECT ON {month}, {minutes} TO {WEB}",
        f"GRANT SELECT (value) ON {month} TO {WEB}",
    )
    (finding,) = told(database)
    assert finding.level is Level.WARNING
    assert f"{WEB} may read or change 2 months around row level security" in finding.text
    remedy = str(finding.remedy)
    assert remedy == f"as owner: REVOKE ALL ON {month}, {minutes} FROM {WEB}"
    as_owner(server, database_name, remedy.removeprefix("as owner: "))
    assert told(database) == []


def test_a_table_without_policies_has_none_to_be_read_around(
    server: Server, database_name: str, database: Database, web: str
) -> None:
    make_months(database)
    as_owner(
        server,
        database_name,
        f"GRANT SELECT ON measurements_{utc_now():%Y_%m} TO {web}",
        "ALTER TABLE measurements DISABLE ROW LEVEL SECURITY",
    )
    assert told(database) == []
