"""The README's role that can only look: the dashboard works for it, and nothing can be changed."""

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

README = Path(__file__).parents[2] / "README.md"
ROLE = "fleet_viewer"


def the_readmes_statements() -> str:
    found = re.search(rf"```sql\n(\s*CREATE ROLE {ROLE}.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def viewers(server: Server, database_name: str) -> Iterator[Database]:
    server.execute(sql.SQL(the_readmes_statements()), database=database_name)
    viewer = server.parameters(database_name, ROLE)
    with closing(Database(DatabaseSettings(viewer))) as opened:
        yield opened
    role = sql.Identifier(ROLE)
    server.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role), database=database_name)


def test_the_readmes_viewer_sees_everything_but_keys_and_changes_nothing(
    database: Database, viewers: Database
) -> None:
    ids = small_fleet(database)
    attempts(database, ids["Truck-01"], 3)
    channel(database, ids["Truck-01"], 1, "fuel", "%")
    alarm(database, ids["Truck-01"], 7, "oil pressure low", "1 h", None)

    async def look(it: Driver) -> None:
        await it.press("end", "enter")
        for tab, text in (
            ("1", "100% of 3"), ("2", "oil pressure"), ("3", "● ok"), ("4", "fuel"),
            ("5", "committed up to"),
        ):  # fmt: skip
            await it.press(tab)
            await it.sees(text)
        await it.press("escape", "l")
        await it.sees("newest page, live")
        assert not it.app.screen.query_one("#warnings").display

    async def act(it: Driver) -> None:
        await it.press("p")
        await it.told("permission denied")

    drive(viewers, look, read_only=True)
    drive(viewers, act)
    assert execute(database, "SELECT count(*) FROM fleetsync.vehicle_state") == [(0,)]
    with pytest.raises(Exception, match="permission denied"):
        execute(viewers, "SELECT api_key FROM vehicles")
