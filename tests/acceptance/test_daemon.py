import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from psycopg2 import sql

from tests.acceptance.conftest import Installation
from tests.freezing import frozen

GAP = timedelta(hours=50)

FAILED = """
SELECT count(*) FROM sync_journal
WHERE status <> 'ok' AND error_msg IS DISTINCT FROM 'stopped with the daemon'
"""


def test_two_cycles_and_sigterm_end_with_everything_stored(installation: Installation) -> None:
    installation.fleet(5)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done", times=2)
    assert installation.command("health")[0] == 0
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert daemon.lines[-1].endswith("Sync service stopped")
    comparison = installation.check()
    assert comparison.clean, comparison.examples
    assert installation.rows(FAILED) == [(0,)]
    assert installation.rows("SELECT count(*) FROM fleetsync.replica") == [(0,)]
    assert installation.command("health")[0] == 1


def test_a_daemon_killed_in_the_middle_of_a_gap_loses_nothing(installation: Installation) -> None:
    installation.fleet(1, GAP, channels=2)
    for _ in range(3):
        daemon = installation.daemon(SYNC_INTERVAL_SEC="2")
        stored = installation.rows("SELECT count(*) FROM measurements")[0][0]
        installation.until("SELECT count(*) > %s + 50000 FROM measurements", stored)
        daemon.process.kill()
        daemon.end()
    assert installation.rows(
        "SELECT count(*) FROM vehicles WHERE last_sync_at > now() - interval '1 hour'"
    ) == [(0,)]
    assert installation.daemon("--cycles", "1").end() == 0
    comparison = installation.check()
    assert comparison.clean, comparison.examples


def test_sigterm_in_a_gap_ends_it_within_the_grace_and_a_restart_completes_it(
    installation: Installation,
) -> None:
    installation.fleet(1, GAP, channels=2)
    daemon = installation.daemon()
    installation.until("SELECT count(*) > 50000 FROM measurements")
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert time.monotonic() - begun < 4
    assert installation.daemon("--cycles", "1").end() == 0
    assert installation.check().clean


def test_while_a_gap_is_pulled_what_is_live_is_on_time_and_the_watermark_true(
    installation: Installation,
) -> None:
    installation.fleet(1, timedelta(days=3), channels=2)
    daemon = installation.daemon(SYNC_INTERVAL_SEC="2")
    installation.until("SELECT count(*) > 0 FROM measurements WHERE time > now() - interval '4 s'")
    gap = "SELECT extract(epoch FROM now() - last_sync_at)::float8 FROM vehicles"
    live = (
        "SELECT extract(epoch FROM now() - greatest(last_sync_at, upper(islands)))::float8"
        " FROM vehicles JOIN fleetsync.vehicle_state ON vehicle_id = id"
    )
    looks = 0
    while installation.rows(gap)[0][0] > 60:
        for _ in range(10):
            assert installation.rows(live)[0][0] < 2 + 2
            time.sleep(0.05)
        comparison = installation.check()
        assert comparison.clean, comparison.examples
        looks += 1
    assert looks > 0
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    comparison = installation.check()
    assert comparison.clean, comparison.examples
    assert installation.rows("SELECT DISTINCT status FROM sync_journal") == [("ok",)]


def test_after_an_outage_of_the_centre_a_fleet_is_live_at_once_and_catches_up_together(
    installation: Installation,
) -> None:
    installation.fleet(30, timedelta(hours=2), channels=3)
    daemon = installation.daemon(SYNC_INTERVAL_SEC="5", CATCH_UP_CONCURRENCY="4")
    live = (
        "SELECT count(*) = 30 FROM vehicles JOIN fleetsync.vehicle_state ON vehicle_id = id"
        " WHERE greatest(last_sync_at, upper(islands)) > now() - interval '10 s'"
    )
    assert installation.until(live) < 10
    installation.until(
        "SELECT count(*) = 30 FROM vehicles WHERE last_sync_at > now() - interval '10 s'"
    )
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    comparison = installation.check()
    assert comparison.clean, comparison.examples


def test_a_second_signal_ends_the_daemon_at_once(installation: Installation) -> None:
    mute = installation.stack.enter_context(_mute_server())
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Mute-01', '127.0.0.1', %s)", mute
    )
    daemon = installation.daemon(SHUTDOWN_GRACE_SEC="60", PULL_TIMEOUT_SEC="60")
    daemon.wait_for("Cycle over .* busy: Mute-01")
    daemon.process.send_signal(signal.SIGINT)
    daemon.wait_for("SIGINT: stopping, at most 60 s")
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 10


def test_a_vehicle_that_hangs_delays_no_other(installation: Installation) -> None:
    installation.fleet(3)
    mute = installation.stack.enter_context(_mute_server())
    installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES ('Mute-01', '127.0.0.1', %s)", mute
    )
    daemon = installation.daemon(PULL_TIMEOUT_SEC="5")
    daemon.wait_for("Cycle over .* busy: Mute-01", times=3)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.end()
    slowest = installation.rows(
        "SELECT max(finished_at - started_at) FROM sync_journal WHERE status = 'ok'"
    )
    assert slowest[0][0] < timedelta(seconds=2)
    assert installation.rows("SELECT count(*) >= 9 FROM sync_journal WHERE status = 'ok'") == [
        (True,)
    ]


@contextmanager
def _mute_server() -> Iterator[int]:
    """Accept connections, answer nothing; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_lost_database_is_said_once_and_found_again(installation: Installation) -> None:
    installation.fleet(3)
    daemon = installation.daemon()
    daemon.wait_for("Cycle done")
    installation.close_database()
    daemon.wait_for("pulling stops")
    installation.open_database()
    daemon.wait_for("database is back")
    daemon.wait_for("Cycle done")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert sum("pulling stops" in line for line in daemon.lines) == 1
    assert installation.check().clean


def test_a_fleet_that_is_silent_altogether_is_one_fault_of_the_network(
    installation: Installation,
) -> None:
    for number in range(1, 5):
        installation.rows(
            "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES (%s, '127.0.0.1', %s)",
            f"Gone-{number}",
            number,
        )
    daemon = installation.daemon("--cycles", "1")
    assert daemon.end() == 0
    lines = [line for line in daemon.lines if "Gone-" in line or "no vehicle answers" in line]
    assert len(lines) == 1
    assert "[ERROR] sync: no vehicle answers (4 of 4): check the VPN" in lines[0]


@pytest.mark.parametrize("wanted", ["sync", "pause"])
def test_the_daemon_acts_on_an_operator_within_two_seconds(
    installation: Installation, wanted: str
) -> None:
    installation.fleet(1)
    daemon = installation.daemon(SYNC_INTERVAL_SEC="60")
    daemon.wait_for("Cycle done")
    if wanted == "sync":
        assert installation.command("vehicle", "sync", "Truck-01")[0] == 0
        assert installation.until("SELECT count(*) = 2 FROM sync_journal") < 2
        return
    installation.rows("UPDATE vehicles SET last_sync_at = now() - interval '80 days'")
    installation.command("vehicle", "sync", "Truck-01")
    installation.until("SELECT count(*) > 20000 FROM measurements")
    assert installation.command("vehicle", "pause", "Truck-01")[0] == 0
    stopped = "SELECT count(*) = 1 FROM sync_journal WHERE error_msg LIKE '%%paused; resumes at%%'"
    assert installation.until(stopped) < 2


def test_an_outdated_schema_is_refused_with_the_command_that_mends_it(
    installation: Installation, empty_database: str
) -> None:
    code, _, errors = installation.command("run", DB_NAME=empty_database)
    assert code == 2
    assert errors.count("\n") == 1
    assert "run `fleetsyncd migrate`" in errors


def test_sigterm_is_obeyed_while_postgresql_hangs(installation: Installation) -> None:
    installation.fleet(2)
    daemon = installation.daemon(SHUTDOWN_GRACE_SEC="1")
    daemon.wait_for("Cycle done")
    backends = [
        row[0]
        for row in installation.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'fleetsyncd' AND pid <> pg_backend_pid()"
        )
    ]
    with frozen(backends):
        time.sleep(2)
        begun = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert time.monotonic() - begun < 6


def test_silent_vehicles_do_not_keep_the_others_of_their_lane_from_being_pulled(
    installation: Installation,
) -> None:
    for number in range(12):
        installation.rows(
            "INSERT INTO vehicles (name, vpn_ip, api_port) VALUES (%s, '127.0.0.1', %s)",
            f"Mute-{number}",
            installation.stack.enter_context(_mute_server()),
        )
    installation.fleet(1)
    installation.rows(
        "INSERT INTO fleetsync.vehicle_state (vehicle_id, failures) SELECT id, 1 FROM vehicles"
    )
    daemon = installation.daemon(SYNC_CONCURRENCY="4", PULL_TIMEOUT_SEC="1")
    daemon.wait_for(r"busy: .*not started")
    installation.until("SELECT count(DISTINCT vehicle_id) = 13 FROM sync_journal")
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.end() == 0


@pytest.mark.long
def test_a_month_that_cannot_be_made_ahead_stops_no_vehicle(
    installation: Installation,
) -> None:
    installation.fleet(2)
    assert installation.daemon("--cycles", "1").end() == 0
    name = installation.database_name
    ahead = "SELECT max(relname) FROM pg_class WHERE relispartition AND relkind = 'r'"
    last = installation.rows(ahead)[0][0]
    with closing(installation.server.connect(name)) as other, other.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(last)))
        other.commit()
        cursor.execute("LOCK TABLE measurements IN SHARE UPDATE EXCLUSIVE MODE")
        daemon = installation.daemon()
        daemon.wait_for("wrote [1-9]")
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.end() == 0
        other.rollback()
    assert installation.check().clean
