"""The environment, read once into frozen settings; every fault is reported at the same time."""

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import marshmallow
from dotenv import dotenv_values
from environs import Env, EnvValidationError
from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn

from fleetsyncd.errors import SettingsError

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_FORMATS = ("text", "json")
MEGABYTE = 1 << 20
MIN_CONCURRENCY, MAX_CONCURRENCY = 2, 10_000
"""Vehicles pulled at the same time by one process."""
MAX_DURATION_SEC = 400 * 86_400
"""A longer duration is a slip of the pen, and overflows sooner or later."""
MAX_DAYS, MAX_MONTHS = 36_500, 1_200
DATABASE_PARTS = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")
"""What DATABASE_URL stands for."""
VARIABLES = (
    "SYNC_INTERVAL_SEC",
    "SYNC_CONCURRENCY",
    "BACKFILL_CONCURRENCY",
    "PULL_TIMEOUT_SEC",
    "PULL_WINDOW_SEC",
    "PULL_OVERLAP_SEC",
    "PULL_MAX_BODY_MB",
    "VEHICLE_DEFAULT_API_KEY",
    *DATABASE_PARTS,
    "DATABASE_URL",
    "DB_POOL_SIZE",
    "DB_APP_ROLE",
    "SHUTDOWN_GRACE_SEC",
    "JOURNAL_KEEP_DAYS",
    "QUARANTINE_KEEP_DAYS",
    "MEASUREMENTS_KEEP_MONTHS",
    "METRICS_HOST",
    "METRICS_PORT",
    "LOG_LEVEL",
    "LOG_FORMAT",
)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where PostgreSQL is: libpq parameters (`host`, `port`, `dbname`, ...) and the pool's size."""

    parameters: dict[str, str] = field(repr=False)
    pool_size: int = 8

    @property
    def where(self) -> str:
        """The server and database for messages, without a password."""
        host = self.parameters.get("host", "localhost")
        return f"{host}:{self.parameters.get('port', '5432')}/{self.parameters.get('dbname', '')}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured. Durations are in seconds."""

    database: DatabaseSettings
    sync_interval: float
    sync_concurrency: int
    backfill_concurrency: int
    pull_timeout: float
    pull_window: float
    pull_overlap: float
    pull_max_body: int
    """Bytes of one answer after decompression."""
    default_api_key: str | None = field(repr=False)
    app_role: str | None
    shutdown_grace: float
    journal_keep: int | None
    """Days; None: for ever."""
    quarantine_keep: int | None
    """Days; None: for ever."""
    measurements_keep: int | None
    """Whole months beside the present one; None: for ever."""
    metrics_host: str
    metrics_port: int | None
    log_level: str
    log_format: str


def is_api_key(value: str) -> bool:
    """Tell whether `value` can be sent in a header as it is: printable ASCII, no blank ends."""
    return value.isascii() and value.isprintable() and value == value.strip() and value != ""


def load(*, dotenv: bool = True) -> Settings:
    """Read the environment, and `.env` beneath it; raise SettingsError naming every fault."""
    if dotenv:
        _add_dotenv()
    _drop_blanks()
    env = Env(eager=False)
    values = _read(env)
    try:
        env.seal()
    except EnvValidationError as fault:
        raise SettingsError(_describe(fault.error_messages)) from None
    return _settings(values)


def _drop_blanks() -> None:
    """Let a blank variable count as unset: compose files pass `NAME=` for what is not given."""
    for name in [name for name in VARIABLES if os.environ.get(name) == ""]:
        del os.environ[name]


def _add_dotenv() -> None:
    """Let `.env` in the working directory say what the environment does not, blank or not."""
    for name, value in dotenv_values(".env").items():
        if name in VARIABLES and value:
            os.environ.setdefault(name, value)


def _positive(name: str, *, zero: bool = False, most: int = MAX_DURATION_SEC) -> Any:
    def check(value: float) -> None:
        if not 0 <= value <= most or (value == 0 and not zero):
            least = "at least" if zero else "more than"
            raise marshmallow.ValidationError(f"{name} must be {least} 0 and at most {most}.")

    return check


def _concurrency(value: int) -> None:
    """Half of the slots are for vehicles that fail or lag, so there are two at least."""
    if not MIN_CONCURRENCY <= value <= MAX_CONCURRENCY:
        limits = f"at least {MIN_CONCURRENCY} and at most {MAX_CONCURRENCY}"
        raise marshmallow.ValidationError(f"It must be {limits}.")


def _read(env: Env) -> dict[str, Any]:
    """Read every variable; faults are collected by `env` until it is sealed."""
    port = _positive("A port", most=65535)
    days = _positive("It", zero=True, most=MAX_DAYS)
    return {
        "sync_interval": env.float("SYNC_INTERVAL_SEC", 30, validate=_positive("The interval")),
        "sync_concurrency": env.int("SYNC_CONCURRENCY", 500, validate=_concurrency),
        "backfill_concurrency": env.int(
            "BACKFILL_CONCURRENCY", 4, validate=_positive("It", most=1000)
        ),
        "pull_timeout": env.float("PULL_TIMEOUT_SEC", 10, validate=_positive("The timeout")),
        "pull_window": env.float("PULL_WINDOW_SEC", 60, validate=_positive("The window")),
        "pull_overlap": env.float(
            "PULL_OVERLAP_SEC", 5, validate=_positive("The overlap", zero=True, most=3600)
        ),
        "pull_max_body": env.int("PULL_MAX_BODY_MB", 64, validate=_positive("It", most=1024)),
        "default_api_key": env.str("VEHICLE_DEFAULT_API_KEY", None, validate=_api_key),
        "host": env.str("DB_HOST", "localhost"),
        "port": env.int("DB_PORT", 5432, validate=port),
        "dbname": env.str("DB_NAME", "fleet"),
        "user": env.str("DB_USER", "fleet_app"),
        "password": env.str("DB_PASSWORD", None),
        "url": env.str("DATABASE_URL", None, validate=_database_url),
        "pool_size": env.int("DB_POOL_SIZE", 8, validate=_positive("The pool", most=500)),
        "app_role": env.str("DB_APP_ROLE", None),
        "shutdown_grace": env.float(
            "SHUTDOWN_GRACE_SEC", 8, validate=_positive("The grace", zero=True)
        ),
        "journal_keep": env.int("JOURNAL_KEEP_DAYS", 30, validate=days),
        "quarantine_keep": env.int("QUARANTINE_KEEP_DAYS", 30, validate=days),
        "measurements_keep": env.int(
            "MEASUREMENTS_KEEP_MONTHS", 0, validate=_positive("It", zero=True, most=MAX_MONTHS)
        ),
        "metrics_host": env.str("METRICS_HOST", "127.0.0.1"),
        "metrics_port": env.int("METRICS_PORT", None, validate=port),
        "log_level": env.str("LOG_LEVEL", "INFO", validate=_one_of(LOG_LEVELS)),
        "log_format": env.str("LOG_FORMAT", "text", validate=_one_of(LOG_FORMATS)),
    }


def _settings(values: dict[str, Any]) -> Settings:
    parts = {name: values.pop(name) for name in ("host", "port", "dbname", "user", "password")}
    url, pool_size = values.pop("url"), values.pop("pool_size")
    parameters = parse_dsn(url) if url else {key: str(part) for key, part in parts.items() if part}
    values["pull_max_body"] *= MEGABYTE
    values["default_api_key"] = values["default_api_key"] or None
    for kept in ("journal_keep", "quarantine_keep", "measurements_keep"):
        values[kept] = values[kept] or None
    return Settings(database=DatabaseSettings(parameters, pool_size), **values)


def _one_of(choices: tuple[str, ...]) -> Any:
    def check(value: str) -> None:
        if value not in choices:
            raise marshmallow.ValidationError(f"Must be one of {', '.join(choices)}.")

    return check


def _api_key(value: str | None) -> None:
    if value and not is_api_key(value):
        raise marshmallow.ValidationError("Must be printable ASCII without blanks at its ends.")


def _database_url(value: str | None) -> None:
    """Refuse what libpq cannot parse, without repeating it: it may hold a password."""
    try:
        if value and urlsplit(value).scheme not in ("postgres", "postgresql"):
            raise marshmallow.ValidationError("Must start with postgresql://.")
        parse_dsn(value or "")
    except (ProgrammingError, ValueError):
        raise marshmallow.ValidationError("Is not a valid PostgreSQL URL.") from None


def _describe(messages: Any) -> str:
    lines = [
        f"  {name}: {' '.join(str(part) for part in parts)}"
        for name, parts in sorted(messages.items())
    ]
    return "the configuration cannot be used:\n" + "\n".join(lines)
