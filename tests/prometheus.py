"""A real Prometheus with our rules, made faster, and a record of the words that it sends."""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

JOB = "fleetsyncd"
PROMTOOL = shutil.which("promtool")
# Prometheus is no Python package, and its 100 MB are not worth installing for one file of rules:
# whatever is installed, every expression is parsed, and every alert must have its cases.
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or PROMTOOL is None, reason="Prometheus is not installed"
)
READY_SEC = 30.0
LOOK_SEC = 0.25
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FOR = re.compile(r"(\bfor: )(\d+)([smhd])\b")
_RANGE = re.compile(r"(\[|offset )(\d+)([smhd])")
_PLAIN_SECONDS = re.compile(r"(lag_seconds:min > |\+ )(\d+)\b")


def faster(rules: str, factor: float, shortest_range: float) -> str:
    """Return the rules with every duration divided; ranges stay long enough for two scrapes."""

    def divided(match: re.Match[str], least: float) -> str:
        seconds = max(int(match[2]) * _SECONDS[match[3]] / factor, least)
        return f"{match[1]}{round(seconds * 1000)}ms"

    rules = _FOR.sub(lambda match: divided(match, 0), rules)
    rules = _RANGE.sub(lambda match: divided(match, shortest_range), rules)
    return _PLAIN_SECONDS.sub(lambda match: f"{match[1]}{int(match[2]) / factor:g}", rules)


@dataclass(frozen=True, slots=True)
class Word:
    """One word that an operator gets: an alert fires, or is resolved."""

    at: float
    """Seconds since the record began."""
    alert: str
    of: str
    """The vehicle's id or the daemon; empty for the installation."""
    fires: bool


@dataclass
class Record:
    """The words that were sent so far."""

    begun: float = field(default_factory=time.monotonic)
    words: list[Word] = field(default_factory=list)
    firing: set[tuple[str, str]] = field(default_factory=set)

    def note(self, alerts: list[dict[str, Any]]) -> None:
        """Note what has changed in the list of active alerts."""
        current = {
            (labels["alertname"], labels.get("vehicle_id", labels.get("instance", "")))
            for labels in (alert["labels"] for alert in alerts if alert["state"] == "firing")
        }
        at = time.monotonic() - self.begun
        self.words += [Word(at, *key, fires=False) for key in sorted(self.firing - current)]
        self.words += [Word(at, *key, fires=True) for key in sorted(current - self.firing)]
        self.firing = current


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    port: int
    record: Record

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        asked = urllib.parse.quote(expression)
        result: list[dict[str, Any]] = self._ask(f"/api/v1/query?query={asked}")["result"]
        return result

    def summary(self, alert: str, of: str = "") -> str:
        """Return the summary of an active alert."""
        for active in self._ask("/api/v1/alerts")["alerts"]:
            if active["labels"]["alertname"] == alert and of in active["labels"].values():
                return str(active["annotations"]["summary"])
        raise LookupError(alert)

    def until(self, alert: str, of: str = "", *, fires: bool = True, within: float = 30) -> float:
        """Wait until an alert fires, or does not; return how many seconds that took."""
        begun = time.monotonic()
        while ((alert, of) in self.record.firing) is not fires:
            if time.monotonic() - begun > within:
                wanted = "fire" if fires else "end"
                raise TimeoutError(f"{alert} {of} does not {wanted}: {self.record.firing}")
            time.sleep(LOOK_SEC)
        return time.monotonic() - begun

    def look(self, ended: threading.Event) -> None:
        """Record the active alerts until `ended`."""
        while not ended.wait(LOOK_SEC):
            with suppress(OSError):
                self.record.note(self._ask("/api/v1/alerts")["alerts"])


@contextmanager
def running(
    folder: Path, rules: str, port: int, targets: Sequence[int], scrape_sec: float
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes these ports of 127.0.0.1, and record its words."""
    (folder / "rules.yaml").write_text(rules)
    step = f"{round(scrape_sec * 1000)}ms"
    scraped = [f"127.0.0.1:{target}" for target in targets]
    configuration = {
        "global": {"scrape_interval": step, "scrape_timeout": step, "evaluation_interval": step},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": scraped}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    prometheus, ended = Prometheus(port, Record()), threading.Event()
    looking = threading.Thread(target=prometheus.look, args=(ended,))
    try:
        _await_ready(port)
        looking.start()
        yield prometheus
    finally:
        ended.set()
        process.terminate()
        process.wait()
        if looking.ident is not None:
            looking.join()


def _await_ready(port: int) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < READY_SEC:
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=1).close()
            return
        time.sleep(LOOK_SEC)
    raise TimeoutError("Prometheus is not ready")
