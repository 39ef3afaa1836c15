import gzip
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from fleetsyncd.demo import readings
from fleetsyncd.demo.faults import ALWAYS, HEALTHY, Faults, Stretches
from fleetsyncd.demo.fleet import Fleet, demo_fleet, demo_specs
from fleetsyncd.demo.vehicle import SimulatedVehicle
from tests.simulated import running

KEY = "secret"
NOW = 1_771_761_600.0
NOW_MS = 1_771_761_600_000
MINUTE_AGO = readings.iso(NOW_MS - 60_000)
NOW_TEXT = readings.iso(NOW_MS)
LAST_MINUTE = {"from": MINUTE_AGO, "to": NOW_TEXT}
CALLS = ["/status", "/channels", "/data", "/data/latest", "/alarms"]


class Client:
    """Asks one vehicle over one kept-alive session."""

    def __init__(self, vehicle: SimulatedVehicle, session: requests.Session) -> None:
        self.vehicle = vehicle
        self.session = session
        self.session.headers["X-API-Key"] = KEY
        self.session.trust_env = False

    def get(self, path: str, **params: str | int) -> requests.Response:
        host, port = self.vehicle.address
        return self.session.get(f"http://{host}:{port}{path}", params=params, timeout=5)

    def json(self, path: str, **params: str | int) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200
        return response.json()


@contextmanager
def serving(
    faults: Faults = HEALTHY, clock: Callable[[], float] = lambda: NOW, **options: Any
) -> Iterator[Client]:
    vehicle = SimulatedVehicle("Truck-01", KEY, faults=faults, clock=clock, **options)
    with running(Fleet([vehicle])), requests.Session() as session:
        yield Client(vehicle, session)


@pytest.fixture(scope="module")
def healthy() -> Iterator[Client]:
    with serving() as client:
        yield client


def expected_rows(client: Client, start_ms: int, end_ms: int) -> list[dict[str, object]]:
    return [
        {"channel_id": channel_id, "value": value, "time": readings.iso(time_ms)}
        for channel_id, time_ms, value in readings.rows(client.vehicle.seed, start_ms, end_ms)
    ]


def exchange(client: Client, sent: bytes) -> bytes:
    """Send raw bytes and read until the vehicle closes the connection."""
    with socket.create_connection(client.vehicle.address, timeout=5) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_status_contains_version_uptime_and_the_newest_measurement(healthy: Client) -> None:
    status = healthy.json("/status")
    assert list(status) == [
        "vehicle_id_hint",
        "software_version",
        "uptime_sec",
        "collector_running",
        "agent_running",
        "db_ok",
        "last_measurement_at",
    ]
    assert status["vehicle_id_hint"] == "Truck-01"
    assert status["db_ok"] is True
    assert status["uptime_sec"] == 0
    assert NOW_MS - 1300 < signals_ms(status["last_measurement_at"]) <= NOW_MS


def signals_ms(text: str) -> int:
    seconds = time.strptime(text[:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")
    return (int(time.mktime(seconds)) - time.timezone) * 1000 + int(text[20:23])


def test_channels_lists_every_channel_with_its_ranges(healthy: Client) -> None:
    channels = healthy.json("/channels")
    assert len(channels) == 18
    assert channels[0] == {
        "channel_id": 1,
        "name": "Engine speed",
        "unit": "rpm",
        "raw_min": 0.0,
        "raw_max": 10000.0,
        "phys_min": 0.0,
        "phys_max": 3000.0,
        "signal_type": "encoder_frequency",
        "enabled": True,
        "updated_at": "2026-01-01T00:00:00.000Z",
    }
    assert channels[2]["unit"] == "°C"


def test_data_serves_the_rows_of_the_interval(healthy: Client) -> None:
    page = healthy.json("/data", **LAST_MINUTE)
    assert page["rows"] == expected_rows(healthy, NOW_MS - 60_000, NOW_MS)
    assert (page["from"], page["to"]) == (MINUTE_AGO, NOW_TEXT)
    assert (page["count"], page["truncated"]) == (len(page["rows"]), False)


def test_data_of_one_channel_serves_that_channel_alone(healthy: Client) -> None:
    rows = healthy.json("/data", **LAST_MINUTE, channel_id=3)["rows"]
    assert {row["channel_id"] for row in rows} == {3}
    assert len(rows) == 60


def test_ten_minutes_exceed_the_default_limit(healthy: Client) -> None:
    page = healthy.json("/data", **{"from": readings.iso(NOW_MS - 600_000), "to": NOW_TEXT})
    assert (page["count"], page["truncated"], len(page["rows"])) == (10_000, True, 10_000)


@pytest.mark.parametrize(("asked", "count"), [(1, 1), (50_000, 50_000), (60_000, 50_000)])
def test_a_limit_is_kept_and_capped_at_50000(healthy: Client, asked: int, count: int) -> None:
    interval = {"from": readings.iso(NOW_MS - 3_600_000), "to": NOW_TEXT}
    page = healthy.json("/data", **interval, limit=asked)
    assert (len(page["rows"]), page["truncated"]) == (count, True)


def test_rows_later_than_the_clock_do_not_exist_yet(healthy: Client) -> None:
    interval = {"from": readings.iso(NOW_MS - 5000), "to": readings.iso(NOW_MS + 60_000)}
    rows = healthy.json("/data", **interval)["rows"]
    assert rows == expected_rows(healthy, NOW_MS - 5000, NOW_MS + 1)


def test_rows_from_before_the_history_do_not_exist() -> None:
    with serving(history_s=10) as client:
        rows = client.json("/data", **LAST_MINUTE)["rows"]
        assert rows == expected_rows(client, NOW_MS - 10_000, NOW_MS)


def test_a_vehicle_offline_before_some_time_has_no_earlier_rows() -> None:
    with serving(Faults(offline_before=NOW - 20)) as client:
        rows = client.json("/data", **LAST_MINUTE)["rows"]
        assert rows == expected_rows(client, NOW_MS - 20_000, NOW_MS)


def test_latest_is_the_newest_row_of_each_channel(healthy: Client) -> None:
    latest = healthy.json("/data/latest")
    assert latest == expected_rows(healthy, NOW_MS - 1300, NOW_MS + 1)[-18:]
    assert [row["channel_id"] for row in latest] == list(range(1, 19))


def test_a_vehicle_without_history_has_no_latest_row() -> None:
    with serving(history_s=0, clock=lambda: NOW + 0.5) as client:
        assert client.json("/data/latest") == []
        assert client.json("/status")["last_measurement_at"] is None


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        ({}, "from is missing"),
        ({"from": MINUTE_AGO}, "to is missing"),
        ({"from": "yesterday", "to": NOW_TEXT}, "from is not"),
        ({"from": MINUTE_AGO, "to": "2026-02-22T12:00:00.000"}, "to is not"),
        ({"from": MINUTE_AGO, "to": "2026-02-22T25:00:00.000Z"}, "hour"),
        ({"from": NOW_TEXT, "to": NOW_TEXT}, "before"),
        ({"from": NOW_TEXT, "to": MINUTE_AGO}, "before"),
        ({**LAST_MINUTE, "limit": "0"}, "limit"),
        ({**LAST_MINUTE, "limit": "-1"}, "limit"),
        ({**LAST_MINUTE, "limit": "many"}, "limit"),
        ({**LAST_MINUTE, "channel_id": "1.5"}, "channel_id"),
    ],
)
def test_bad_parameters_are_answered_400_with_a_detail(
    healthy: Client, params: dict[str, str], detail: str
) -> None:
    response = healthy.get("/data", **params)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_params"
    assert detail in response.json()["detail"]


def test_percent_encoded_and_plain_times_are_the_same(healthy: Client) -> None:
    host, port = healthy.vehicle.address
    plain = f"http://{host}:{port}/data?from={MINUTE_AGO}&to={NOW_TEXT}"
    encoded = plain.replace("T12:", "T12%3A")
    answers = [healthy.session.get(url, timeout=5).json() for url in (plain, encoded)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", CALLS)
def test_a_wrong_or_missing_key_is_answered_401(healthy: Client, path: str) -> None:
    host, port = healthy.vehicle.address
    for headers in ({}, {"X-API-Key": "wrong"}):
        response = requests.get(f"http://{host}:{port}{path}", headers=headers, timeout=5)
        assert (response.status_code, response.json()) == (401, {"error": "unauthorized"})


def test_a_vehicle_that_refuses_its_key_answers_401_always() -> None:
    with serving(Faults(refuse_key=True)) as client:
        assert client.get("/status").status_code == 401


def test_an_unknown_path_is_404_and_another_method_405(healthy: Client) -> None:
    host, port = healthy.vehicle.address
    assert healthy.get("/nothing").status_code == 404
    posted = healthy.session.post(f"http://{host}:{port}/status", data=b"x" * 5000, timeout=5)
    assert (posted.status_code, posted.headers["Allow"]) == (405, "GET")


def test_answers_over_500_bytes_are_gzipped_for_those_who_accept_it(healthy: Client) -> None:
    accepting = healthy.get("/channels")
    assert accepting.headers["Content-Encoding"] == "gzip"
    assert int(accepting.headers["Content-Length"]) < len(accepting.content)
    assert "Content-Encoding" not in healthy.get("/status").headers
    for encoding in ("identity", "gzip;q=0"):
        healthy.session.headers["Accept-Encoding"] = encoding
        assert "Content-Encoding" not in healthy.get("/channels").headers
    healthy.session.headers["Accept-Encoding"] = "gzip"


def test_requests_share_one_connection_unless_asked_to_close(healthy: Client) -> None:
    request = f"GET /status HTTP/1.1\r\nX-API-Key: {KEY}\r\n".encode()
    last = request + b"Connection: close\r\n\r\n"
    answer = exchange(healthy, (request + b"\r\n") * 2 + last + request + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.count(b"Connection: close") == 1


def test_the_body_of_a_get_is_ignored(healthy: Client) -> None:
    head = f"GET /status HTTP/1.1\r\nX-API-Key: {KEY}\r\n"
    first = f"{head}Content-Length: 5\r\n\r\nGET /".encode()
    assert exchange(healthy, first + f"{head}\r\n".encode()).count(b"200 OK") == 2


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 40_000, b"431"),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
    ],
)
def test_an_unreadable_request_is_refused_and_the_connection_closed(
    healthy: Client, sent: bytes, status: bytes
) -> None:
    with socket.create_connection(healthy.vehicle.address, timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_breaks_off_leaves_no_trace(
    healthy: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    interval = f"from={readings.iso(NOW_MS - 3_600_000)}&to={NOW_TEXT}&limit=50000"
    request = f"GET /data?{interval} HTTP/1.1\r\nX-API-Key: {KEY}\r\n\r\n".encode()
    for sent in (request, request[:40]):
        connection = socket.create_connection(healthy.vehicle.address, timeout=5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(sent)
        connection.close()
    assert healthy.get("/status").status_code == 200
    assert capfd.readouterr() == ("", "")


def test_requests_are_counted() -> None:
    with serving() as client:
        client.get("/status")
        client.get("/channels")
        assert (client.vehicle.requests, client.vehicle.last_request_at) == (2, NOW)


def test_a_hanging_vehicle_accepts_and_never_answers() -> None:
    with serving(Faults(timeout_every=ALWAYS)) as client, pytest.raises(requests.ReadTimeout):
        client.session.get("http://{}:{}/status".format(*client.vehicle.address), timeout=0.1)


def test_a_vehicle_whose_database_is_down_answers_503_but_for_its_status() -> None:
    with serving(Faults(down=ALWAYS)) as client:
        assert client.json("/status")["db_ok"] is False
        assert [client.get(path).status_code for path in CALLS[1:]] == [503] * 4


def test_a_vehicle_recovers_when_its_stretch_ends() -> None:
    now = [NOW]
    down = Stretches(period_s=100, length_s=10, offset_s=NOW - 5)
    with serving(Faults(down=down), clock=lambda: now[0]) as client:
        assert client.get("/channels").status_code == 503
        now[0] += 5
        assert client.get("/channels").status_code == 200


def test_a_slow_link_delays_every_answer() -> None:
    with serving(Faults(latency_s=0.05)) as client:
        began = time.monotonic()
        client.get("/status")
        assert time.monotonic() - began >= 0.05


def test_rows_committed_late_appear_in_a_window_already_pulled() -> None:
    now = [NOW]
    with serving(Faults(commit_delay_s=3), clock=lambda: now[0]) as client:
        early = client.json("/data", **LAST_MINUTE)["rows"]
        now[0] += 3
        late = client.json("/data", **LAST_MINUTE)["rows"]
    assert early == expected_rows(client, NOW_MS - 60_000, NOW_MS - 3000 + 1)
    assert late == expected_rows(client, NOW_MS - 60_000, NOW_MS)


def test_a_clock_behind_shows_in_the_date_and_in_what_exists() -> None:
    with serving(Faults(clock_offset_s=-40)) as client:
        response = client.get("/data", **LAST_MINUTE)
        assert response.headers["Date"] == "Sun, 22 Feb 2026 11:59:20 GMT"
        expected = expected_rows(client, NOW_MS - 60_000, NOW_MS - 40_000 + 1)
        assert response.json()["rows"] == expected


def alarm_ids(client: Client, start_ms: int, end_ms: int, **params: str) -> list[int]:
    interval = {"from": readings.iso(start_ms), "to": readings.iso(end_ms)}
    return [alarm["alarm_id"] for alarm in client.json("/alarms", **interval, **params)]


def test_an_alarm_is_unresolved_until_its_time_has_come() -> None:
    alarm = readings.alarms(readings.seed_of("Truck-01"), NOW_MS, NOW_MS + 3_600_000)[0]
    now = [alarm.triggered_ms / 1000 + 1]
    interval = {
        "from": readings.iso(alarm.triggered_ms),
        "to": readings.iso(alarm.triggered_ms + 1),
    }
    with serving(clock=lambda: now[0]) as client:
        (open_alarm,) = client.json("/alarms", **interval)
        still_open = client.json("/alarms", **interval, unresolved_only="true")
        now[0] = alarm.resolved_ms / 1000 + 1
        (closed,) = client.json("/alarms", **interval)
        assert client.json("/alarms", **interval, unresolved_only="true") == []
    assert open_alarm == {
        "alarm_id": alarm.alarm_id,
        "channel_id": alarm.channel_id,
        "severity": alarm.severity,
        "message": alarm.message,
        "triggered_at": readings.iso(alarm.triggered_ms),
        "resolved_at": None,
    }
    assert still_open == [open_alarm]
    assert closed == open_alarm | {"resolved_at": readings.iso(alarm.resolved_ms)}


@pytest.mark.parametrize("old_alarms", [False, True])
def test_only_newer_vehicles_return_alarms_resolved_in_the_interval(old_alarms: bool) -> None:
    alarm = readings.alarms(readings.seed_of("Truck-01"), NOW_MS - 3_600_000, NOW_MS)[0]
    with serving(old_alarms=old_alarms) as client:
        ids = alarm_ids(client, alarm.resolved_ms, alarm.resolved_ms + 1)
    assert (alarm.alarm_id in ids) is not old_alarms


def test_alarms_that_have_not_happened_yet_are_not_sent(healthy: Client) -> None:
    assert alarm_ids(healthy, NOW_MS + 1, NOW_MS + 3_600_000) == []


def test_a_garbled_unresolved_only_is_answered_400(healthy: Client) -> None:
    assert healthy.get("/alarms", **LAST_MINUTE, unresolved_only="maybe").status_code == 400


def test_the_demo_fleet_has_one_vehicle_for_each_fault_after_a_healthy_one() -> None:
    specs = demo_specs(8)
    assert specs[0].name == "Truck-01"
    assert specs[0].faults == specs[7].faults == HEALTHY
    assert specs[1].faults.timeout_every is not None
    assert specs[2].own_key not in (None, specs[2].key)
    assert specs[3].faults.down is not None
    assert specs[4].offline_since_s == 26 * 3600
    assert specs[5].faults.clock_offset_s == -40
    assert specs[6].faults.commit_delay_s == 3


def test_the_last_vehicles_are_late_on_request_beside_what_else_is_wrong_with_them() -> None:
    specs = demo_specs(7, late=(2, 90))
    assert [spec.faults.lateness.most_s for spec in specs[4:]] == [0, 2, 90]
    assert (specs[5].faults.clock_offset_s, specs[6].faults.commit_delay_s) == (-40, 3)


def test_a_thousand_vehicles_have_names_and_keys_of_their_own() -> None:
    specs = demo_specs(1000)
    assert len({spec.name for spec in specs}) == len({spec.key for spec in specs}) == 1000
    assert specs == demo_specs(1000)


def test_a_fleet_listens_on_ports_of_its_own_and_stops() -> None:
    fleet = Fleet(demo_fleet(20, with_faults=False))
    with running(fleet):
        addresses = fleet.addresses
        assert len(set(addresses)) == 20
        for spec, (host, port) in zip(demo_specs(20), addresses, strict=True):
            url = f"http://{host}:{port}/status"
            status = requests.get(url, headers={"X-API-Key": spec.key}, timeout=5).json()
            assert status["vehicle_id_hint"] == spec.name
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(addresses[0], timeout=5)


def test_a_fleet_that_cannot_have_a_port_listens_nowhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        base_port = taken.getsockname()[1] - 1
        fleet = Fleet(demo_fleet(2), base_port=base_port)
        with pytest.raises(OSError, match="in use"):
            fleet.start()
    with pytest.raises(RuntimeError, match="not started"):
        fleet.vehicles[0].address  # noqa: B018


def test_gzipped_bodies_are_ordinary_gzip(healthy: Client) -> None:
    head = f"GET /channels HTTP/1.1\r\nX-API-Key: {KEY}\r\nAccept-Encoding: gzip\r\n\r\n"
    body = exchange(healthy, head.encode()).partition(b"\r\n\r\n")[2]
    assert gzip.decompress(body).startswith(b'[{"channel_id":1,')
