"""The documented read-only role: the dashboard works for it, and it can change nothing."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2 import sql

from fleetsyncd.database.pool import Database
from fleetsyncd.demo.embedded import Server
from fleetsyncd.settings import DatabaseSettings
from tests.tui.driving import Driver, alarm, attempts, channel, drive, execute, small_fleet
from tests.tui.test_backfills_page import HALF_AUDITED, audit, request
from tests.tui.test_notices_page import tell

DOCUMENT = Path(__file__).parents[2] / "docs" / "dashboard.md"
ROLE = "fleet_viewer"


def documented_statements() -> str:
    match = re.search(rf"```sql\n(\s*CREATE ROLE {ROLE}.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def viewer_database(server: Server, database_name: str) -> Iterator[Database]:
    server.execute(sql.SQL(documented_statements()), database=database_name)
    viewer = server.parameters(database_name, ROLE)
    with closing(Database(DatabaseSettings(viewer))) as opened:
        yield opened
    role = sql.Identifier(ROLE)
    server.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role), database=database_name)


def test_the_documented_viewer_sees_everything_but_keys_and_changes_nothing(
    database: Database, viewer_database: Database
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 3)
    channel(database, ids["Truck-01"], 1, "fuel", "%")
    alarm(database, ids["Truck-01"], 7, "oil pressure low", "1 h", None)
    audit(database, ids["Truck-01"], HALF_AUDITED)

    async def look(it: Driver) -> None:
        await it.press("end", "enter")
        for tab, text in (
            ("1", "100% of 3"), ("2", "oil pressure"), ("3", "● ok"), ("4", "fuel"),
            ("5", "committed up to"),
        ):  # fmt: skip
            await it.press(tab)
            await it.sees(text)
        assert "△ 1 warning" in it.lines()[0]
        await it.press("escape", "A")
        await it.sees("oil pressure low · Truck-01")
        await it.press("escape", "l")
        await it.sees("newest page, live")
        await it.press("escape", "B")
        await it.sees("12 missing (stored)")
        assert not it.app.screen.query_one("#warnings").display

    async def act(it: Driver) -> None:
        await it.press("p")
        await it.notified("permission denied")

    drive(viewer_database, look, read_only=True)
    drive(viewer_database, act)
    assert execute(database, "SELECT count(*) FROM fleetsync.vehicle_state") == [(0,)]
    with pytest.raises(Exception, match="permission denied"):
        execute(viewer_database, "SELECT api_key FROM vehicles")


def test_a_viewer_whose_rights_are_older_than_audits_is_not_told_of_them(
    server: Server, database: Database, viewer_database: Database, database_name: str
) -> None:
    ids = small_fleet(database)
    request(database, ids["Truck-01"])
    audit(database, ids["Truck-01"], HALF_AUDITED)
    revoke = sql.SQL("REVOKE SELECT ON fleetsync.audit, fleetsync.verified FROM {}")
    server.execute(revoke.format(sql.Identifier(ROLE)), database=database_name)

    async def look(it: Driver) -> None:
        await it.press("B")
        await it.sees("1 open, 0 finished", "backfill")
        assert "missing" not in it.screen()
        await it.press("escape", "end", "enter", "5")
        await it.sees("committed up to")
        await it.settled()
        assert "audit" not in it.screen()
        assert not it.app.screen.query_one("#warnings").display

    drive(viewer_database, look, read_only=True)


def test_a_viewer_whose_rights_are_older_than_mutes_still_reads_the_notices(
    server: Server, database: Database, viewer_database: Database, database_name: str
) -> None:
    small_fleet(database)
    tell(database, "PostgreSQL is lost")
    revoke = sql.SQL("REVOKE SELECT ON fleetsync.mute FROM {}")
    server.execute(revoke.format(sql.Identifier(ROLE)), database=database_name)

    async def look(it: Driver) -> None:
        await it.press("T")
        await it.sees("PostgreSQL is lost")
        await it.press("exclamation_mark", "exclamation_mark", "exclamation_mark")
        await it.settled()
        assert not it.app.screen.query_one("#warnings").display

    drive(viewer_database, look, read_only=True)
