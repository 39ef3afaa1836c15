"""The composition root: what commands need, put together from the settings."""

import logging
from datetime import timedelta
from functools import partial

from fleetsyncd import green, logs, process, settings
from fleetsyncd.database import fleet, migrate, store
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import TRANSACTION_SEC, Database
from fleetsyncd.database.retention import Keep, Retention
from fleetsyncd.errors import CommandError, DatabaseError
from fleetsyncd.models import Vehicle, utc_now
from fleetsyncd.monitoring import events, exporter, watchdog
from fleetsyncd.monitoring.metrics import Metrics
from fleetsyncd.monitoring.systemd import Notifier
from fleetsyncd.settings import Settings
from fleetsyncd.sync.supervisor import Plan, Supervisor
from fleetsyncd.sync.tools import Tools
from fleetsyncd.vehicle.client import OnCall, VehicleClient, unheard

log = logging.getLogger("sync")


class Parts:
    """Builds what commands need, when they need it."""

    def settings(self) -> Settings:
        """Read the configuration and set the log up by it."""
        found = settings.load()
        logs.set_up(found.log_level, found.log_format)
        return found

    def database(self, found: Settings) -> Database:
        """Return a database of this version's schema; raise SchemaOutdated if it is another."""
        database = self.any_database(found)
        migrate.check(database)
        return database

    def any_database(
        self, found: Settings, *, transaction_sec: float = TRANSACTION_SEC
    ) -> Database:
        """Return a database of whatever schema."""
        return Database(found.database, deadline=green.deadline, transaction_sec=transaction_sec)

    def client(
        self, found: Settings, host: str, port: int, key: str | None, on_call: OnCall = unheard
    ) -> VehicleClient:
        """Return a client for one vehicle."""
        return VehicleClient(
            host,
            port,
            key or found.default_api_key,
            timeout=found.pull_timeout,
            max_body=found.pull_max_body,
            deadline=green.deadline,
            on_call=on_call,
        )

    def supervisor(self, found: Settings, database: Database) -> Supervisor:
        """Return the daemon's main loop, ready to run."""
        metrics = _metrics(found, database)

        def connect(vehicle: Vehicle) -> VehicleClient:
            on_call = unheard if metrics is None else partial(metrics.call, vehicle.id)
            return self.client(found, vehicle.host, vehicle.port, vehicle.api_key, on_call)

        _tell_of_missing_keys(found, database)
        tools = Tools(
            database=database,
            partitions=Partitions(database),
            first=timedelta(seconds=found.pull_window),
            overlap=timedelta(seconds=found.pull_overlap),
            now=utc_now,
            keep_months=found.measurements_keep,
            begin=green.Beside,
        )
        concurrency, sessions = process.share_files(
            found.sync_concurrency, found.database.pool_size + found.backfill_concurrency
        )
        plan = Plan(
            interval=found.sync_interval,
            concurrency=concurrency,
            sessions=sessions,
            backfills=found.backfill_concurrency,
            grace=found.shutdown_grace,
        )
        retention = Retention(database, _keep(found), on_drop=tools.partitions.forget)
        listeners = [Notifier.from_environment().listen, watchdog.listen]
        if metrics is not None:
            listeners.append(metrics.listen)
        return Supervisor(plan, tools, connect, retention, events.to_all(*listeners))


def _keep(found: Settings) -> Keep:
    def days(number: int | None) -> timedelta | None:
        return None if number is None else timedelta(days=number)

    return Keep(days(found.journal_keep), days(found.quarantine_keep), found.measurements_keep)


def _metrics(found: Settings, database: Database) -> Metrics | None:
    """Count and serve metrics from now on, if they are wanted."""
    if found.metrics_port is None:
        return None

    def quarantined() -> int | None:
        try:
            return database.run(store.quarantined)
        except DatabaseError:
            return None  # it is lost, which another metric tells

    metrics = Metrics(quarantined)
    database.on_wait = metrics.pool_wait
    green.watch_stalls(metrics.stall)
    try:
        exporter.serve(metrics, found.metrics_host, found.metrics_port)
    except OSError as fault:
        where = f"METRICS_HOST {found.metrics_host}, METRICS_PORT {found.metrics_port}"
        raise CommandError(f"{where} cannot be opened: {fault.strerror}") from fault
    return metrics


def _tell_of_missing_keys(found: Settings, database: Database) -> None:
    count = 0 if found.default_api_key else database.run(fleet.without_key)
    if count:
        log.error(
            "VEHICLE_DEFAULT_API_KEY is not set: %d vehicle(s) have no key of their own "
            "and will answer 401",
            count,
        )
