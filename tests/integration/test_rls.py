from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from psycopg2 import sql

from fleetsyncd.database import fleet, migrate, store
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo.embedded import APP, OWNER, Server
from fleetsyncd.models import Alarm, Measurements
from fleetsyncd.settings import DatabaseSettings

NAME = "rls"
WEB = "fleet_web"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLGA, PETER = uuid4(), uuid4()
KEYS = {"vehicles": "id", "measurements": "vehicle_id", "alarms_log": "vehicle_id"}
CHANGES = {
    "vehicles": "name = 'stolen'",
    "measurements": "value = 0",
    "alarms_log": "message = 'nothing'",
}


@pytest.fixture(scope="module")
def trucks(server: Server) -> dict[UUID, UUID]:
    """Make a fleet of two vehicles with rows, and return which owner was granted which."""
    server.create_database(NAME)
    migrate.migrate(DatabaseSettings(server.parameters(NAME, OWNER)), APP)
    web, app = sql.Identifier(WEB), sql.Identifier(APP)
    with closing(Database(DatabaseSettings(server.parameters(NAME)))) as database:
        Partitions(database).ensure(NOW, NOW)
        granted = {
            owner: database.run(
                lambda c, n=number: fleet.add(c, f"Truck-{n}", f"10.5.0.{n}", 1, None)
            )
            for number, owner in enumerate((OLGA, PETER), 1)
        }
        for truck in granted.values():
            fill(database, truck)
    # The widest rights there are: what an owner may not do, the policies alone prevent.
    server.execute(
        sql.SQL("DROP ROLE IF EXISTS {}").format(web),
        sql.SQL("CREATE ROLE {} LOGIN").format(web),
        sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA public TO {}").format(web),
        sql.SQL("GRANT UPDATE ON measurements TO {}").format(app),
        *(
            sql.SQL("INSERT INTO vehicle_access VALUES ({}, {})").format(
                sql.Literal(str(owner)), sql.Literal(str(truck))
            )
            for owner, truck in granted.items()
        ),
        database=NAME,
    )
    return granted
