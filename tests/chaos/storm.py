"""One storm: an installation, faults of every kind at once, a quiet cycle, and what is left."""

import time
from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from fleetsyncd.database import backfills
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.database.schema.hidden import layout
from fleetsyncd.demo import checker, databases
from fleetsyncd.demo.checker import Comparison, Expectation
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import Server
from fleetsyncd.errors import INTERNAL_ERROR
from fleetsyncd.models import Window
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.times import floor_ms, utc_now
from tests import hidden
from tests.chaos import audit, kinds, quiet
from tests.chaos.audit import Truth
from tests.chaos.converting import Conversion
from tests.chaos.daemons import DaemonFaults
from tests.chaos.fleet import register, running_road
from tests.chaos.nodes import ClusterFaults
from tests.chaos.road import BACKFILLED
from tests.chaos.server import DatabaseFaults

DATABASE = "storm"
BACKFILL = timedelta(hours=2)
BEFORE = timedelta(minutes=3)
"""What was stamped so long before a storm was committed before it, whatever the lateness."""
_TEXTS = """
SELECT (SELECT count(*) FROM public.sync_journal WHERE error_msg LIKE %(key)s)
     + (SELECT count(*) FROM fleetsync.quarantine WHERE raw LIKE %(key)s OR reason LIKE %(key)s)
     + (SELECT count(*) FROM public.channel_config WHERE name LIKE %(key)s OR unit LIKE %(key)s)
     + (SELECT count(*) FROM public.alarms_log WHERE message LIKE %(key)s)
     + (SELECT count(*) FROM fleetsync.vehicle_state WHERE last_error LIKE %(key)s)
     + (SELECT count(*) FROM public.vehicles WHERE software_version LIKE %(key)s)
"""


@dataclass(frozen=True, slots=True)
class Weather:
    """How a storm is to be: everything that repeats it, but for the operating system's timing."""

    seed: int = 7
    minutes: float = 3.0
    vehicles: int = 10
    kinds: tuple[str, ...] = kinds.KINDS
    daemon_sec: float = 3.0
    """Mean time between faults of the daemon, and of the database."""
    database_sec: float = 10.0
    late: bool = False
    """Whether vehicles commit rows late, and fall silent in the end until all are found."""
    hidden_table: bool = False
    """Whether measurements are in a hidden table behind a view; in a hypertable, where the server
    has TimescaleDB."""
    converts: bool = False
    """Whether they are put there in the middle of the storm."""
    citus: bool = False
    """Whether measurements are distributed over a Citus cluster."""
    cluster_sec: float = 8.0
    """Mean time between faults of the cluster."""


@dataclass(slots=True)
class Outcome:
    """What happened, and what was wrong in the end."""

    weather: Weather
    happened: Counter[str]
    canary_met: int
    findings: Comparison
    truth: Truth
    crashes: list[str]
    keys_leaked: int
    journal: dict[str, int] = field(default_factory=dict)
    quarantined: int = 0
    settled_sec: float = 0.0
    late_sec: float = 0.0
    """From when the vehicles fell silent until no row was missing."""
    prepared_left: int = 0
    """Transactions that nodes of a cluster have prepared and never ended."""

    @property
    def clean(self) -> bool:
        """Whether everything that must be zero is."""
        wrong = self.crashes or self.keys_leaked or self.canary_met or self.prepared_left
        return (
            self.findings.clean and not self.findings.lost_late and self.truth.clean and not wrong
        )


def storm(weather: Weather, folder: Path) -> Outcome:
    """Run one storm with its files in `folder`, to the end of its quiet cycle."""
    with ExitStack() as stack:
        server = stack.enter_context(databases.serving(folder, DATABASE, citus=weather.citus))
        if weather.hidden_table or weather.converts:
            server = hidden.extend(server, DATABASE, folder / "postgres", durable=True)
        if weather.hidden_table:
            hidden.hide(server, DATABASE, hidden.short_chunks)
        audit.install(server, DATABASE, _noted_table(weather))
        database = Database(DatabaseSettings(server.parameters(DATABASE)))
        stack.callback(database.close)
        road = stack.enter_context(running_road(_wanted(weather)))
        now = utc_now()
        expectations = database.run(lambda c: [register(c, known, now) for known in road.vehicles])
        database.run(partial(_ask_for_backfills, expectations[-BACKFILLED:]))
        daemons = DaemonFaults(folder, server.environment(DATABASE))
        stack.callback(daemons.kill)
        if weather.converts:
            converted = Conversion(server, DATABASE, weather.minutes * 60 / 3)
            converted.begin()
        striking = Lock()
        struck = DatabaseFaults(server, DATABASE, folder / "postgres", striking)
        if "go-back" in weather.kinds:
            struck.back_up()
        nodes = _nodes(server, striking)
        _rage(weather, daemons, struck, nodes)
        happened, canary_met = road.calm()
        if weather.converts:
            converted.finish()
            happened["convert"] += converted.tries
        prepared_left = sum(each.settle() for each in nodes)
        happened += sum((each.counts for each in nodes), struck.counts)
        if weather.late:
            silent = road.fall_silent()
            expectations = [replace(expected, silent_from=silent) for expected in expectations]
        settled_sec = late_sec = quiet.settle(database, daemons.tend_for)
        if weather.late:
            late_sec += quiet.await_late_rows(
                database, daemons.tend_for, expectations, now - BEFORE
            )
        daemons.stop()
        lines = daemons.log_lines()
        keys = [known["key"] for known in road.vehicles]
        leaked = sum(key in line for line in lines for key in keys)
        leaked += sum(database.run(partial(_stored_times, key)) for key in keys)
        happened += daemons.counts
        return Outcome(
            weather=weather,
            happened=happened,
            canary_met=canary_met,
            findings=checker.compare(
                database, [_with_backfill(e, expectations) for e in expectations]
            ),
            truth=audit.audit(
                database, lines, struck.forgotten, noted_rows=_noted_table(weather) is not None
            ),
            crashes=daemons.crashes + [line for line in lines if INTERNAL_ERROR in line],
            keys_leaked=leaked,
            journal=database.run(_journal),
            quarantined=database.run(_quarantined),
            settled_sec=settled_sec,
            late_sec=late_sec,
            prepared_left=prepared_left,
        )


def _noted_table(weather: Weather) -> str | None:
    """Return the table on which rows are noted; on a cluster there is none."""
    if weather.citus:
        return None
    return layout.TABLE if weather.hidden_table else layout.VIEW


def _nodes(server: Server, striking: Lock) -> list[ClusterFaults]:
    """Return what strikes the nodes of a cluster; of a server alone nothing does."""
    return [ClusterFaults(server, DATABASE, striking)] if isinstance(server, CitusCluster) else []


def _rage(
    weather: Weather, daemons: DaemonFaults, struck: DatabaseFaults, nodes: list[ClusterFaults]
) -> None:
    """Let daemon, database and nodes be struck for so long, each by its own schedule."""
    began = time.monotonic()
    seconds = weather.minutes * 60
    faults: list[Exception] = []

    def strike(group: str, mean: float, what: DatabaseFaults | ClusterFaults) -> None:
        try:
            for event in kinds.events(weather.seed, group, seconds, mean, weather.kinds):
                time.sleep(max(0.0, began + event.at - time.monotonic()))
                what.strike(event.kind, event.dice)
        except Exception as error:
            faults.append(error)

    schedules: list[tuple[str, float, DatabaseFaults | ClusterFaults]]
    schedules = [("database", weather.database_sec, struck)]
    schedules += [("cluster", weather.cluster_sec, each) for each in nodes]
    threads = [Thread(target=strike, args=schedule, daemon=True) for schedule in schedules]
    for thread in threads:
        thread.start()
    for event in kinds.events(weather.seed, "daemon", seconds, weather.daemon_sec, weather.kinds):
        daemons.tend_for(max(0.0, began + event.at - time.monotonic()))
        if time.monotonic() > began + seconds:
            break  # some faults take longer than their schedule allows
        daemons.strike(event.kind, event.dice)
    daemons.tend_for(max(0.0, began + seconds - time.monotonic()))
    while any(thread.is_alive() for thread in threads):
        daemons.tend_for(1.0)
    if faults:
        raise faults[0]


def _ask_for_backfills(expectations: Collection[Expectation], cursor: Cursor) -> None:
    for expected in expectations:
        window = Window(expected.start - BACKFILL, expected.start)
        backfills.request_backfill(cursor, expected.vehicle_id, window)


def _with_backfill(expected: Expectation, all_: list[Expectation]) -> Expectation:
    """Let what a backfill brought be expected as well; its alarms are not promised."""
    if expected not in all_[-BACKFILLED:]:
        return expected
    start = floor_ms(expected.start) - BACKFILL
    return replace(expected, start=start, alarms_from=expected.start)


def _stored_times(key: str, cursor: Cursor) -> int:
    cursor.execute(_TEXTS, {"key": f"%{key}%"})
    return int(cursor.fetchall()[0][0])


def _journal(cursor: Cursor) -> dict[str, int]:
    cursor.execute("SELECT status, count(*) FROM public.sync_journal GROUP BY 1 ORDER BY 1")
    return {str(status): int(count) for status, count in cursor.fetchall()}


def _quarantined(cursor: Cursor) -> int:
    cursor.execute("SELECT count(*) FROM fleetsync.quarantine")
    return int(cursor.fetchall()[0][0])


def _wanted(weather: Weather) -> dict[str, Any]:
    return {
        "seed": weather.seed,
        "kinds": weather.kinds,
        "vehicles": weather.vehicles,
        "scale": min(1.0, weather.minutes / 8),
        "late_seconds": weather.minutes * 60 if weather.late else 0.0,
    }
