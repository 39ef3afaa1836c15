"""A simulated vehicle: the Outbound API over real HTTP/1.1, keep-alive and gzip included.

A request costs little more than writing its rows, so that one process serves a thousand
vehicles. Times are integer milliseconds of the vehicle's own clock unless named otherwise.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from http import HTTPStatus
from urllib.parse import parse_qsl

from gevent import sleep
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import IPPROTO_TCP, TCP_NODELAY, socket

from fleetsyncd.demo import readings, waveforms
from fleetsyncd.demo.commits import Commits
from fleetsyncd.demo.faults import HEALTHY, Faults
from fleetsyncd.demo.http_wire import (
    Params,
    Request,
    await_hang_up,
    flag,
    interval,
    listen,
    read_request,
    response,
    whole_number,
)

DEFAULT_LIMIT = 10_000
MAX_LIMIT = 50_000
SOFTWARE_VERSION = "1.1.0"

_MAX_CONNECTIONS = 64
_IDLE_S = 600.0
_CONFIGURED_AT = "2026-01-01T00:00:00.000Z"


class SimulatedVehicle:
    """One vehicle that has been collecting for `history_s` seconds when it is made.

    A `limit` above 50,000 is taken as 50,000. With `old_alarms` the alarms are filtered by
    `triggered_at` alone. `clock` is the true time in seconds since 1970. From `silent_from_ms` on,
    where given, nothing is measured; alarms go on.
    """

    def __init__(
        self,
        name: str,
        key: str,
        *,
        faults: Faults = HEALTHY,
        channels: int = len(readings.CHANNELS),
        history_s: float = 90 * 86_400.0,
        old_alarms: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.key = key
        self.faults = faults
        self.channels = channels
        self.old_alarms = old_alarms
        self.seed = readings.seed_of(name)
        self.requests = 0
        self.last_request_at: float | None = None
        self._clock = clock
        self._started_at = clock()
        began = self._started_at + faults.clock_offset_s - history_s
        self.history_start_ms = int(max(began, faults.offline_before) * 1000)
        self.silent_from_ms: int | None = None
        self._server: StreamServer | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on; only after `start`."""
        if self._server is None:
            raise RuntimeError(f"{self.name} is not started")
        host, port = self._server.socket.getsockname()[:2]
        return host, port

    @property
    def now_ms(self) -> int:
        """The time by the vehicle's own clock."""
        return int((self._clock() + self.faults.clock_offset_s) * 1000)

    def visible_until_ms(self, now_ms: int) -> int:
        """Return the end (excluded) of what the vehicle has committed by then."""
        return now_ms - int(self.faults.commit_delay_s * 1000) + 1

    def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, on any free port when it is 0; OSError if the port is taken."""
        waveforms.table()  # computed here once, so that no request waits for it
        listener = listen(host, port)
        self._server = StreamServer(listener, self._serve, spawn=Pool(_MAX_CONNECTIONS))
        self._server.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.stop(timeout=0)
            self._server = None

    def answer(self, path: str, query: str, key: str | None) -> tuple[HTTPStatus, bytes]:
        """Return the status and JSON body for a GET with this `X-API-Key`."""
        if key != self.key or self.faults.refuse_key:
            return HTTPStatus.UNAUTHORIZED, b'{"error":"unauthorized"}'
        call = _CALLS.get(path)
        if call is None:
            return HTTPStatus.NOT_FOUND, b'{"error":"not_found"}'
        if path != "/status" and self.faults.is_down(self._clock()):
            return HTTPStatus.SERVICE_UNAVAILABLE, b'{"error":"database_unavailable"}'
        try:
            body = call(self, dict(parse_qsl(query, keep_blank_values=True)), self.now_ms)
        except ValueError as error:
            detail = {"error": "invalid_params", "detail": str(error)}
            return HTTPStatus.BAD_REQUEST, _dumps(detail).encode()
        return HTTPStatus.OK, body.encode()

    def _status(self, _params: Params, now_ms: int) -> str:
        is_up = not self.faults.is_down(self._clock())
        newest = self._commits(now_ms).newest_ms() if is_up else None
        return _dumps(
            {
                "vehicle_id_hint": self.name,
                "software_version": SOFTWARE_VERSION,
                "uptime_sec": int(self._clock() - self._started_at),
                "collector_running": True,
                "agent_running": True,
                "db_ok": is_up,
                "last_measurement_at": None if newest is None else readings.iso(newest),
            }
        )

    def _channels(self, _params: Params, _now_ms: int) -> str:
        return _channels_json(self.channels)

    def _data(self, params: Params, now_ms: int) -> str:
        start, end = interval(params)
        limit = min(whole_number(params, "limit", least=1) or DEFAULT_LIMIT, MAX_LIMIT)
        page = self._commits(now_ms).page(start, end, limit, whole_number(params, "channel_id"))
        return (
            f'{{"from":"{readings.iso(start)}","to":"{readings.iso(end)}","count":{page.count},'
            f'"truncated":{"true" if page.truncated else "false"},"rows":[{page.json}]}}'
        )

    def _latest(self, _params: Params, now_ms: int) -> str:
        return f"[{self._commits(now_ms).latest()}]"

    def _alarms(self, params: Params, now_ms: int) -> str:
        start, end = interval(params)
        unresolved_only = flag(params, "unresolved_only")
        until = self.visible_until_ms(now_ms)
        end = min(end, until)
        reach = 0 if self.old_alarms else readings.MAX_ALARM_MS
        since = max(start - reach, self.history_start_ms)
        alarms = (
            alarm
            for alarm in readings.alarms(self.seed, since, end, channels=self.channels)
            if alarm.triggered_ms >= start or start <= alarm.resolved_ms < end
        )
        return _dumps(
            [
                _alarm_object(alarm, until)
                for alarm in alarms
                if not (unresolved_only and alarm.resolved_ms < until)
            ]
        )

    def _commits(self, now_ms: int) -> Commits:
        until = self.visible_until_ms(now_ms)
        return Commits(
            self.seed,
            self.channels,
            self.faults.lateness,
            until - 1,
            self.history_start_ms,
            until if self.silent_from_ms is None else min(until, self.silent_from_ms),
        )

    def _serve(self, connection: socket, _address: object) -> None:
        try:
            connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            connection.settimeout(_IDLE_S)
            received = bytearray()
            while self._exchange(connection, received):
                pass
        except OSError:
            # The client went away or fell silent: normal on a mobile link.
            return

    def _exchange(self, connection: socket, received: bytearray) -> bool:
        """Answer one request; False when the connection is to be closed."""
        request = read_request(connection, received)
        if request is None:
            return False
        self.requests += 1
        self.last_request_at = now = self._clock()
        if hanging_s := self.faults.hangs_for(now):
            await_hang_up(connection, hanging_s)
            return False
        if self.faults.latency_s:
            sleep(self.faults.latency_s)
        status, body = self._reply(request)
        date = self._clock() + self.faults.clock_offset_s
        connection.sendall(response(status, body, request, date))
        return request.keep_alive

    def _reply(self, request: Request) -> tuple[HTTPStatus, bytes]:
        if request.refusal is not None:
            return request.refusal, b'{"error":"unreadable_request"}'
        if request.method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, b'{"error":"method_not_allowed"}'
        path, _, query = request.target.partition("?")
        return self.answer(path, query, request.headers.get("x-api-key"))


def _alarm_object(alarm: readings.Alarm, until_ms: int) -> dict[str, object]:
    """Return the alarm as the vehicle knows it: an end still to come is null."""
    return {
        "alarm_id": alarm.alarm_id,
        "channel_id": alarm.channel_id,
        "severity": alarm.severity,
        "message": alarm.message,
        "triggered_at": readings.iso(alarm.triggered_ms),
        "resolved_at": readings.iso(alarm.resolved_ms) if alarm.resolved_ms < until_ms else None,
    }


@cache
def _channels_json(count: int) -> str:
    extra = {"enabled": True, "updated_at": _CONFIGURED_AT}
    return _dumps([asdict(channel) | extra for channel in readings.CHANNELS[:count]])


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_CALLS: Mapping[str, Callable[[SimulatedVehicle, Params, int], str]] = {
    "/status": SimulatedVehicle._status,
    "/channels": SimulatedVehicle._channels,
    "/data": SimulatedVehicle._data,
    "/data/latest": SimulatedVehicle._latest,
    "/alarms": SimulatedVehicle._alarms,
}
