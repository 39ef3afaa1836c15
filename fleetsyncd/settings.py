"""The environment, read once into frozen settings; every fault is reported at the same time.

A setting has one name: the variable `SYNC_INTERVAL_SEC` is the field `sync_interval_sec`. To add
one, add its field to `Settings` and its line to `_read`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from environs import Env, EnvValidationError

from fleetsyncd import allowed, environment
from fleetsyncd.budgets import VehicleBudget
from fleetsyncd.database_url import parse_url
from fleetsyncd.errors import SettingsError
from fleetsyncd.text import sanitise

DATABASE_PARTS = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")
"""What DATABASE_URL replaces."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where PostgreSQL is: libpq parameters (`host`, `port`, `dbname`, ...) and DB_POOL_SIZE."""

    parameters: dict[str, str] = field(repr=False)
    pool_size: int = 8

    @property
    def where(self) -> str:
        """The server and database for messages, without a password."""
        host = self.parameters.get("host", "localhost")
        where = f"{host}:{self.parameters.get('port', '5432')}/{self.parameters.get('dbname', '')}"
        return sanitise(where)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured; the end of a name is its unit."""

    database: DatabaseSettings
    sync_interval_sec: float
    silent_interval_sec: float
    """How long a vehicle that is silent for long is left alone, at most."""
    sync_concurrency: int
    catch_up_concurrency: int
    """Vehicles whose gap or backfill is pulled at the same time, or that are audited."""
    audit_percent: float
    """Of what a vehicle sends, how much of its past may be asked for again; 0: nothing."""
    pull_timeout_sec: float
    pull_window_sec: float
    """Only of a vehicle's first pull."""
    pull_overlap_sec: float
    pull_max_body_mb: int
    """Of one answer to `/data` after decompression; other answers have smaller limits."""
    vehicle_default_api_key: str | None = field(repr=False)
    db_app_role: str | None
    shutdown_grace_sec: float
    journal_keep_days: int | None
    """None: for ever."""
    quarantine_keep_days: int | None
    """None: for ever."""
    measurements_keep_months: int | None
    """Whole months beside the present one; None: for ever."""
    minutes_keep_months: int | None
    """The same of minute aggregates; 0: for ever, None: none are computed."""
    alarms_keep_days: int | None
    """None: for ever."""
    tidy_after_days: int | None
    """After its end a month is tidied; None: never."""
    compress_after_days: int | None
    """None: never. Of measurements in TimescaleDB."""
    vehicle_max_channels: int
    vehicle_max_alarms: int
    vehicle_max_channel_changes_per_day: int
    vehicle_max_alarms_per_day: int
    vehicle_max_rows_per_day: int
    heartbeat_url: str | None = field(repr=False)
    """What is asked after cycles; None: nothing."""
    notify_urls: tuple[str, ...] = field(repr=False)
    """Targets of notices, as apprise writes them."""
    notify_config: str | None
    """A file of apprise with more targets."""
    notify_after_sec: float
    """How long a vehicle has had no good cycle before that is told."""
    notify_alarm_severity: str
    """From which on vehicles' alarms are told."""
    notify_repeat_hours: float
    """When operators are reminded; 0: never."""
    metrics_host: str
    metrics_port: int | None
    daemon_name: str | None
    """What the daemon is called; None: host and process."""
    log_level: str
    log_format: str
    log_vehicles: str

    @property
    def tidy_after(self) -> timedelta | None:
        """The same as `tidy_after_days`."""
        return None if self.tidy_after_days is None else timedelta(days=self.tidy_after_days)


VARIABLES = (
    *(each.name.upper() for each in fields(Settings) if each.name != "database"),
    *DATABASE_PARTS,
    "DATABASE_URL",
    "DB_POOL_SIZE",
)
OLDER_NAMES = ("BACKFILL_CONCURRENCY",)
"""Read where CATCH_UP_CONCURRENCY is not set."""


class _Variables(Env):
    """Reads variables that were read before, instead of the process's environment."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._given = values

    def _get_value(self, env_key: str, default: Any) -> Any:
        # environs has no public way to this; its version is pinned.
        return self._given.get(env_key, default)


def load(*, dotenv: bool = True) -> Settings:
    """Read the environment, and `.env` beneath it; raise SettingsError naming every fault."""
    variables = environment.read((*VARIABLES, *OLDER_NAMES), dotenv=dotenv)
    env = _Variables(variables.values)
    values = _read(env)
    faults: dict[str, Any] = {name: [fault] for name, fault in variables.faults.items()}
    try:
        env.seal()
    except EnvValidationError as error:
        messages: Any = error.error_messages
        faults |= messages
    if faults:
        raise SettingsError(_describe(faults))
    return _settings(values)


def _read(env: Env) -> dict[str, Any]:
    """Read every variable; faults are collected by `env` until it is sealed."""
    port = allowed.positive("A port", most=65535)
    days = allowed.positive("It", zero=True, most=allowed.MAX_DAYS)
    return {
        "sync_interval_sec": env.float(
            "SYNC_INTERVAL_SEC", 30, validate=allowed.positive("The interval")
        ),
        "silent_interval_sec": env.float(
            "SILENT_INTERVAL_SEC", 120, validate=allowed.positive("The interval")
        ),
        "sync_concurrency": env.int("SYNC_CONCURRENCY", 500, validate=allowed.concurrency),
        "catch_up_concurrency": env.int(
            "CATCH_UP_CONCURRENCY",
            env.int("BACKFILL_CONCURRENCY", 16, validate=allowed.positive("It", most=1000)),
            validate=allowed.positive("It", most=1000),
        ),
        "audit_percent": env.float(
            "AUDIT_PERCENT", 2, validate=allowed.positive("It", zero=True, most=100)
        ),
        "pull_timeout_sec": env.float(
            "PULL_TIMEOUT_SEC", 10, validate=allowed.positive("The timeout")
        ),
        "pull_window_sec": env.float(
            "PULL_WINDOW_SEC", 60, validate=allowed.positive("The window")
        ),
        "pull_overlap_sec": env.float(
            "PULL_OVERLAP_SEC", 5, validate=allowed.positive("The overlap", zero=True, most=3600)
        ),
        "pull_max_body_mb": env.int(
            "PULL_MAX_BODY_MB", 8, validate=allowed.positive("It", most=1024)
        ),
        "vehicle_default_api_key": env.str(
            "VEHICLE_DEFAULT_API_KEY", None, validate=allowed.api_key
        ),
        "host": env.str("DB_HOST", "localhost"),
        "port": env.int("DB_PORT", 5432, validate=port),
        "dbname": env.str("DB_NAME", "fleet"),
        "user": env.str("DB_USER", "fleet_app"),
        "password": env.str("DB_PASSWORD", None),
        "url": env.str("DATABASE_URL", None, validate=allowed.database_url),
        "pool_size": env.int("DB_POOL_SIZE", 8, validate=allowed.positive("The pool", most=500)),
        "db_app_role": env.str("DB_APP_ROLE", None),
        "shutdown_grace_sec": env.float(
            "SHUTDOWN_GRACE_SEC", 8, validate=allowed.positive("The grace", zero=True)
        ),
        "journal_keep_days": env.int("JOURNAL_KEEP_DAYS", 30, validate=days),
        "quarantine_keep_days": env.int("QUARANTINE_KEEP_DAYS", 30, validate=days),
        "measurements_keep_months": env.int(
            "MEASUREMENTS_KEEP_MONTHS",
            0,
            validate=allowed.positive("It", zero=True, most=allowed.MAX_MONTHS),
        ),
        "minutes_keep_months": env.int(
            "MINUTES_KEEP_MONTHS",
            None,
            validate=allowed.positive("It", zero=True, most=allowed.MAX_MONTHS),
        ),
        "alarms_keep_days": env.int("ALARMS_KEEP_DAYS", 0, validate=allowed.alarm_days),
        "tidy_after_days": env.int("TIDY_AFTER_DAYS", 3, validate=days),
        "compress_after_days": env.int("COMPRESS_AFTER_DAYS", 7, validate=days),
        **_read_budget(env),
        "heartbeat_url": env.str("HEARTBEAT_URL", None, validate=allowed.heartbeat_url),
        "notify_urls": env.str("NOTIFY_URLS", ""),
        "notify_config": env.str("NOTIFY_CONFIG", None),
        "notify_after_sec": env.float("NOTIFY_AFTER_SEC", 600, validate=allowed.positive("It")),
        "notify_alarm_severity": env.str(
            "NOTIFY_ALARM_SEVERITY",
            "critical",
            validate=allowed.one_of(allowed.NOTIFIED_SEVERITIES),
        ),
        "notify_repeat_hours": env.float(
            "NOTIFY_REPEAT_HOURS", 24, validate=allowed.positive("It", zero=True, most=10_000)
        ),
        "metrics_host": env.str("METRICS_HOST", "127.0.0.1"),
        "metrics_port": env.int("METRICS_PORT", None, validate=port),
        "daemon_name": env.str("DAEMON_NAME", None, validate=allowed.daemon_name),
        "log_level": env.str("LOG_LEVEL", "INFO", validate=allowed.one_of(allowed.LOG_LEVELS)),
        "log_format": env.str("LOG_FORMAT", "text", validate=allowed.one_of(allowed.LOG_FORMATS)),
        "log_vehicles": env.str(
            "LOG_VEHICLES", "all", validate=allowed.one_of(allowed.LOGGED_VEHICLES)
        ),
    }


def _read_budget(env: Env) -> dict[str, int]:
    """Read the limits of each vehicle; their defaults are those of `VehicleBudget`."""
    defaults = VehicleBudget()
    return {
        name: env.int(
            name.upper(), getattr(defaults, name), validate=allowed.positive("It", most=most)
        )
        for name, most in allowed.BUDGET_MOST.items()
    }


def _settings(values: dict[str, Any]) -> Settings:
    parts = {name: values.pop(name) for name in ("host", "port", "dbname", "user", "password")}
    url, pool_size = values.pop("url"), values.pop("pool_size")
    parameters = parse_url(url) if url else {key: str(part) for key, part in parts.items() if part}
    for unset_is_none in (
        "vehicle_default_api_key",
        "heartbeat_url",
        "daemon_name",
        "notify_config",
        "journal_keep_days",
        "quarantine_keep_days",
        "measurements_keep_months",
        "alarms_keep_days",
        "tidy_after_days",
        "compress_after_days",
    ):
        values[unset_is_none] = values[unset_is_none] or None
    values["notify_urls"] = tuple(values["notify_urls"].split())
    return Settings(database=DatabaseSettings(parameters, pool_size), **values)


def _describe(messages: Any) -> str:
    lines = [
        f"  {name}: {' '.join(str(part) for part in parts)}"
        for name, parts in sorted(messages.items())
    ]
    return "the configuration cannot be used:\n" + "\n".join(lines)
