"""What commands need, put together from the settings: configuration, database, client, daemon."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import fields, replace
from datetime import timedelta
from functools import partial
from typing import TextIO
from uuid import UUID

from fleetsyncd import green, logs, process
from fleetsyncd import settings as configuration
from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.conditions.model import Terms
from fleetsyncd.database import replicas, store, traffic, vehicles, verified
from fleetsyncd.database.compression import LONGEST_SEC, Compression
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.database.pool import TRANSACTION_SEC, Database
from fleetsyncd.database.retention import Retention
from fleetsyncd.database.retention_in_force import RetentionInForce
from fleetsyncd.database.retention_kinds import retention_policy
from fleetsyncd.database.schema import migrate
from fleetsyncd.database.tidying import Tidying
from fleetsyncd.database.views.storage import Keep
from fleetsyncd.errors import CommandError, DatabaseError
from fleetsyncd.models import Vehicle
from fleetsyncd.monitoring import events, exporter, watchdog
from fleetsyncd.monitoring.dead_man import DeadManSwitch
from fleetsyncd.monitoring.metrics import Metrics, Verified
from fleetsyncd.monitoring.systemd import Notifier
from fleetsyncd.notify.targets import Target, load_targets
from fleetsyncd.settings import Settings
from fleetsyncd.severities import KNOWN_NAMES, Severity
from fleetsyncd.states import LATE_AFTER_INTERVALS
from fleetsyncd.sync.context import SyncContext
from fleetsyncd.sync.housekeeping import Chore
from fleetsyncd.sync.job_slots import most_connections
from fleetsyncd.sync.notice_sender import NoticeSender
from fleetsyncd.sync.notifier import Notices
from fleetsyncd.sync.plan import Plan
from fleetsyncd.sync.supervisor import Supervisor
from fleetsyncd.sync.traffic import TrafficCounts
from fleetsyncd.sync.vehicle_log import VehicleLog
from fleetsyncd.sync.window import LIVE_INTERVALS
from fleetsyncd.times import utc_now
from fleetsyncd.traffic import Traffic
from fleetsyncd.vehicle.client import OnCall, VehicleClient, ignore_call

log = logging.getLogger("sync")

LEAST_LIVE_SEC = 120.0
"""How much a cycle pulls ahead of a gap, unless LIVE_INTERVALS are more. No less than the longest
overlap, so that rows which are committed late are not before it."""


def load_settings(log_to: TextIO | None = None) -> Settings:
    """Read the configuration and set the log up by it; raise SettingsError.

    The log goes to standard error, since what a command prints on standard output is its result;
    the log of a daemon is its result, and goes to `log_to`, with the daemon's name if it has one.
    """
    settings = configuration.load()
    daemon = settings.daemon_name if log_to is not None else None
    logs.set_up(settings.log_level, settings.log_format, log_to or sys.stderr, daemon)
    return settings


def configured_database() -> Database:
    """Return the database of the configuration, for commands that need no other setting."""
    return open_database(load_settings())


def open_database(settings: Settings) -> Database:
    """Return the database; raise SchemaOutdated unless it has this version's schema."""
    database = open_any_database(settings)
    migrate.require_current(database)
    return database


def warn_of_newer_schema(database: Database) -> None:
    """Say in the log if a newer program has migrated the database."""
    if newer := migrate.newer_schema(database):
        log.warning("%s: %s", newer, migrate.UPGRADE)


def open_any_database(settings: Settings, *, transaction_sec: float = TRANSACTION_SEC) -> Database:
    """Return the database, whatever its schema."""
    return Database(settings.database, deadline=green.deadline, transaction_sec=transaction_sec)


def vehicle_client(
    settings: Settings, vehicle: Vehicle, on_call: OnCall = ignore_call
) -> VehicleClient:
    """Return a client for one vehicle; without a key or timeout of its own it uses the defaults."""
    return VehicleClient(
        vehicle.host,
        vehicle.port,
        vehicle.api_key or settings.vehicle_default_api_key,
        pull_timeout_sec=vehicle.terms.timeout(settings.pull_timeout_sec),
        pull_max_body_mb=settings.pull_max_body_mb,
        deadline=green.deadline,
        on_call=on_call,
    )


def build_supervisor(settings: Settings, database: Database, *, live: bool = True) -> Supervisor:
    """Return the daemon's main loop, ready to run.

    Unless it is `live`, each cycle pulls a vehicle's gap to its end instead of leaving it to the
    catch-up. Opens the port of the metrics, if one is set, and warns of vehicles without a key.
    """
    metrics = _start_metrics(settings, database)

    received: Counter[UUID] = Counter()
    counts = TrafficCounts(utc_now)

    def connect(vehicle: Vehicle) -> VehicleClient:
        def on_call(call: str, seconds: float, carried: Traffic) -> None:
            received[vehicle.id] += carried.received
            counts.note(vehicle.id, carried)
            if metrics is not None:
                metrics.count_call(vehicle.id, call, seconds, carried.received)

        return vehicle_client(settings, vehicle, on_call)

    _warn_of_missing_keys(settings, database)
    policy = retention_policy(settings)
    context = SyncContext(
        database=database,
        partitions=Partitions(database),
        connect=connect,
        pull_window=timedelta(seconds=settings.pull_window_sec),
        pull_overlap=timedelta(seconds=settings.pull_overlap_sec),
        now=utc_now,
        measurements_keep_months=settings.measurements_keep_months,
        late_after=LATE_AFTER_INTERVALS * timedelta(seconds=settings.sync_interval_sec),
        live_window=live_window(settings.sync_interval_sec) if live else None,
        prefetch=green.BackgroundCall,
        alarms_keep=policy.alarms_keep,
        is_in_force=RetentionInForce(database, policy),
        received=received,
        traffic=counts,
        told_alarms=_told_alarms(settings),
        budget=VehicleBudget(
            **{each.name: getattr(settings, each.name) for each in fields(VehicleBudget)}
        ),
    )
    sync_concurrency, kept_sessions = process.share_open_files(
        settings.sync_concurrency,
        settings.database.pool_size + most_connections(settings.catch_up_concurrency),
    )
    plan = Plan(
        sync_interval_sec=settings.sync_interval_sec,
        sync_concurrency=sync_concurrency,
        kept_sessions=kept_sessions,
        catch_up_concurrency=settings.catch_up_concurrency,
        audit_percent=settings.audit_percent,
        shutdown_grace_sec=settings.shutdown_grace_sec,
        silent_interval_sec=settings.silent_interval_sec,
        minutes_keep_months=settings.minutes_keep_months,
        daemon_name=settings.daemon_name,
    )
    retention = Retention(database, policy, on_drop=context.partitions.forget)
    tidying = Tidying(database, settings.tidy_after, settings.measurements_keep_months)
    listeners = [Notifier.from_environment().listen, watchdog.listen]
    if metrics is not None:
        listeners.append(metrics.listen)
    if settings.heartbeat_url is not None:
        switch = DeadManSwitch(settings.heartbeat_url, green.BackgroundCall, green.deadline)
        listeners.append(switch.listen)
    vehicle_log = VehicleLog(every_cycle=settings.log_vehicles == "all")
    emit = events.broadcast(*listeners)
    return Supervisor(
        plan,
        context,
        retention,
        emit,
        vehicle_log,
        tidying,
        _chores(settings, database),
        _notices(settings, database, emit),
    )


def daemon_name(settings: Settings) -> str:
    """Return what operators call a daemon of this process."""
    return replicas.name_of(settings.daemon_name, replicas.this_host(), os.getpid())


def notice_targets(settings: Settings) -> list[Target]:
    """Return whom notices are sent to; raise SettingsError if a target is none."""
    if not settings.notify_urls and settings.notify_config is None:
        return []
    return load_targets(settings.notify_urls, settings.notify_config)


def _notices(settings: Settings, database: Database, emit: events.Listener) -> Notices | None:
    """Return what is told to whom; None if nobody is to be told anything."""
    targets = notice_targets(settings)
    if not targets:
        return None
    repeat = timedelta(hours=settings.notify_repeat_hours) or None
    terms = Terms(timedelta(seconds=settings.notify_after_sec), repeat)
    sender = NoticeSender(database, targets, green.deadline, utc_now, emit)
    keep = settings.journal_keep_days
    return Notices(
        sender,
        terms,
        None if keep is None else timedelta(days=keep),
        Keep(settings.measurements_keep_months, settings.minutes_keep_months),
        daemon_name(settings),
    )


def _told_alarms(settings: Settings) -> Severity | None:
    """Return from which severity on alarms are told of, if anybody is told anything."""
    if not settings.notify_urls and settings.notify_config is None:
        return None
    return KNOWN_NAMES.get(settings.notify_alarm_severity)


def _chores(settings: Settings, database: Database) -> list[Chore]:
    """Return what is done once an hour, after the retention."""
    expire = partial(traffic.expire, database)
    if settings.compress_after_days is None:
        return [expire]
    # One connection of its own, for as long as a chunk takes: the pool's are for what is live.
    patient = Database(
        replace(settings.database, pool_size=1),
        deadline=green.deadline,
        statement_sec=LONGEST_SEC,
        transaction_sec=LONGEST_SEC + TRANSACTION_SEC,
    )
    return [expire, Compression(patient, settings.compress_after_days).steps]


def live_window(sync_interval_sec: float) -> timedelta:
    """Return how much a cycle pulls ahead of a gap."""
    return timedelta(seconds=max(LEAST_LIVE_SEC, LIVE_INTERVALS * sync_interval_sec))


def _start_metrics(settings: Settings, database: Database) -> Metrics | None:
    """Count and serve metrics from now on, if METRICS_PORT is set."""
    if settings.metrics_port is None:
        return None

    def quarantined() -> int | None:
        try:
            return database.run(store.count_quarantined)
        except DatabaseError:
            return None  # fleetsync_database_up reports it

    def verified_before(fleet: Collection[UUID]) -> Verified | None:
        try:
            return database.run(lambda cursor: verified.verified_to(cursor, fleet))
        except DatabaseError:
            return None  # asked again after the next cycle

    metrics = Metrics(
        quarantined,
        read_verified=verified_before,
        sync_interval_sec=settings.sync_interval_sec,
        daemon=daemon_name(settings),
    )
    database.on_wait = metrics.pool_wait
    green.watch_stalls(metrics.stall)
    try:
        exporter.serve(
            metrics, settings.metrics_host, settings.metrics_port, deadline=green.deadline
        )
    except OSError as error:
        where = f"METRICS_HOST {settings.metrics_host}, METRICS_PORT {settings.metrics_port}"
        raise CommandError(f"{where} cannot be opened: {error.strerror}") from error
    return metrics


def _warn_of_missing_keys(settings: Settings, database: Database) -> None:
    count = 0 if settings.vehicle_default_api_key else database.run(vehicles.count_without_key)
    if count:
        log.error(
            "VEHICLE_DEFAULT_API_KEY is not set: %d vehicle(s) have no key of their own "
            "and will answer 401",
            count,
        )
