"""Plays scenes with the pool in a green process, and prints as JSON what each came to.

A program of its own, since a process can be made green only once, before anything is imported.
"""

from fleetsyncd import green

green.patch()

import json  # noqa: E402  nothing may be imported before the patch
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from contextlib import closing, contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from types import ModuleType  # noqa: E402

import gevent  # noqa: E402

from fleetsyncd.database import connections, pool  # noqa: E402
from fleetsyncd.database.pool import Cursor, Database  # noqa: E402
from fleetsyncd.errors import DatabaseError  # noqa: E402
from fleetsyncd.settings import DatabaseSettings  # noqa: E402
from tests import freezing  # noqa: E402

TICK_SEC = 0.01
SHORT_SEC = 0.3
LONG_SEC = 30
Scene = dict[str, object]


class Stage:
    """What every scene plays with: the server's parameters, and a clock that other greenlets tick.

    `ticks` counts how often another greenlet got its turn.
    """

    def __init__(self, parameters: dict[str, str]) -> None:
        self._parameters = parameters
        self.ticks = 0

    @property
    def host(self) -> str:
        """The folder of the server's socket."""
        return self._parameters["host"]

    def opened(
        self, size: int, transaction_sec: float = pool.TRANSACTION_SEC, **parameters: str
    ) -> closing[Database]:
        """Return a database of at most `size` connections, closed at the end of a `with`."""
        settings = DatabaseSettings({**self._parameters, **parameters}, size)
        database = Database(settings, deadline=green.deadline, transaction_sec=transaction_sec)
        return closing(database)

    def tick(self) -> None:
        """Count for ever."""
        while True:
            gevent.sleep(TICK_SEC)
            self.ticks += 1


@contextmanager
def shortened(module: ModuleType, deadline: str) -> Iterator[None]:
    """Make one of a module's deadlines short."""
    usual = getattr(module, deadline)
    setattr(module, deadline, SHORT_SEC)
    yield
    setattr(module, deadline, usual)


def pid(cursor: Cursor, seconds: float = 0) -> int:
    """Return the backend's process id after some seconds in the server."""
    cursor.execute("SELECT pg_backend_pid(), pg_sleep(%s)", (seconds,))
    row = cursor.fetchone()
    return int(row[0]) if row else 0


def slow(database: Database, seconds: float) -> int:
    """Run one statement that takes some seconds."""
    return database.run(lambda cursor: pid(cursor, seconds))


def end(database: Database, *pids: int) -> None:
    """Terminate these backends and wait until they are gone."""

    def work(cursor: Cursor) -> None:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) pid", (list(pids),))

    database.run(work)


def fault_of(database: Database, seconds: float) -> str:
    """Return the error that a statement of some seconds ends in."""
    try:
        slow(database, seconds)
    except DatabaseError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def many_share_few(stage: Stage) -> Scene:
    """Let 40 greenlets work with three connections."""
    with stage.opened(3) as database:
        jobs = [gevent.spawn(slow, database, 0.01) for _ in range(40)]
        gevent.joinall(jobs, timeout=10)
        return {"done": sum(job.successful() for job in jobs), "pids": len({j.value for j in jobs})}


def killed_in_a_query(stage: Stage) -> Scene:
    """Kill greenlets that wait for an answer, and one that waits for a connection."""
    with stage.opened(2) as database:
        before = [job.get() for job in [gevent.spawn(slow, database, 0.05) for _ in range(2)]]
        jobs = [gevent.spawn(slow, database, LONG_SEC) for _ in range(3)]
        gevent.sleep(0.05)
        gevent.killall(jobs, timeout=5)
        after = [job.get() for job in [gevent.spawn(slow, database, 0.05) for _ in range(2)]]
        return {"used again": sorted(set(before) & set(after)), "works": len(set(after))}


def mute_server(stage: Stage) -> Scene:
    """Connect to a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        database = stage.opened(1, host="localhost", port=str(port))
        with database as opened, shortened(connections, "CONNECT_SEC"):
            return {"fault": fault_of(opened, 0)}


def mute_first_host(stage: Stage) -> Scene:
    """Connect where the first of two hosts accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        hosts = f"127.0.0.1,{stage.host}"
        database = stage.opened(1, host=hosts, port=f"{mute.getsockname()[1]},5432")
        with database as opened, shortened(connections, "CONNECT_SEC"):
            return {"works": slow(opened, 0) > 0}


def two_hosts_that_refuse(stage: Stage) -> Scene:
    """Connect to two hosts of which none has a server."""
    with stage.opened(1, host="127.0.0.1,127.0.0.2", port="1,1") as database:
        return {"fault": fault_of(database, 0)}


def sleeping_statement(stage: Stage) -> Scene:
    """Wait for a statement that takes its time."""
    with stage.opened(1) as database:
        slow(database, 0.3)
    return {}


def hanging_statement(stage: Stage) -> Scene:
    """Let a statement hang beyond the deadline of its transaction."""
    with stage.opened(1, transaction_sec=SHORT_SEC) as database:
        error = fault_of(database, LONG_SEC)
        return {"fault": error, "works": slow(database, 0) > 0}


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Let these backends do nothing, nor the server that would start others."""
    stat = Path(f"/proc/{pids[0]}/stat").read_text(encoding="ascii", errors="replace")
    parent = int(stat.rpartition(")")[2].split()[1])
    with freezing.frozen((parent, *pids)):
        yield


def frozen_coordinator(stage: Stage) -> Scene:
    """Freeze a cluster's coordinator while several connections to it are idle."""
    with stage.opened(6, transaction_sec=SHORT_SEC) as database:
        database._on_cluster = True
        pids = [job.get() for job in [gevent.spawn(slow, database, 0.05) for _ in range(6)]]
        with frozen(pids), shortened(connections, "CONNECT_SEC"):
            error = fault_of(database, 0)
        left = len(database._idle)
        return {"fault": error, "left": left, "new": slow(database, 0) not in pids}


def busy_pool(stage: Stage) -> Scene:
    """Wait for a connection longer than allowed."""
    with stage.opened(1) as database:
        holder = gevent.spawn(slow, database, LONG_SEC)
        gevent.sleep(0.05)
        with shortened(pool, "WAIT_SEC"):
            error = fault_of(database, 0)
        holder.kill()
        return {"fault": error, "works": slow(database, 0) > 0}


def ended_while_idle(stage: Stage) -> Scene:
    """Let the server end every idle connection."""
    with stage.opened(6) as database, stage.opened(1) as other:
        pids = [job.get() for job in [gevent.spawn(slow, database, 0.05) for _ in range(6)]]
        end(other, *pids)
        return {"new": slow(database, 0) not in pids}


def ended_in_a_query(stage: Stage) -> Scene:
    """Let the server end a connection while its answer is awaited."""
    with stage.opened(1) as database, stage.opened(1) as other:
        pids: list[int] = []

        def work(cursor: Cursor) -> None:
            pids.append(pid(cursor))
            pid(cursor, LONG_SEC if len(pids) == 1 else 0)

        job = gevent.spawn(database.run, work)
        while not pids:
            gevent.sleep(TICK_SEC)
        end(other, pids[0])
        job.get(timeout=5)
        return {"attempts": len(pids)}


SCENES = {
    scene.__name__: scene
    for scene in (
        many_share_few,
        killed_in_a_query,
        mute_server,
        mute_first_host,
        two_hosts_that_refuse,
        two_hosts_that_refuse,
        sleeping_statement,
        hanging_statement,
        frozen_coordinator,
        busy_pool,
        ended_while_idle,
        ended_in_a_query,
    )
}


def main() -> None:
    """Play every scene while another greenlet ticks."""
    stage = Stage(json.loads(sys.argv[1]))
    ticking = gevent.spawn(stage.tick)
    outcomes = {}
    for name, scene in SCENES.items():
        before, began = stage.ticks, time.monotonic()
        result = scene(stage)
        outcomes[name] = {
            **result,
            "ticks": stage.ticks - before,
            "seconds": time.monotonic() - began,
        }
    ticking.kill()
    sys.stdout.write(json.dumps(outcomes))


if __name__ == "__main__":
    main()
