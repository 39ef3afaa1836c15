"""The role that only looks, made as the documents say, and what it reads."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor  # noqa: N812  a class

from fleetsyncd.demo.embedded import Server
from tests.acceptance import grafana
from tests.acceptance.command_lines import ROOT
from tests.acceptance.grafana import TimeRange

DAY = timedelta(days=1)
_ROLE = "fleet_viewer"
_OF_A_ROLE = ("CREATE ROLE", "ALTER ROLE")


@contextmanager
def made_viewer(
    server: Server, database: str, role: str, *, sees_all: bool = True
) -> Iterator[str]:
    """Make the role on every node, and grant it its rights; yield its name.

    `sees_all`: it begins each session as one that sees all vehicles.
    """
    pages = ("dashboard.md", "operations.md") if sees_all else ("dashboard.md",)
    texts = "".join((ROOT / "docs" / page).read_text() for page in pages)
    blocks = re.findall(r"```sql\n(.*?)```", texts, re.DOTALL)
    statements = [
        sql.SQL(each.replace(_ROLE, role))
        for block in blocks
        if _ROLE in block
        for each in block.split(";\n")
        if each.strip()
    ]
    of_role = [each for each in statements if each.string.startswith(_OF_A_ROLE)]
    for node in server.nodes:
        node.execute(*of_role)
    server.execute(*(each for each in statements if each not in of_role), database=database)
    try:
        yield role
    finally:
        name = sql.Identifier(role)
        for node in server.nodes:
            node.execute(
                sql.SQL("SET citus.enable_ddl_propagation = off"),
                sql.SQL("DROP OWNED BY {}").format(name),
                sql.SQL("DROP ROLE {}").format(name),
                database=database,
            )


def panels_shown(
    cursor: Cursor, shown: TimeRange, vehicle: object, channel: int
) -> dict[str, list[tuple[Any, ...]]]:
    """Return what each panel of the dashboard that queries PostgreSQL shows."""
    shows = {}
    for panel in grafana.panels("postgresql"):
        cursor.execute(grafana.sql(panel, shown, str(vehicle), str(channel)))
        shows[panel["title"]] = cursor.fetchall()
    return shows


@contextmanager
def reading(server: Server, database: str, role: str, *settings: str) -> Iterator[Cursor]:
    """Yield a cursor of a transaction of the role, with these settings."""
    with closing(server.connect(database, role)) as connection, connection.cursor() as cursor:
        for setting in settings:
            cursor.execute(setting)
        yield cursor
