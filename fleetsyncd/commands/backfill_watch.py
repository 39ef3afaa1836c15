"""Watch what a daemon does for an operator until it is done: a bar, and what is in its way."""

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import click

from fleetsyncd.cells import cut
from fleetsyncd.commands.group import EXIT_FAILED
from fleetsyncd.commands.tables import table
from fleetsyncd.database import replicas
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.backfills import BackfillStatus, backfill_statuses
from fleetsyncd.database.views.jobs import JobStatus
from fleetsyncd.errors import CommandError
from fleetsyncd.text import age, sanitise

REFRESH_SEC = 1.0
STEPS = 1000
LINE_CELLS = 100
"""A longer text would wrap, and the bar could not be drawn over itself."""
NAMED = 20
"""Vehicles whose obstacles are told in lines before the rest is counted."""
_NOT_BEGUN = "not begun yet: the daemon pulls CATCH_UP_CONCURRENCY vehicles at a time"


@dataclass
class Watch:
    """Watches the backfills of those of the vehicles that have one when it begins."""

    NOUN: ClassVar = "backfill"
    BAR_ON_STDERR: ClassVar = False
    database: Database
    vehicles: Sequence[RegisteredVehicle]
    _statuses: list[JobStatus | None] = field(default_factory=list, kw_only=True)
    """None stands for one that was cancelled."""
    _daemon_runs: bool = field(default=True, kw_only=True)
    _told: dict[str, str] = field(default_factory=dict, kw_only=True)
    """What was last told of a vehicle, or of the daemon, in a line of its own."""
    _versions: dict[UUID, datetime] = field(default_factory=dict, kw_only=True)

    def run(self, wait_sec: float | None) -> int:
        """Show the progress until all are done, `wait_sec` at most; return the exit code."""
        until = None if wait_sec is None else time.monotonic() + wait_sec
        self._read()
        known = zip(self.vehicles, self._statuses, strict=True)
        self.vehicles = [vehicle for vehicle, status in known if status is not None]
        self._statuses = [status for status in self._statuses if status is not None]
        if not self.vehicles:
            raise CommandError(f"no {self.NOUN} is requested: give --from")
        stream = sys.stderr if self.BAR_ON_STDERR else sys.stdout
        with click.progressbar(
            range(STEPS),
            label=self.NOUN,
            item_show_func=lambda _item: self._bar_text(),
            file=stream,
            hidden=self.BAR_ON_STDERR and not stream.isatty(),
        ) as bar:
            while self._open and (until is None or time.monotonic() < until):
                self._tell_changes(on_terminal=stream.isatty())
                bar.update(round(STEPS * self._fraction) - bar.pos)
                rest = REFRESH_SEC if until is None else until - time.monotonic()
                time.sleep(max(0.0, min(REFRESH_SEC, rest)))
                self._read()
            bar.update(round(STEPS * self._fraction) - bar.pos)
        self.tell_outcome(wait_sec)
        whole = all(status is not None and status.is_whole for status in self._statuses)
        return 0 if whole else EXIT_FAILED

    def tell_obstacles(self) -> None:
        """Say what stands in the way of the backfills at present."""
        self._read()
        self._tell_changes(on_terminal=False)

    def read_statuses(self, cursor: Cursor, ids: Collection[UUID]) -> dict[UUID, JobStatus]:
        """Return the status by vehicle."""
        return dict(backfill_statuses(cursor, ids))

    @property
    def _open(self) -> int:
        return sum(status is not None and not status.finished for status in self._statuses)

    @property
    def _fraction(self) -> float:
        done = [1.0 if status is None else status.fraction for status in self._statuses]
        return sum(done) / len(done)

    def _read(self) -> None:
        ids = [vehicle.id for vehicle in self.vehicles]

        def read(cursor: Cursor) -> tuple[dict[UUID, JobStatus], list[replicas.Heartbeat]]:
            return self.read_statuses(cursor, ids), replicas.heartbeats(cursor)

        known, heartbeats = self.database.run(read)
        self._statuses = [known.get(vehicle_id) for vehicle_id in ids]
        self._daemon_runs = any(heartbeat.alive for heartbeat in heartbeats)

    @property
    def _no_daemon(self) -> str:
        return f"no daemon is running: {self.NOUN}s wait for the next one"

    def _obstacles(self) -> Iterator[tuple[str, str]]:
        """Yield the vehicles whose backfill makes no progress, each with the reason."""
        for vehicle, status in zip(self.vehicles, self._statuses, strict=True):
            if status is not None and (obstacle := status.obstacle):
                yield vehicle.name, obstacle

    def _bar_text(self) -> str | None:
        """Return the first reason why a backfill makes no progress at present."""
        if not self._open:
            return None
        if not self._daemon_runs:
            return self._no_daemon
        for name, obstacle in self._obstacles():
            return cut(sanitise(f"{name}: {obstacle}"), LINE_CELLS)
        begun = any(status is not None and status.fraction for status in self._statuses)
        return None if begun else _NOT_BEGUN

    def _tell_changes(self, *, on_terminal: bool) -> None:
        """Say in lines what is new; on a terminal the bar shows what stands in the way."""
        news = dict(self._replaced())
        if not on_terminal and self._open:
            obstacles = dict(self._obstacles())
            if not self._daemon_runs:
                obstacles = {"": self._no_daemon, **obstacles}
            news |= {key: text for key, text in obstacles.items() if self._told.get(key) != text}
            self._told = obstacles
        for number, (name, text) in enumerate(news.items()):
            if number == NAMED:
                click.echo(f"and {len(news) - NAMED} more", err=True)
                break
            click.echo(sanitise(f"[{name}] {text}" if name else text), err=True)

    def _replaced(self) -> Iterator[tuple[str, str]]:
        """Yield the vehicles whose backfill somebody has requested anew since the last look."""
        for vehicle, status in zip(self.vehicles, self._statuses, strict=True):
            if status is None:
                continue
            known = self._versions.setdefault(vehicle.id, status.asked_at)
            if known != status.asked_at:
                self._versions[vehicle.id] = status.asked_at
                yield vehicle.name, f"its {self.NOUN} was requested anew: {status.window}"

    @property
    def _backfills(self) -> list[BackfillStatus | None]:
        return [each if isinstance(each, BackfillStatus) else None for each in self._statuses]

    def tell_outcome(self, wait_sec: float | None) -> None:
        """Print how they ended."""
        header = ["VEHICLE", "BACKFILL", "ROWS ADDED", *(["WAITS FOR"] if self._open else [])]
        lines = [
            [
                vehicle.name,
                "cancelled" if status is None else status.outcome,
                "" if status is None else str(status.rows_added),
                "" if status is None else status.obstacle or "",
            ][: len(header)]
            for vehicle, status in zip(self.vehicles, self._backfills, strict=True)
        ]
        click.echo(table(header, lines))
        if self._open:
            text = f"not done within {age(wait_sec)}: {self._open} backfill(s) stay requested"
            click.echo(f"{text}, and a daemon goes on with them", err=True)
        if any(status is not None and status.gone_sec for status in self._backfills):
            text = "what is gone the vehicle has no longer, or it is older than what is kept"
            click.echo(f"{text}: the journal names the times", err=True)
