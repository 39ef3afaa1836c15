"""Faults of a Citus cluster: workers that are gone, a coordinator lost amid a commit, moved shards.

Faults of the coordinator alone are those of any server, and in `server.py`.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from random import Random
from threading import Lock, Thread

import psutil
import psycopg2
from psycopg2 import extensions

from fleetsyncd.demo import clusters
from fleetsyncd.demo.citus_cluster import CitusCluster
from fleetsyncd.demo.embedded import APP, Server
from tests.chaos.server import await_connections, start

ATTEMPTS = 3
"""How often a kill amid a commit is tried: the moment may be missed."""
PREPARED_SEC = 3.0
RECOVERY_SEC = 60.0
_PLACED = """
SELECT s.shardid, n.nodename FROM public.vehicles v
JOIN pg_dist_shard s
  ON s.shardid = get_shard_id_for_distribution_column('public.measurements', v.id)
JOIN pg_dist_placement p USING (shardid) JOIN pg_dist_node n USING (groupid) ORDER BY v.name
"""
_MOVE = "SELECT citus_move_shard_placement(%s, %s, 5432, %s, 5432, %s)"
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"


class ClusterFaults:
    """Lets faults befall the nodes; at most one thread strikes the coordinator at a time."""

    def __init__(self, cluster: CitusCluster, database: str, striking: Lock) -> None:
        self._cluster = cluster
        self._database = database
        self._striking = striking
        self._moves: list[Thread] = []
        self.counts: Counter[str] = Counter()
        self._kinds: Mapping[str, Callable[[Random], bool]] = {
            "worker-restart": lambda dice: self._interrupt("fast", dice),
            "worker-crash": lambda dice: self._interrupt("immediate", dice),
            "worker-kill": self._kill_worker,
            "worker-freeze": self._freeze_worker,
            "worker-terminate": self._terminate,
            "move-shard": self._begin_move,
            "commit-cut": self._cut_commit,
        }

    def strike(self, kind: str, dice: Random) -> None:
        """Let one fault happen, and count it if it found something to strike."""
        if self._kinds[kind](dice):
            self.counts[kind] += 1

    def settle(self) -> int:
        """Wait for the moves and the recovery; return how many prepared transactions are left."""
        for move in self._moves:
            move.join()
        ends = time.monotonic() + RECOVERY_SEC
        while (left := self._prepared()) and time.monotonic() < ends:
            time.sleep(0.5)
        return left

    def _prepared(self) -> int:
        return sum(len(node.query(self._database, _PREPARED)) for node in self._cluster.nodes)

    def _interrupt(self, mode: str, dice: Random) -> bool:
        worker = dice.choice(self._cluster.workers)
        worker.cluster.halt(mode)
        self._bring_back(worker, dice)
        return True

    def _kill_worker(self, dice: Random) -> bool:
        worker = dice.choice(self._cluster.workers)
        clusters.kill(worker.cluster)
        self._bring_back(worker, dice)
        return True

    def _bring_back(self, worker: Server, dice: Random) -> None:
        time.sleep(dice.uniform(0.0, 5.0))
        start(worker)
        await_connections(worker)

    def _freeze_worker(self, dice: Random) -> bool:
        """Stop a worker as a machine without a network is: its connections stay open."""
        postmaster = psutil.Process(dice.choice(self._cluster.workers).cluster.pid)
        frozen = [postmaster, *postmaster.children()]
        _signal(frozen, signal.SIGSTOP)
        time.sleep(dice.uniform(0.5, 4.0))
        _signal(frozen, signal.SIGCONT)
        return True

    def _terminate(self, dice: Random) -> bool:
        """End the coordinator's sessions on a worker."""
        worker = dice.choice(self._cluster.workers)
        ended = worker.query(
            self._database,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'citus_internal%%' AND usename = %s",
            APP,
        )
        return bool(ended)

    def _begin_move(self, dice: Random) -> bool:
        """Begin a move in a thread of its own, so that other faults strike amid it.

        It is counted once it is done.
        """
        moving = Thread(target=self._move, args=(dice,), daemon=True)
        moving.start()
        self._moves.append(moving)
        return False

    def _move(self, dice: Random) -> None:
        mode = dice.choice(("force_logical", "block_writes"))
        # Whatever is struck meanwhile may end it; what it leaves behind is Citus's to remove.
        with suppress(psycopg2.Error):
            shard, source = dice.choice(self._cluster.query(self._database, _PLACED))
            others = [each.host for each in self._cluster.workers if each.host != source]
            self._cluster.query(self._database, _MOVE, shard, source, dice.choice(others), mode)
            self.counts["move-shard"] += 1

    def _cut_commit(self, dice: Random) -> bool:
        """Kill the coordinator when the workers have prepared and it has not committed yet."""
        with self._striking:
            return any(self._cut_once(dice) for _ in range(ATTEMPTS))

    def _cut_once(self, dice: Random) -> bool:
        """Have a month made, as the daemon does, on all workers at once; it is one that is old."""
        month = f"{dice.randint(2000, 2019)}-{dice.randint(1, 12):02d}-01"
        worker = self._cluster.workers[0]
        with (
            closing(self._cluster.connect(self._database, APP)) as making,
            closing(worker.connect(self._database)) as watching,
        ):
            watching.autocommit = True
            backend = psutil.Process(making.info.backend_pid)
            thread = Thread(target=_make_month, args=(making, month), daemon=True)
            thread.start()
            if _has_prepared(watching, thread):
                _signal([backend], signal.SIGKILL)
                clusters.kill(self._cluster.cluster)
            thread.join()
        start(self._cluster)
        return self._prepared() > 0


def _make_month(making: extensions.connection, month: str) -> None:
    lost = (psycopg2.OperationalError, psycopg2.InterfaceError)
    with suppress(*lost), making, making.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user_role', 'superuser', true)")
        cursor.execute("SELECT fleetsync.ensure_month(%s)", (month,))


def _has_prepared(watching: extensions.connection, thread: Thread) -> bool:
    """Watch until a transaction is prepared; False if the thread ends, or nothing is for long."""
    ends = time.monotonic() + PREPARED_SEC
    with watching.cursor() as cursor:
        while thread.is_alive() and time.monotonic() < ends:
            cursor.execute(_PREPARED)
            if cursor.fetchone():
                return True
    return False


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to processes, which may have ended meanwhile."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
