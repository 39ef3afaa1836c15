import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from fleetsyncd import settings
from fleetsyncd.allowed import is_api_key
from fleetsyncd.errors import SettingsError
from fleetsyncd.settings import DatabaseSettings, Settings, load

SECRET = "s3cret-of-the-test"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Start in an empty directory, and leave the environment as it was: `.env` adds to it."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    yield
    os.environ.clear()
    os.environ.update(before)


def loaded(**variables: str) -> Settings:
    os.environ.update(variables)
    return load()


def faults_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(**variables)
    first, *faults = str(caught.value).splitlines()
    assert first == "the configuration cannot be used:"
    return faults


def test_nothing_set_gives_the_documented_defaults() -> None:
    assert loaded() == Settings(
        database=DatabaseSettings(
            {"host": "localhost", "port": "5432", "dbname": "fleet", "user": "fleet_app"}, 8
        ),
        sync_interval_sec=30,
        silent_interval_sec=120,
        sync_concurrency=500,
        catch_up_concurrency=16,
        audit_percent=2,
        pull_timeout_sec=10,
        pull_window_sec=60,
        pull_overlap_sec=5,
        pull_max_body_mb=8,
        vehicle_default_api_key=None,
        db_app_role=None,
        shutdown_grace_sec=8,
        journal_keep_days=30,
        quarantine_keep_days=30,
        measurements_keep_months=None,
        minutes_keep_months=None,
        alarms_keep_days=None,
        tidy_after_days=3,
        compress_after_days=7,
        vehicle_max_channels=1_000,
        vehicle_max_alarms=1_000_000,
        vehicle_max_channel_changes_per_day=200_000,
        vehicle_max_alarms_per_day=5_000,
        vehicle_max_rows_per_day=20_000_000,
        heartbeat_url=None,
        notify_urls=(),
        notify_config=None,
        notify_after_sec=600,
        notify_alarm_severity="critical",
        notify_repeat_hours=24,
        daemon_name=None,
        metrics_host="127.0.0.1",
        metrics_port=None,
        log_level="INFO",
        log_format="text",
        log_vehicles="all",
    )


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SYNC_INTERVAL_SEC", "2.5", "sync_interval_sec", 2.5),
        ("SILENT_INTERVAL_SEC", "300", "silent_interval_sec", 300),
        ("SYNC_CONCURRENCY", "7", "sync_concurrency", 7),
        ("CATCH_UP_CONCURRENCY", "2", "catch_up_concurrency", 2),
        ("BACKFILL_CONCURRENCY", "3", "catch_up_concurrency", 3),
        ("AUDIT_PERCENT", "0", "audit_percent", 0),
        ("PULL_TIMEOUT_SEC", "0.5", "pull_timeout_sec", 0.5),
        ("PULL_WINDOW_SEC", "2592000", "pull_window_sec", 2_592_000),
        ("PULL_OVERLAP_SEC", "0", "pull_overlap_sec", 0),
        ("PULL_MAX_BODY_MB", "3", "pull_max_body_mb", 3),
        (
            "VEHICLE_DEFAULT_API_KEY",
            "a key/with+signs=",
            "vehicle_default_api_key",
            "a key/with+signs=",
        ),
        ("DB_APP_ROLE", "fleet_app", "db_app_role", "fleet_app"),
        ("SHUTDOWN_GRACE_SEC", "0", "shutdown_grace_sec", 0),
        ("JOURNAL_KEEP_DAYS", "7", "journal_keep_days", 7),
        ("ALARMS_KEEP_DAYS", "8", "alarms_keep_days", 8),
        ("TIDY_AFTER_DAYS", "14", "tidy_after_days", 14),
        ("TIDY_AFTER_DAYS", "0", "tidy_after_days", None),
        ("COMPRESS_AFTER_DAYS", "0", "compress_after_days", None),
        ("VEHICLE_MAX_CHANNELS", "5000", "vehicle_max_channels", 5000),
        ("VEHICLE_MAX_ALARMS", "7", "vehicle_max_alarms", 7),
        ("VEHICLE_MAX_ALARMS_PER_DAY", "7", "vehicle_max_alarms_per_day", 7),
        (
            "VEHICLE_MAX_CHANNEL_CHANGES_PER_DAY",
            "7",
            "vehicle_max_channel_changes_per_day",
            7,
        ),
        ("VEHICLE_MAX_ROWS_PER_DAY", "10000000000", "vehicle_max_rows_per_day", 10**10),
        ("QUARANTINE_KEEP_DAYS", "0", "quarantine_keep_days", None),
        ("MEASUREMENTS_KEEP_MONTHS", "12", "measurements_keep_months", 12),
        ("MINUTES_KEEP_MONTHS", "24", "minutes_keep_months", 24),
        # For ever, which is not the same as none.
        ("MINUTES_KEEP_MONTHS", "0", "minutes_keep_months", 0),
        ("MINUTES_KEEP_MONTHS", "", "minutes_keep_months", None),
        ("METRICS_HOST", "0.0.0.0", "metrics_host", "0.0.0.0"),  # noqa: S104  what is set
        ("METRICS_PORT", "9100", "metrics_port", 9100),
        ("HEARTBEAT_URL", "https://a.b/c", "heartbeat_url", "https://a.b/c"),
        ("NOTIFY_URLS", " json://a  json://b ", "notify_urls", ("json://a", "json://b")),
        ("NOTIFY_CONFIG", "/etc/apprise.yaml", "notify_config", "/etc/apprise.yaml"),
        ("NOTIFY_REPEAT_HOURS", "0", "notify_repeat_hours", 0),
        ("DAEMON_NAME", "centre@2", "daemon_name", "centre@2"),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("LOG_VEHICLES", "changes", "log_vehicles", "changes"),
    ],
)
def test_every_variable_sets_its_setting(
    variable: str, text: str, name: str, value: object
) -> None:
    assert getattr(loaded(**{variable: text}), name) == value


def test_the_longest_host_name_leaves_room_for_the_number_of_a_daemon() -> None:
    name = "h" * 64 + "@12"
    assert loaded(DAEMON_NAME=name).daemon_name == name


@pytest.mark.parametrize(
    ("variable", "parameter"),
    [
        ("DB_HOST", "host"),
        ("DB_PORT", "port"),
        ("DB_NAME", "dbname"),
        ("DB_USER", "user"),
        ("DB_PASSWORD", "password"),
    ],
)
def test_every_database_variable_sets_its_parameter(variable: str, parameter: str) -> None:
    assert loaded(**{variable: "6543"}).database.parameters[parameter] == "6543"


def test_the_pool_has_a_size_of_its_own() -> None:
    assert loaded(DB_POOL_SIZE="3").database.pool_size == 3


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_database_url_goes_before_the_five_variables(scheme: str) -> None:
    database = loaded(
        DATABASE_URL=f"{scheme}://app:{SECRET}%21@db.example:6000/fleet2?sslmode=require",
        DB_HOST="elsewhere",
        DB_PASSWORD="other",
    ).database
    assert database.parameters == {
        "host": "db.example",
        "port": "6000",
        "dbname": "fleet2",
        "user": "app",
        "password": f"{SECRET}!",
        "sslmode": "require",
    }
    assert database.where == "db.example:6000/fleet2"


@pytest.mark.parametrize(
    ("variable", "text", "error"),
    [
        ("SYNC_INTERVAL_SEC", "often", "Not a valid number."),
        ("SYNC_INTERVAL_SEC", "0", "The interval must be more than 0 and at most 34560000."),
        ("SYNC_INTERVAL_SEC", "1e300", "The interval must be more than 0 and at most 34560000."),
        ("SYNC_CONCURRENCY", "1.5", "Not a valid integer."),
        ("SYNC_CONCURRENCY", "1", "It must be at least 2 and at most 10000."),
        ("AUDIT_PERCENT", "101", "It must be at least 0 and at most 100."),
        ("CATCH_UP_CONCURRENCY", "0", "It must be more than 0 and at most 1000."),
        ("SYNC_CONCURRENCY", "10001", "It must be at least 2 and at most 10000."),
        ("PULL_TIMEOUT_SEC", "nan", "permitted"),
        ("PULL_TIMEOUT_SEC", "-1", "The timeout must be more than 0"),
        ("PULL_WINDOW_SEC", "inf", "permitted"),
        ("PULL_OVERLAP_SEC", "-1", "The overlap must be at least 0 and at most 3600."),
        ("PULL_MAX_BODY_MB", "1025", "at most 1024"),
        ("DB_PORT", "70000", "A port must be more than 0 and at most 65535."),
        ("DB_POOL_SIZE", "0", "more than 0"),
        ("SHUTDOWN_GRACE_SEC", "-0.1", "The grace must be at least 0"),
        ("ALARMS_KEEP_DAYS", "7", "It must be 0 or at least 8 and at most 36500."),
        ("VEHICLE_MAX_CHANNELS", "5001", "at most 5000"),
        ("VEHICLE_MAX_ALARMS", "0", "more than 0"),
        ("COMPRESS_AFTER_DAYS", "36501", "It must be at least 0 and at most 36500."),
        ("JOURNAL_KEEP_DAYS", "-1", "It must be at least 0 and at most 36500."),
        ("MEASUREMENTS_KEEP_MONTHS", "1201", "It must be at least 0 and at most 1200."),
        ("MINUTES_KEEP_MONTHS", "-1", "It must be at least 0 and at most 1200."),
        ("HEARTBEAT_URL", "hc-ping.com/x", "Must be a URL that begins with http:// or https://"),
        ("HEARTBEAT_URL", "ftp://hc-ping.com/x", "Must be a URL that begins with http://"),
        ("HEARTBEAT_URL", "https:///x", "and names a host."),
        ("HEARTBEAT_URL", "https://[::1/x", "and names a host."),
        ("HEARTBEAT_URL", "https://hc-ping.com:port/x", "and names a host."),
        ("HEARTBEAT_URL", "https://hc-ping.com/a b", "Must be a URL of printable ASCII"),
        ("NOTIFY_AFTER_SEC", "0", "It must be more than 0"),
        ("NOTIFY_ALARM_SEVERITY", "grave", "Must be one of info, warning, alarm, critical, none."),
        ("METRICS_PORT", "http", "Not a valid integer."),
        ("DAEMON_NAME", "a" * 81, "Must be printable, without blanks, at most 80 characters."),
        ("LOG_LEVEL", "loud", "Must be one of DEBUG, INFO, WARNING, ERROR."),
        ("LOG_FORMAT", "xml", "Must be one of text, json."),
        ("LOG_VEHICLES", "some", "Must be one of all, changes."),
        ("SILENT_INTERVAL_SEC", "0", "The interval must be more than 0 and at most 34560000."),
        ("VEHICLE_DEFAULT_API_KEY", "ключ", "Must be printable ASCII without blanks at its ends,"),
        ("VEHICLE_DEFAULT_API_KEY", " k", "Must be printable ASCII without blanks at its ends,"),
        ("VEHICLE_DEFAULT_API_KEY", "k" * 4097, "at most 4096 characters."),
        ("VEHICLE_DEFAULT_API_KEY", "a\r\nb", "control or invisible character, U+000D"),
        ("DATABASE_URL", "mysql://h/db", "Must start with postgresql://."),
        ("DATABASE_URL", "postgresql://[h/db", "Is not a valid PostgreSQL URL."),
        ("DATABASE_URL", "postgresql://h/db?nope=1", "Is not a valid PostgreSQL URL."),
    ],
)
def test_a_fault_names_its_variable_and_what_is_wrong(variable: str, text: str, error: str) -> None:
    (told,) = faults_of(**{variable: text})
    assert told.startswith(f"  {variable}: ")
    assert error in told


def test_all_faults_are_reported_at_once_and_none_reveals_a_secret() -> None:
    faults = faults_of(
        SYNC_INTERVAL_SEC="x",
        PULL_TIMEOUT_SEC="0",
        VEHICLE_DEFAULT_API_KEY=f"{SECRET}\n",
        DB_PASSWORD=SECRET,
        DATABASE_URL=f"postgresql://app:{SECRET}@h/db?nope={SECRET}",
        LOG_LEVEL="x",
    )
    assert [error.split(":")[0].strip() for error in faults] == [
        "DATABASE_URL",
        "LOG_LEVEL",
        "PULL_TIMEOUT_SEC",
        "SYNC_INTERVAL_SEC",
        "VEHICLE_DEFAULT_API_KEY",
    ]
    assert SECRET not in "".join(faults)


def test_settings_shown_as_text_tell_no_secret() -> None:
    parsed = loaded(VEHICLE_DEFAULT_API_KEY=SECRET, DB_PASSWORD=SECRET)
    assert SECRET not in f"{parsed} {parsed!r} {parsed.database.where}"


def test_a_blank_variable_counts_as_unset() -> None:
    assert loaded(**dict.fromkeys(settings.VARIABLES, "")) == loaded()


def test_a_dotenv_file_is_read_where_the_program_was_started(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# ours\nDB_HOST=from.file\nSYNC_INTERVAL_SEC=\nLOG_LEVEL=DEBUG")
    parsed = loaded()
    assert parsed.database.parameters["host"] == "from.file"
    assert (parsed.log_level, parsed.sync_interval_sec) == ("DEBUG", 30)


def test_the_environment_goes_before_the_dotenv_file_even_when_it_is_blank(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=file\nDATABASE_URL=postgresql://production/fleet\n")
    parsed = loaded(DB_HOST="here", DATABASE_URL="").database
    assert parsed.parameters["host"] == "here"


def test_the_dotenv_file_can_be_left_aside(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DB_HOST=from.file\n")
    assert load(dotenv=False).database.parameters["host"] == "localhost"


def test_a_dotenv_file_of_a_directory_above_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("DB_HOST=from.above\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert load().database.parameters["host"] == "localhost"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            b"DB_HOST=h\nDB_PASSWORD=Z\xfcrich\n",
            "  .env: cannot be read: line 2 is not UTF-8: save",
        ),
        ("DB_HOST=h\n".encode("utf-16"), "  .env: cannot be read: it is UTF-16: save it as UTF-8."),
        (b"DB_HOST=h\0\n", "  .env: cannot be read: it has a NUL byte: save it as UTF-8."),
        (b"LOG_LEVEL=INFO\nDB_PASSWORD='open\n", "  DB_PASSWORD: line 2 of .env cannot be read"),
    ],
    ids=["Latin-1", "UTF-16", "NUL", "open quote"],
)
def test_a_dotenv_file_that_cannot_be_read_is_told_by_its_place(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / ".env").write_bytes(content)
    (fault,) = faults_of()
    assert fault.startswith(told)
    assert "rich" not in fault


def test_a_dotenv_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(".env")  # root may read every file, but no such link
    assert faults_of() == ["  .env: cannot be read: Too many levels of symbolic links."]


def test_a_folder_of_that_name_is_no_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert loaded().log_level == "INFO"


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("DB_PASSWORD=a${b}c", "a${b}c"),
        ("DB_PASSWORD=a$b", "a$b"),
        ('DB_PASSWORD="a${HOME:-x}c"', "a${HOME:-x}c"),
        ("DB_PASSWORD='a${b} #\"c'", 'a${b} #"c'),
        ("DB_PASSWORD=[x]#y", "[x]#y"),
        ("DB_PASSWORD=пароль", "пароль"),
        ("\ufeffDB_PASSWORD=first", "first"),
        ("export DB_PASSWORD=exported", "exported"),
    ],
)
def test_a_password_in_the_dotenv_file_means_what_stands_there(
    tmp_path: Path, line: str, password: str
) -> None:
    (tmp_path / ".env").write_text(f"{line}\n", encoding="utf-8")
    assert loaded(b="B").database.parameters["password"] == password


@pytest.mark.parametrize("variable", ["DB_HOST", "DB_PASSWORD", "DB_APP_ROLE", "LOG_LEVEL"])
def test_a_file_from_windows_leaves_no_carriage_return(tmp_path: Path, variable: str) -> None:
    expected = loaded(**{variable: "INFO"})
    assert loaded(**{variable: "INFO\r"}) == expected
    del os.environ[variable]
    (tmp_path / ".env").write_bytes(f"{variable}=INFO\r\n".encode())
    assert loaded() == expected


@pytest.mark.parametrize("variable", settings.VARIABLES)
@pytest.mark.parametrize(
    ("text", "code"),
    [("a\x1b[2Jb", "001B"), ("a\rb", "000D"), ("a\nb", "000A"), ("a\u202eb", "202E")],
    ids=["escape", "return", "line", "bidi"],
)
def test_a_control_character_in_any_variable_is_refused_and_not_shown(
    variable: str, text: str, code: str
) -> None:
    (fault,) = faults_of(**{variable: text})
    remedy = f"Has a control or invisible character, U+{code}: remove it."
    assert fault == f"  {variable}: {remedy}"


@pytest.mark.parametrize("variable", settings.VARIABLES)
def test_a_variable_that_is_no_utf_8_is_refused_whatever_the_locale(variable: str) -> None:
    os.environb[variable.encode()] = b"Z\xfcrich"
    assert faults_of() == [f"  {variable}: Is not UTF-8."]


NUMBERS = [
    each.name.upper()
    for each in fields(Settings)
    if each.type in ("float", "int", "int | None", float, int, int | None)
]


@pytest.mark.parametrize("variable", [*NUMBERS, "DB_PORT", "DB_POOL_SIZE"])
@pytest.mark.parametrize("digits", [400, 4300, 5000])
def test_a_number_of_thousands_of_digits_is_a_fault_like_any_other(
    variable: str, digits: int
) -> None:
    (fault,) = faults_of(**{variable: "9" * digits})
    assert fault.startswith(f"  {variable}: ")
    assert len(fault) < 100


@pytest.mark.parametrize(
    ("password", "stored"),
    [
        ("p[x]", "p[x]"),
        ("[", "["),
        ("]x", "]x"),
        ("a?b#c", "a?b#c"),
        ("a b", "a b"),
        ("a%09b", "a\tb"),
        ("%5B%40%2F%3A", "[@/:"),
        ("ünï", "ünï"),
        ("::1", "::1"),
        ("\\'\"", "\\'\""),
    ],
)
def test_a_url_is_read_as_libpq_reads_it(password: str, stored: str) -> None:
    database = loaded(DATABASE_URL=f"postgresql://app:{password}@db.example/fleet").database
    assert database.parameters == {
        "host": "db.example",
        "dbname": "fleet",
        "user": "app",
        "password": stored,
    }
    assert database.where == "db.example:5432/fleet"


@pytest.mark.parametrize(
    ("url", "parameters"),
    [
        ("postgresql://a:1,b:2/fleet", {"host": "a,b", "port": "1,2", "dbname": "fleet"}),
        ("postgresql://[::1]:5/fleet", {"host": "::1", "port": "5", "dbname": "fleet"}),
        ("postgresql://%2Ftmp/fleet", {"host": "/tmp", "dbname": "fleet"}),
        ("postgresql://%40name/fleet", {"host": "@name", "dbname": "fleet"}),
        ("postgresql:///d%40b?host=/tmp", {"host": "/tmp", "dbname": "d@b"}),
        ("host=db.example password='a b'", {"host": "db.example", "password": "a b"}),
        ("service=fleet", {"service": "fleet"}),
    ],
)
def test_every_form_that_libpq_takes_is_taken(url: str, parameters: dict[str, str]) -> None:
    assert loaded(DATABASE_URL=url).database.parameters == parameters


@pytest.mark.parametrize("password", ["p@{}", "p@{}:w", "p/{}", "1/{}", "@{}"])
def test_a_password_that_the_url_cuts_is_refused_with_the_remedy_and_not_shown(
    password: str,
) -> None:
    url = f"postgresql://app:{password.format(SECRET)}@db.example/fleet"
    (fault,) = faults_of(DATABASE_URL=url)
    assert fault.endswith("in its password, write @ as %40, / as %2F, : as %3A.")
    assert SECRET not in fault


def test_the_place_of_the_database_is_harmless_for_a_terminal() -> None:
    database = loaded(DATABASE_URL="postgresql://app@h%1b%5B2J/d%0db").database
    assert database.where == "h�[2J:5432/d�b"


@pytest.mark.parametrize(
    ("key", "good"),
    [
        ("k", True),
        ("with blank inside", True),
        ("!~", True),
        ("", False),
        (" k", False),
        ("k ", False),
        ("k\n", False),
        ("k\x7f", False),
        ("ключ", False),
        ("é", False),
    ],
)
def test_an_api_key_is_printable_ascii(key: str, good: bool) -> None:
    assert is_api_key(key) is good
