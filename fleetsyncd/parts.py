"""The composition root: what commands need, put together from the settings."""

import logging
import resource
from datetime import timedelta

from fleetsyncd import green, logs, settings
from fleetsyncd.database import fleet, migrate
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import CommandError
from fleetsyncd.metrics import Metrics
from fleetsyncd.models import Vehicle, utc_now
from fleetsyncd.settings import FEWEST_SLOTS, Settings
from fleetsyncd.sync.cycle import Tools
from fleetsyncd.sync.supervisor import Plan, Supervisor
from fleetsyncd.vehicle.client import VehicleClient

log = logging.getLogger("sync")

OTHER_FILES = 32
"""Open files beside the vehicles' and the database's, with some to spare."""


class Parts:
    """Builds what commands need, when they need it."""

    def settings(self) -> Settings:
        """Read the configuration and set the log up by it."""
        found = settings.load()
        logs.set_up(found.log_level, found.log_format)
        return found

    def database(self, found: Settings) -> Database:
        """Return a database of this version's schema; raise SchemaOutdated if it is another."""
        database = Database(found.database, deadline=green.deadline)
        migrate.check(database)
        return database

    def client(self, found: Settings, host: str, port: int, key: str | None) -> VehicleClient:
        """Return a client for one vehicle."""
        return VehicleClient(
            host,
            port,
            key or found.default_api_key,
            timeout=found.pull_timeout,
            max_body=found.pull_max_body,
            deadline=green.deadline,
        )

    def supervisor(self, found: Settings, database: Database) -> Supervisor:
        """Return the daemon's main loop, ready to run."""

        def connect(vehicle: Vehicle) -> VehicleClient:
            return self.client(found, vehicle.host, vehicle.port, vehicle.api_key)

        _warn_of_missing_keys(found, database)
        metrics = Metrics()
        if found.metrics_port is not None:
            _serve(metrics, found.metrics_host, found.metrics_port)
        tools = Tools(
            database=database,
            partitions=Partitions(database),
            first=timedelta(seconds=found.pull_window),
            overlap=timedelta(seconds=found.pull_overlap),
            now=utc_now,
        )
        concurrency, sessions = _files_for(found, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        plan = Plan(
            interval=found.sync_interval,
            concurrency=concurrency,
            sessions=sessions,
            backfills=found.backfill_concurrency,
            grace=found.shutdown_grace,
        )
        return Supervisor(
            plan, tools, connect, metrics.add if found.metrics_port is not None else _ignore
        )


def _files_for(found: Settings, limit: int) -> tuple[int, int]:
    """Return how many vehicles may be pulled at once, and how many sessions be kept beside them.

    Each takes an open file. Without this bound they would leave none to PostgreSQL.
    """
    spare = limit - OTHER_FILES - found.database.pool_size - found.backfill_concurrency
    room = max(2 * FEWEST_SLOTS, spare)
    concurrency = min(found.sync_concurrency, room * 3 // 4)
    if concurrency < found.sync_concurrency:
        log.warning(
            "the limit of %d open files allows %d vehicles at a time, not SYNC_CONCURRENCY=%d: "
            "raise it (ulimit -n, LimitNOFILE=)",
            limit,
            concurrency,
            found.sync_concurrency,
        )
    return concurrency, room - concurrency


def _ignore(_report: object) -> None:
    """Stand in for metrics nobody asked for."""


def _serve(metrics: Metrics, host: str, port: int) -> None:
    try:
        metrics.serve(host, port)
    except OSError as fault:
        raise CommandError(f"METRICS_PORT {port} cannot be opened: {fault.strerror}") from fault


def _warn_of_missing_keys(found: Settings, database: Database) -> None:
    count = 0 if found.default_api_key else database.run(fleet.without_key)
    if count:
        log.warning(
            "VEHICLE_DEFAULT_API_KEY is not set: %d vehicle(s) have no key of their own "
            "and will answer 401",
            count,
        )
