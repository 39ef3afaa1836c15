"""Puts the dashboard together."""

from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.fleet_checks import expected
from fleetsyncd.settings import DatabaseSettings, Settings
from tui.app import FleetApp
from tui.background import QUERY_SEC
from tui.context import ScreenContext
from tui.gateway import Gateway
from tui.model.state import FleetState
from tui.remembered import Memory

CONNECT_SEC = "3"
"""A timeout for libpq, which takes it as text."""


def build(
    settings: Settings,
    *,
    read_only: bool = False,
    tags: tuple[str, ...] = (),
    memory: Memory | None = None,
) -> FleetApp:
    """Return the dashboard over the database of the daemon's settings.

    With `tags` it shows the vehicles that have one of them, and no others.
    """
    parameters = {"connect_timeout": CONNECT_SEC, **settings.database.parameters}
    database = Database(
        DatabaseSettings(parameters), application="fleetsync-tui", statement_sec=QUERY_SEC
    )
    gateway = Gateway(
        database,
        settings.sync_interval_sec,
        settings.measurements_keep_months,
        expected(settings),
        tags=tags,
    )
    state = FleetState(gateway.where, read_only=read_only, tags=tags)
    secrets = (settings.database.parameters.get("password"), settings.vehicle_default_api_key)
    return FleetApp(ScreenContext(gateway, state, secrets=tuple(filter(None, secrets))), memory)
