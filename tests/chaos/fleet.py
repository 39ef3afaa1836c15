"""The vehicles of a storm: their process, and their registration."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fleetsyncd.database.pool import Cursor
from fleetsyncd.demo.checker import Expectation
from fleetsyncd.demo.lateness import Lateness


def register(cursor: Cursor, known: dict[str, Any], now: datetime) -> Expectation:
    """Register a vehicle as last pulled when its plan says; return what must be stored of it."""
    start = now - timedelta(seconds=known["gap_sec"])
    cursor.execute(
        "INSERT INTO public.vehicles (name, vpn_ip, api_port, api_key, last_sync_at)"
        " VALUES (%s, %s::inet, %s, %s, %s) RETURNING id::text",
        (known["name"], known["host"], known["port"], known["key"], start),
    )
    vehicle_id = UUID(cursor.fetchall()[0][0])
    history = datetime.fromtimestamp(known["history_ms"] / 1000, UTC)
    return Expectation(
        vehicle_id,
        known["name"],
        max(start, history),
        timedelta(seconds=known["commit_delay_sec"]),
        known["channels"],
        lateness=Lateness(**known["lateness"]),
    )


class Road:
    """The vehicles' process, seen from here; `vehicles` are its plans with their addresses."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.vehicles: list[dict[str, Any]] = self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def _order(self, letter: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(letter)
        self._process.stdin.flush()
        return self._read()

    def calm(self) -> tuple[Counter[str], int]:
        """End the storm; return the faults that happened, and what the canary has met."""
        answer = self._order("c")
        return Counter(answer["happened"]), answer["canary"]

    def fall_silent(self) -> datetime:
        """Let the vehicles measure nothing any more; return since when."""
        return datetime.fromtimestamp(self._order("s") / 1000, UTC)


@contextmanager
def running_road(wanted: Mapping[str, Any]) -> Iterator[Road]:
    """Run the vehicles' process; end it with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.road", json.dumps(wanted)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Road(process)
        finally:
            process.kill()
