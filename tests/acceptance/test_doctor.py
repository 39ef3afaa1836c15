import json
import logging
import shlex
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from psycopg2 import sql

from fleetsyncd import __version__
from fleetsyncd.commands import doctor
from fleetsyncd.database.partitions import Partitions
from fleetsyncd.demo import embedded
from fleetsyncd.errors import (
    AddressUnusable,
    BadAnswer,
    KeyUnusable,
    OtherMachine,
    VehicleError,
    VehicleTimeout,
)
from fleetsyncd.findings import Level
from fleetsyncd.models import Vehicle
from fleetsyncd.times import month_of, utc_now
from tests.acceptance.command_lines import fault_of
from tests.acceptance.conftest import Installation
from tests.hostile import Answer, HostileServer, http
from tests.pgbouncer import HOST, pgbouncer

Plant = Callable[[Installation], dict[str, str]]
MIGHTY = "fleet_mighty"
READER = "fleet_reader"
NEWER = (
    "INSERT INTO fleetsync.migration (migration_hash, migration_id, applied_at_utc)"
    " VALUES ('later', '9999.of-a-later-version', now())"
)
"""As if a later version had migrated the database."""
PLANTED: dict[str, tuple[Plant, str, str, str]] = {}


def planted(level: str, check: str, remedy: str) -> Callable[[Plant], Plant]:
    """Note what doctor must say of the misconfiguration that the function plants."""

    def note(plant: Plant) -> Plant:
        PLANTED[plant.__name__] = (plant, level, check, remedy)
        return plant

    return note


def as_superuser(installation: Installation, statement: str) -> None:
    installation.server.execute(sql.SQL(statement), database=installation.database_name)


def findings(installation: Installation, **changes: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return its exit code and what it found."""
    code, output, errors = installation.command("doctor", "--json", **changes)
    assert errors == ""
    return code, json.loads(output)


def wrong(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["level"], each["check"]) for each in rows if each["level"] != "ok"]


@planted("FAULT", "configuration", "set it right in the environment or in .env")
def a_setting_that_is_no_number(_installation: Installation) -> dict[str, str]:
    return {"SYNC_INTERVAL_SEC": "soon"}


@planted("WARNING", "configuration", "set PULL_TIMEOUT_SEC to 10 or less")
def a_timeout_longer_than_the_interval(_installation: Installation) -> dict[str, str]:
    return {"PULL_TIMEOUT_SEC": "30"}


@planted("FAULT", "database", "that PostgreSQL runs")
def a_port_where_nobody_listens(_installation: Installation) -> dict[str, str]:
    return {"DB_HOST": "127.0.0.1", "DB_PORT": "1"}


@planted("FAULT", "database", "CREATE DATABASE")
def a_database_that_does_not_exist(_installation: Installation) -> dict[str, str]:
    return {"DB_NAME": "nowhere"}


@planted("FAULT", "database", "CREATE ROLE")
def a_role_that_does_not_exist(_installation: Installation) -> dict[str, str]:
    return {"DB_USER": "nobody_at_all"}


@planted("WARNING", "role", f"ALTER ROLE {MIGHTY} NOSUPERUSER NOBYPASSRLS")
def a_role_that_row_level_security_does_not_bind(installation: Installation) -> dict[str, str]:
    as_superuser(
        installation,
        f"DROP ROLE IF EXISTS {MIGHTY}; CREATE ROLE {MIGHTY} LOGIN BYPASSRLS;"
        f" GRANT {embedded.APP} TO {MIGHTY}",
    )
    return {"DB_USER": MIGHTY}


@planted("FAULT", "schema", "fleetsyncd migrate")
def a_schema_of_an_older_version(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "DELETE FROM fleetsync.migration WHERE migration_id LIKE '0004%'")
    return {}


@planted("WARNING", "schema", "upgrade this program")
def a_schema_of_a_newer_version(installation: Installation) -> dict[str, str]:
    as_superuser(installation, NEWER)
    return {}


@planted("WARNING", "schema", "fleetsyncd migrate")
def an_index_that_is_missing(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "DROP INDEX public.sync_journal_failures")
    return {}


@planted("FAULT", "schema", "fleetsyncd migrate")
def the_key_of_measurements_that_is_missing(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "ALTER TABLE measurements DROP CONSTRAINT measurements_pkey")
    return {}


@planted("FAULT", "rights", "DB_APP_ROLE")
def a_right_that_is_missing(installation: Installation) -> dict[str, str]:
    as_superuser(installation, f"REVOKE INSERT ON public.sync_journal FROM {embedded.APP}")
    return {}


@planted("FAULT", "row level security", "CREATE POLICY measurements_superuser")
def a_policy_that_is_missing(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "DROP POLICY measurements_superuser ON public.measurements")
    return {}


@planted("WARNING", "row level security", "FORCE ROW LEVEL SECURITY")
def a_table_that_row_level_security_does_not_guard(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "ALTER TABLE public.vehicles DISABLE ROW LEVEL SECURITY")
    return {}


@planted("FAULT", "partitions", "fleetsyncd once")
def a_present_month_that_was_dropped(installation: Installation) -> dict[str, str]:
    installation.rows("SELECT fleetsync.ensure_month('2020-01-01')")
    return {}


@planted("FAULT", "partitions", "partman.run_maintenance_proc()")
def a_partition_a_day_that_nobody_goes_on_with(installation: Installation) -> dict[str, str]:
    as_superuser(
        installation,
        "CREATE TABLE measurements_p20200101 PARTITION OF measurements"
        " FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');"
        " CREATE TABLE measurements_p20200102 PARTITION OF measurements"
        " FOR VALUES FROM ('2020-01-02') TO ('2020-01-03')",
    )
    return {}


@planted("WARNING", "partitions", "make partitions ahead")
def a_default_partition(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "CREATE TABLE other PARTITION OF measurements DEFAULT")
    return {}


@planted("WARNING", "partitions", "move its rows into them")
def a_default_partition_that_is_not_empty(installation: Installation) -> dict[str, str]:
    Partitions(installation.database).ensure_ahead(utc_now())
    as_superuser(installation, "CREATE TABLE other PARTITION OF measurements DEFAULT")
    installation.rows(
        "INSERT INTO measurements SELECT id, 1, '2020-01-01', 1 FROM vehicles RETURNING 1"
    )
    statistics = "SELECT pg_stat_get_live_tuples('other'::regclass) > 0"
    installation.until(statistics)
    return {}


@planted("WARNING", "partitions", "ALTER TABLE public.measurements ATTACH PARTITION")
def a_month_that_was_detached(installation: Installation) -> dict[str, str]:
    Partitions(installation.database).ensure_ahead(utc_now())
    last = month_of(month_of(utc_now()) - timedelta(days=1))
    Partitions(installation.database).ensure(last, last)
    as_superuser(
        installation, f"ALTER TABLE measurements DETACH PARTITION measurements_{last:%Y_%m}"
    )
    return {}


@planted("FAULT", "partitions", "ALTER TABLE public.measurements ATTACH PARTITION")
def a_present_month_that_was_detached(installation: Installation) -> dict[str, str]:
    Partitions(installation.database).ensure_ahead(utc_now())
    present = f"measurements_{utc_now():%Y_%m}"
    as_superuser(installation, f"ALTER TABLE measurements DETACH PARTITION {present}")
    return {}


@planted("FAULT", "database", "RESET default_transaction_read_only")
def a_database_that_can_only_be_read(installation: Installation) -> dict[str, str]:
    name = installation.database_name
    as_superuser(installation, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    return {}


@planted("FAULT", "database", f"ALTER ROLE {READER} RESET default_transaction_read_only")
def a_role_that_can_only_read(installation: Installation) -> dict[str, str]:
    as_superuser(
        installation,
        f"DROP ROLE IF EXISTS {READER}; CREATE ROLE {READER} LOGIN;"
        f" GRANT {embedded.APP} TO {READER};"
        f" ALTER ROLE {READER} SET default_transaction_read_only = on",
    )
    return {"DB_USER": READER}


@planted("FAULT", "pooler", "pool_mode = session")
def a_pooler_in_transaction_mode(installation: Installation) -> dict[str, str]:
    folder = Path(installation.stack.enter_context(TemporaryDirectory()))
    running = pgbouncer(installation.server, folder, "transaction")
    return {"DB_HOST": HOST, "DB_PORT": str(installation.stack.enter_context(running))}


@planted("FAULT", "tables", "ALTER COLUMN last_sync_at TYPE timestamp with time zone")
def a_time_without_zone(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "ALTER TABLE vehicles ALTER last_sync_at TYPE timestamp")
    return {}


@planted("FAULT", "tables", "DROP CONSTRAINT")
def a_journal_that_does_not_know_ok(installation: Installation) -> dict[str, str]:
    as_superuser(
        installation,
        "ALTER TABLE sync_journal DROP CONSTRAINT sync_journal_status_check,"
        " ADD CHECK (status <> 'ok')",
    )
    return {}


@planted("FAULT", "row level security", "CREATE POLICY channel_config_superuser")
def a_table_that_hides_what_the_daemon_writes(installation: Installation) -> dict[str, str]:
    as_superuser(
        installation,
        "ALTER TABLE channel_config ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    )
    return {}


@planted("FAULT", "API keys", "VEHICLE_DEFAULT_API_KEY")
def a_vehicle_without_any_key(installation: Installation) -> dict[str, str]:
    installation.rows("UPDATE vehicles SET api_key = NULL WHERE name = 'Truck-01'")
    return {}


@planted("FAULT", "vehicles", "vehicle set Truck-01 --key-file FILE")
def a_vehicle_with_a_wrong_key(installation: Installation) -> dict[str, str]:
    installation.rows("UPDATE vehicles SET api_key = 'wrong-key' WHERE name = 'Truck-01'")
    return {}


@planted("FAULT", "vehicles", "ping 127.0.0.1")
def a_vehicle_that_is_not_there(installation: Installation) -> dict[str, str]:
    installation.rows("UPDATE vehicles SET api_port = 1 WHERE name = 'Truck-01'")
    return {}


PAGE = http(b"<html><title>Bad gateway</title></html>", status="503 Service Unavailable")
BUSY = http(b'{"error":"busy"}', status="422 Unprocessable Content")


def a_server_instead(installation: Installation, *answers: Answer) -> None:
    """Put a server in the place of Truck-01: a connection for each answer, the last one again."""
    connections = [[answer] for answer in answers] + [[answers[-1]]] * 20
    server = installation.stack.enter_context(HostileServer(*connections))
    statement = "UPDATE vehicles SET api_port = %s WHERE name = 'Truck-01'"
    installation.rows(statement, server.port)


@planted("FAULT", "vehicles", "a proxy or portal answers in its place: look what is at 127.0.0.1")
def a_proxys_page_in_the_place_of_a_vehicle(installation: Installation) -> dict[str, str]:
    a_server_instead(installation, PAGE)
    return {}


@planted("FAULT", "vehicles", "restart the vehicle's own database")
def a_vehicle_whose_status_tells_of_its_database(installation: Installation) -> dict[str, str]:
    a_server_instead(installation, http(b'{"db_ok":false}', "Connection: close"), PAGE)
    return {}


@planted("FAULT", "vehicles", "fleetsyncd vehicle test Truck-01")
def a_422_that_is_not_about_the_key(installation: Installation) -> dict[str, str]:
    a_server_instead(installation, BUSY)
    return {}


@planted("FAULT", "vehicles", "vehicle set Truck-01 --address ADDRESS --port PORT")
def a_vehicle_without_an_address(installation: Installation) -> dict[str, str]:
    as_superuser(installation, "ALTER TABLE vehicles ALTER vpn_ip DROP NOT NULL")
    installation.rows("UPDATE vehicles SET vpn_ip = NULL WHERE name = 'Truck-01'")
    return {}


@planted("WARNING", "daemon", "start it again")
def a_daemon_that_died(installation: Installation) -> dict[str, str]:
    installation.rows(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec, beat_at)"
        " VALUES (gen_random_uuid(), 'central-1', 1, '0.0.1', 30, now() - interval '1 hour')"
    )
    return {}


@planted("WARNING", "daemon", "restart it on central-1")
def a_daemon_of_another_version(installation: Installation) -> dict[str, str]:
    installation.rows(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec)"
        " VALUES (gen_random_uuid(), 'central-1', 1, '0.0.1', 30)"
    )
    return {}


@planted("WARNING", "daemon", "give each a DAEMON_NAME of its own")
def two_daemons_of_one_name(installation: Installation) -> dict[str, str]:
    installation.rows(
        "INSERT INTO fleetsync.replica (id, host, pid, version, interval_sec, name, started_at)"
        " SELECT gen_random_uuid(), 'central-1', n, %s, 30, 'centre', now() - interval '1 minute'"
        " FROM generate_series(1, 2) n",
        __version__,
    )
    return {}


@planted("FAULT", "metrics", "choose another METRICS_PORT")
def a_metrics_port_that_is_taken(installation: Installation) -> dict[str, str]:
    listener = installation.stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
    return {"METRICS_PORT": str(listener.getsockname()[1])}


@pytest.fixture
def well(installation: Installation) -> Installation:
    """Return an installation in which nothing is wrong."""
    installation.fleet(2)
    return installation


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Put the root logger back as it was: commands set it up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_nothing_is_wrong_with_a_good_installation(well: Installation) -> None:
    assert well.command("once")[0] == 0
    code, rows = findings(well, PULL_TIMEOUT_SEC="0.9")
    assert (code, wrong(rows)) == (0, [])
    assert {finding["check"] for finding in rows} >= {"clock", "open files", "partitions", "role"}
    assert "2 of 2 answer all four calls" in [finding["text"] for finding in rows]


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name][2] != "vehicles"])
def test_doctor_finds(
    name: str, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, level, check, remedy = PLANTED[name]
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_key) VALUES ('Truck-01', '10.8.0.1', 'k')"
    )
    healthy = {"SYNC_INTERVAL_SEC": "30", "PULL_TIMEOUT_SEC": "10"}
    here = installation.server.environment(installation.database_name)
    for variable, value in {**here, **healthy, **plant(installation)}.items():
        monkeypatch.setenv(variable, value)
    rows = list(doctor.examine(with_vehicles=False))
    (told,) = [finding for finding in rows if finding.level is not Level.OK]
    assert (told.level, told.check) == (level, check)
    assert told.remedy is not None
    assert remedy in told.remedy
    assert told.remedy not in told.text, "advice is printed once"


@pytest.mark.parametrize("name", [name for name in PLANTED if PLANTED[name][2] == "vehicles"])
def test_doctor_finds_by_trying_every_vehicle(name: str, well: Installation) -> None:
    plant, level, check, remedy = PLANTED[name]
    code, rows = findings(well, PULL_TIMEOUT_SEC="0.9", **plant(well))
    (told,) = [finding for finding in rows if finding["level"] != "ok"]
    assert (code, told["level"], told["check"]) == (1, level, check)
    assert "[Truck-01]" in told["text"]
    assert remedy in told["remedy"]


def test_an_empty_default_partition_beside_others_is_no_fault(installation: Installation) -> None:
    Partitions(installation.database).ensure_ahead(utc_now())
    as_superuser(installation, "CREATE TABLE other PARTITION OF measurements DEFAULT")
    _, rows = findings(installation, SYNC_INTERVAL_SEC="30")
    assert [each["level"] for each in rows if each["check"] == "partitions"] == ["ok"]


def test_doctor_finds_a_limit_of_open_files_that_is_too_low(installation: Installation) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port, api_key)"
        " SELECT 'Gone-' || n, '127.0.0.1', n, 'k' FROM generate_series(1, 100) n"
    )
    installation.wrapper = ("prlimit", "--nofile=120:120", "--")
    code, output, _ = installation.command("doctor", "--no-vehicles")
    assert code == 1
    assert "ulimit -n 172" in output


def test_a_fleet_that_is_silent_altogether_is_one_fault_of_the_network(
    installation: Installation,
) -> None:
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port, api_key) VALUES"
        " ('A', '127.0.0.1', 1, 'k'), ('B', '127.0.0.1', 2, 'k'), ('C', '::1', 3, 'k')"
    )
    code, rows = findings(installation, PULL_TIMEOUT_SEC="0.9")
    assert (code, wrong(rows)) == (1, [("FAULT", "vehicles")])
    assert rows[-1]["text"] == "none of 3 answers"


def test_a_report_for_people_names_what_mends_it(installation: Installation) -> None:
    code, output, _ = installation.command("doctor", SYNC_INTERVAL_SEC="soon", LOG_LEVEL="loud")
    assert code == 1
    lines = output.splitlines()
    assert lines[-1] == "2 fault(s), 0 warning(s)"
    assert "FAULT  configuration  LOG_LEVEL: Must be one of" in lines[1]
    assert lines[2].strip() == "-> set it right in the environment or in .env"


@pytest.mark.parametrize(("mode", "told"), [(0o644, True), (0o600, False)])
def test_a_dotenv_file_that_others_can_read_is_reported(
    installation: Installation, tmp_path: Path, mode: int, told: bool
) -> None:
    (tmp_path / ".env").write_text("SYNC_INTERVAL_SEC=30\n")
    (tmp_path / ".env").chmod(mode)
    installation.folder = tmp_path
    _, output, _ = installation.command("doctor", "--no-vehicles")
    assert ("-> chmod 600 .env" in output) is told


def test_a_folder_called_dotenv_is_nobodys_secrets(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / ".env").mkdir(mode=0o755)
    installation.folder = tmp_path
    _, output, _ = installation.command("doctor", "--no-vehicles")
    assert "chmod" not in output
    assert f"from the environment; there is no {tmp_path}/.env" in output


NAMES = ["O'Brien", "Truck 01", "$(reboot)", "`x`", 'a"b', "a;b", "--yes", "-", "a…b", "⏎", "Ω&"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "error",
    [
        KeyUnusable("/status", "odd"),
        AddressUnusable("/status", "odd"),
        VehicleTimeout("/status", "mute"),
        OtherMachine("/status", "odd"),
        BadAnswer("/status", "odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_remedy_is_a_command_that_means_the_vehicle_whatever_it_is_called(
    name: str, error: VehicleError
) -> None:
    vehicle = Vehicle(uuid4(), name, "10.8.0.1", 8001, None, None, "unknown", None)
    remedy = doctor._remedy(vehicle, error)
    command = remedy[remedy.index("fleetsyncd ") :].replace("ADDRESS", "10.8.0.2")
    words = shlex.split(command.replace("PORT", "8002"))
    # A shell that is asked for the words says the same.
    asked = ["/bin/sh", "-c", f"printf '%s\\n' {shlex.join(words)}"]
    assert subprocess.check_output(asked, text=True).splitlines() == words
    assert fault_of(words[1:]) is None
    assert words[3] in (name, str(vehicle.id))


def test_doctor_names_the_dotenv_file_that_is_read_and_none_of_a_folder_above(
    installation: Installation, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("SYNC_INTERVAL_SEC=55\nDATABASE_URL=postgresql://other/db\n")
    (tmp_path / ".env").chmod(0o600)
    below = tmp_path / "below"
    below.mkdir()
    installation.folder = below
    _, output, _ = installation.command("doctor", "--no-vehicles")
    assert f"a cycle every 1 s, from the environment; there is no {below}/.env" in output
    (below / ".env").write_text("LOG_LEVEL=INFO\n")
    (below / ".env").chmod(0o600)
    _, output, _ = installation.command("doctor", "--no-vehicles")
    assert f"a cycle every 1 s, with {below}/.env" in output
