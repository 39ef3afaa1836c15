"""A vehicle's API as somebody else would write it: the standard library's server over SQLite."""

import gzip
import json
import re
import sqlite3
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "foreign-key-0815"
SCHEMA = """
CREATE TABLE rows (channel_id INTEGER, value REAL, time TEXT);
CREATE TABLE alarms (alarm_id INTEGER, channel_id INTEGER, severity TEXT, message TEXT,
                     triggered_at TEXT, resolved_at TEXT);
"""


def text(moment: datetime) -> str:
    """Return a time as the API writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class ForeignVehicle(ThreadingHTTPServer):
    """Keeps its history in SQLite and answers only `limit` rows at a time."""

    daemon_threads = True

    def __init__(self, limit: int, handler: "type[Handler]") -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.limit = limit
        self.retry_after: str | None = None
        """If set, every call is refused with it."""
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.history = sqlite3.connect(":memory:", check_same_thread=False)
        self.history.executescript(SCHEMA)

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Run a statement on the history."""
        with self.lock:
            return self.history.execute(statement, arguments).fetchall()

    def record(self, start: datetime, seconds: int, channels: int) -> None:
        """Measure every channel once a second; every seventh value is null."""
        with self.lock:
            self.history.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                [
                    (channel, None if (at + channel) % 7 == 0 else at / (channel + 1), moment)
                    for at in range(seconds)
                    for moment in [text(start + timedelta(seconds=at, milliseconds=at % 1000))]
                    for channel in range(channels)
                ],
            )


class Handler(BaseHTTPRequestHandler):
    """The calls of the Outbound API."""

    protocol_version = "HTTP/1.1"
    server: ForeignVehicle

    def do_GET(self) -> None:
        """Answer one call."""
        url = urlsplit(self.path)
        self.server.asked.append(url.path)
        if self.server.retry_after is not None:
            return self._send(429, {"error": "busy"})
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.headers.get("X-API-Key") != KEY:
            return self._send(401, {"error": "unauthorized"})
        if url.path in ("/data", "/alarms") and query["from"] >= query["to"]:
            return self._send(400, {"error": "invalid_params", "detail": "from >= to"})
        answer = getattr(self, "_" + url.path.strip("/"))
        return self._send(200, answer(query))

    def _status(self, _asked: dict[str, str]) -> object:
        return {
            "vehicle_id_hint": "foreign",
            "software_version": "9.9.9",
            "uptime_sec": 5,
            "collector_running": True,
            "agent_running": True,
            "db_ok": True,
            "last_measurement_at": None,
        }

    def _channels(self, _asked: dict[str, str]) -> object:
        common = {"raw_min": 4.0, "raw_max": 20.0, "phys_min": 0.0, "phys_max": 1.5}
        rest = {"signal_type": "analog_420", "enabled": True, "updated_at": "2026-01-01T00:00:00Z"}
        return [
            {"channel_id": number, "name": f"sensor {number}", "unit": None, **common, **rest}
            for number in range(18)
        ]

    def _data(self, asked: dict[str, str]) -> object:
        limit = min(int(asked.get("limit", 10_000)), self.server.limit)
        found = self.server.query(
            "SELECT channel_id, value, time FROM rows WHERE time >= ? AND time < ?"
            " ORDER BY time LIMIT ?",
            asked["from"],
            asked["to"],
            limit + 1,
        )
        rows = [dict(zip(("channel_id", "value", "time"), r, strict=True)) for r in found[:limit]]
        return {
            "from": asked["from"],
            "to": asked["to"],
            "count": len(rows),
            "truncated": len(found) > limit,
            "rows": rows,
        }

    def _alarms(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        names = ("alarm_id", "channel_id", "severity", "message", "triggered_at", "resolved_at")
        rows = self.server.query(
            "SELECT * FROM alarms WHERE triggered_at >= ? AND triggered_at < ?",
            asked["from"],
            asked["to"],
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _send(self, status: int, answer: object) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if len(body) > 500 and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if self.server.retry_after is not None:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class OddHandler(Handler):
    """Answers in every way whose meaning is clear though it is not the API's."""

    def _status(self, _asked: dict[str, str]) -> object:
        return {"software_version": None, "db_ok": None}

    def _channels(self, _asked: dict[str, str]) -> object:
        return [{"channel_id": float(number), "name": f"sensor {number}"} for number in range(18)]

    def _alarms(self, asked: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {**alarm, "channel_id": None, "alarm_id": 7.0, "severity": 3}
            for alarm in super()._alarms(asked)
        ]

    def _send(self, status: int, answer: object) -> None:
        written = re.sub(r'("channel_id": \d+)(?=[,}])', r"\1.0", json.dumps(answer))
        written = re.sub(r"(\d\.\d\d\d)Z", r"\1+00", written)
        body = BOM_UTF8 + written.encode()
        self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </data>\r\n\r\n")
        self.send_response(status)
        is_long = len(body) > 500
        if is_long:
            body = gzip.compress(body)
        self.send_header("Content-Encoding", "x-gzip" if is_long else "")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(limit: int = 10_000, handler: type[Handler] = Handler) -> Iterator[ForeignVehicle]:
    """Serve a vehicle from a thread."""
    vehicle = ForeignVehicle(limit, handler)
    thread = threading.Thread(target=vehicle.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield vehicle
    finally:
        vehicle.shutdown()
        thread.join()
        vehicle.server_close()
        vehicle.history.close()
