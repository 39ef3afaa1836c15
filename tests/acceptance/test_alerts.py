"""Every alert is provoked once: a real Prometheus scrapes real daemons, with the rules made faster.

When an alert must not fire is tested in alerts*_test.yaml, and by `python -m tests.chaos.alerts`.
"""

import json
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg2 import sql

from fleetsyncd.demo.processes import running, simulator
from fleetsyncd.times import iso_ms, utc_now
from tests import prometheus
from tests.acceptance.conftest import Daemon, Installation
from tests.acceptance.grafana import OPS
from tests.acceptance.test_monitoring import free_port
from tests.prometheus import Prometheus, needs_prometheus

pytestmark = [pytest.mark.long, needs_prometheus]
FACTOR = 200.0
"""By this the times of the rules are divided: an hour is 18 s."""
SCRAPE_SEC = 0.5
PATIENCE_SEC = 60.0
GONE, BEHIND, WRONG_KEY, SWAPPED = "Gone-01", 5, 2, (0, 4)
"""A vehicle that nobody reaches, and places in the simulated fleet."""


@contextmanager
def watching(folder: Path, *ports: int) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes the daemons at these ports."""
    rules = prometheus.faster((OPS / "alerts.yaml").read_text(), FACTOR, 8 * SCRAPE_SEC)
    with prometheus.running(folder, rules, free_port(), ports, SCRAPE_SEC) as watched:
        yield watched


def watched_daemon(installation: Installation, port: int, **changes: str) -> Daemon:
    return installation.daemon(METRICS_PORT=str(port), LOG_LEVEL="ERROR", **changes)


def end(daemon: Daemon, number: signal.Signals = signal.SIGTERM) -> None:
    daemon.process.send_signal(number)
    daemon.process.wait()


def add(installation: Installation, name: str, host: str, port: int, key: str | None) -> str:
    rows = installation.rows(
        "INSERT INTO vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
        " VALUES (%s, %s::inet, %s, %s, now() - interval '10 s') RETURNING id::text",
        *(name, host, port, key),
    )
    return str(rows[0][0])


class _BadRows(BaseHTTPRequestHandler):
    """Answers as a vehicle all of whose rows are without a channel."""

    def do_GET(self) -> None:
        now = iso_ms(utc_now())
        answers: dict[str, Any] = {
            "/status": {
                "vehicle_id_hint": "",
                "software_version": "1",
                "uptime_sec": 1,
                "collector_running": True,
                "agent_running": True,
                "db_ok": True,
                "last_measurement_at": None,
            },
            "/data": {
                "count": 1,
                "truncated": False,
                "rows": [{"channel_id": None, "value": 1.5, "time": now}],
            },
        }
        body = json.dumps(answers.get(self.path.partition("?")[0], [])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Keep requests out of the test's output."""


@contextmanager
def vehicle_with_bad_rows() -> Iterator[int]:
    """Serve such a vehicle; yield its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _BadRows) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_alerts_of_vehicles_outlive_the_daemon_and_end_with_their_cause(
    installation: Installation, tmp_path: Path
) -> None:
    port = free_port()
    with simulator(BEHIND + 1, channels=2) as fleet, vehicle_with_bad_rows() as bad:
        ids = [add(installation, v["name"], v["host"], v["port"], v["key"]) for v in fleet]
        gone = add(installation, GONE, "127.0.0.1", 1, None)
        odd = add(installation, "Odd-01", "127.0.0.1", bad, "any")
        fired = {
            "FleetsyncVehicleRefuses": ids[WRONG_KEY],
            "FleetsyncVehicleOtherMachine": ids[SWAPPED[0]],
            "FleetsyncVehicleLags": ids[BEHIND],
            "FleetsyncBadRows": odd,
            "FleetsyncVehicleDown": gone,
        }
        daemon = watched_daemon(installation, port)
        with watching(tmp_path, port) as watched:
            _swap_machines(installation, *((ids[place], fleet[place]) for place in SWAPPED))
            for alert, vehicle_id in fired.items():
                watched.until(alert, vehicle_id, within=PATIENCE_SEC)
            assert watched.summary("FleetsyncVehicleDown", gone).startswith(f"{GONE} has had no")
            end(daemon, signal.SIGKILL)
            time.sleep(4 * SCRAPE_SEC)
            watched_daemon(installation, port)
            installation.command("vehicle", "set", gone, "--name", "Gone-02")
            _await_name(watched, gone, "Gone-02")
            words = [(word.alert, word.of) for word in watched.record.words]
            assert words.count(("FleetsyncVehicleDown", gone)) == 1
            assert words.count(("FleetsyncVehicleRefuses", ids[WRONG_KEY])) == 1
            installation.command("vehicle", "remove", "--yes", gone)
            installation.command("vehicle", "swap", *(ids[place] for place in SWAPPED))
            installation.command("vehicle", "pause", odd)
            installation.command("vehicle", "pause", ids[BEHIND])
            installation.rows(
                "UPDATE vehicles SET api_key = api_key || '-rotated' WHERE id = %s",
                ids[WRONG_KEY],
            )
            for alert, vehicle_id in fired.items():
                watched.until(alert, vehicle_id, fires=False, within=PATIENCE_SEC)


def _swap_machines(
    installation: Installation, one: tuple[str, dict[str, Any]], other: tuple[str, dict[str, Any]]
) -> None:
    """Register two vehicles, once their machines are known, with each other's address."""
    known = "SELECT count(id_hint) = 2 FROM fleetsync.vehicle_state WHERE vehicle_id::text IN %s"
    installation.until(known, (one[0], other[0]))
    _move(installation, one[0], {**one[1], "port": 2})  # no two may have the same
    _move(installation, other[0], one[1])
    _move(installation, one[0], other[1])


def _move(installation: Installation, vehicle_id: str, machine: dict[str, Any]) -> None:
    """Let a vehicle be asked where this machine is, with its key."""
    installation.rows(
        "UPDATE vehicles SET vpn_ip = %s::inet, api_port = %s, api_key = %s WHERE id = %s",
        *(machine["host"], machine["port"], machine["key"], vehicle_id),
    )


def _await_name(watched: Prometheus, vehicle_id: str, name: str) -> None:
    begun = time.monotonic()
    while not watched.summary("FleetsyncVehicleDown", vehicle_id).startswith(name):
        assert time.monotonic() - begun < PATIENCE_SEC
        time.sleep(SCRAPE_SEC)


def test_alerts_of_the_fleet_and_of_the_database(
    installation: Installation, tmp_path: Path
) -> None:
    port = free_port()
    installation.fleet(4, channels=2)
    vehicle_id = str(installation.expectations[0].vehicle_id)
    with watching(tmp_path, port) as watched:
        watched.until("FleetsyncAbsent", within=PATIENCE_SEC)
        daemon = watched_daemon(installation, port, VEHICLE_MAX_ROWS_PER_DAY="1")
        watched.until("FleetsyncAbsent", fires=False, within=PATIENCE_SEC)
        watched.until("FleetsyncVehicleOverBudget", vehicle_id, within=PATIENCE_SEC)
        end(daemon)
        watched_daemon(installation, port)
        watched.until("FleetsyncVehicleOverBudget", vehicle_id, fires=False, within=PATIENCE_SEC)
        _on_measurements(installation, "REVOKE INSERT ON measurements FROM fleet_owner")
        watched.until("FleetsyncNotStored", within=PATIENCE_SEC)
        _on_measurements(installation, "GRANT INSERT ON measurements TO fleet_owner")
        watched.until("FleetsyncNotStored", fires=False, within=PATIENCE_SEC)
        assert "FleetsyncFleetSilent" not in {word.alert for word in watched.record.words}
        installation.rows("UPDATE vehicles SET vpn_ip = vpn_ip + 100")
        watched.until("FleetsyncFleetSilent", within=PATIENCE_SEC)
        installation.rows("UPDATE vehicles SET vpn_ip = vpn_ip - 100")
        watched.until("FleetsyncFleetSilent", fires=False, within=PATIENCE_SEC)
        installation.close_database()
        watched.until("FleetsyncDatabaseLost", within=PATIENCE_SEC)
        installation.open_database()
        watched.until("FleetsyncDatabaseLost", fires=False, within=PATIENCE_SEC)


def _on_measurements(installation: Installation, statement: str) -> None:
    installation.server.execute(sql.SQL(statement), database=installation.database_name)


def test_alerts_of_two_daemons(installation: Installation, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    frozen = f"127.0.0.1:{ports[0]}"
    installation.fleet(24, channels=2)  # so many that each daemon has some
    first, _second = (watched_daemon(installation, port, DB_POOL_SIZE="1") for port in ports)
    with watching(tmp_path, *ports) as watched:
        _await_both(watched)
        first.process.send_signal(signal.SIGSTOP)
        watched.until("FleetsyncReplicaLost", frozen, within=PATIENCE_SEC)
        watched.until("FleetsyncShardsUnowned", within=PATIENCE_SEC)
        first.process.send_signal(signal.SIGCONT)
        watched.until("FleetsyncReplicaLost", frozen, fires=False, within=PATIENCE_SEC)
        watched.until("FleetsyncShardsUnowned", fires=False, within=PATIENCE_SEC)
        with _locked(installation, "vehicles"):
            watched.until("FleetsyncStuck", frozen, within=PATIENCE_SEC)
        watched.until("FleetsyncStuck", frozen, fires=False, within=PATIENCE_SEC)
        _repeat_until(watched, "FleetsyncPoolWaits", frozen, lambda: _delay_journal(installation))
        watched.until("FleetsyncPoolWaits", frozen, fires=False, within=PATIENCE_SEC)


def _await_both(watched: Prometheus) -> None:
    begun = time.monotonic()
    while len(watched.query("fleetsync_shards == 32")) < 2:
        assert time.monotonic() - begun < PATIENCE_SEC
        time.sleep(SCRAPE_SEC)


@contextmanager
def _locked(installation: Installation, table: str) -> Iterator[None]:
    """Let every transaction that needs this table wait."""
    lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table))
    with closing(installation.server.connect(installation.database_name)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(lock)
        yield


def _delay_journal(installation: Installation) -> None:
    """Let a vehicle's transaction keep the only connection, for which the others wait."""
    with _locked(installation, "sync_journal"):
        time.sleep(2.5)
    time.sleep(SCRAPE_SEC)


def _repeat_until(watched: Prometheus, alert: str, of: str, work: Callable[[], None]) -> None:
    begun = time.monotonic()
    while (alert, of) not in watched.record.firing:
        assert time.monotonic() - begun < PATIENCE_SEC, alert
        work()


def test_alerts_of_a_daemon_that_is_too_slow_or_faulty(
    installation: Installation, tmp_path: Path
) -> None:
    port = free_port()
    of = f"127.0.0.1:{port}"
    installation.fleet(40, channels=1)
    bug = add(installation, "Bug", "127.0.0.1", 1, None)
    environment = installation.environment(METRICS_PORT=str(port), LOG_LEVEL="ERROR")
    environment["SYNC_INTERVAL_SEC"] = "0.02"
    arguments = ["tests.acceptance.faulty", "run"]
    with (
        (tmp_path / "daemon.log").open("w") as log,
        running(arguments, environment, stdout=log) as daemon,
        watching(tmp_path, port) as watched,
    ):
        watched.until("FleetsyncCyclesOverrun", of, within=PATIENCE_SEC)
        watched.until("FleetsyncInternalFault", bug, within=PATIENCE_SEC)
        most = int(psutil.Process(daemon.pid).num_fds() * 1.15)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (most, most))
        watched.until("FleetsyncOpenFiles", of, within=PATIENCE_SEC)

        def stall() -> None:
            daemon.send_signal(signal.SIGSTOP)
            time.sleep(0.8)
            daemon.send_signal(signal.SIGCONT)
            time.sleep(0.3)

        _repeat_until(watched, "FleetsyncStalls", of, stall)
