"""How far the tidying of a month is, and who is in its way: told while it runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleetsyncd.database.blocking import BLOCKING, named
from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.errors import DatabaseError

REPORT_SEC = 30.0
_PROGRESS = """
SELECT phase, CASE WHEN blocks_total > 0 THEN 100.0 * blocks_done / blocks_total END
FROM pg_stat_progress_create_index WHERE pid = %s
"""


class Progress:
    """Watches the server's process `pid`, through the pool."""

    def __init__(
        self,
        database: Database,
        name: str,
        pid: int,
        tell: Callable[[str], object],
        report_sec: float,
    ) -> None:
        self._database = database
        self._name = name
        self._pid = pid
        self._tell = tell
        self._report_sec = report_sec
        self.blocking = ""
        """For whom it waited last; "" if for nobody."""

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Tell of the progress from time to time while the body runs."""
        ended = threading.Event()
        reporter = threading.Thread(target=self._report, args=(ended,), daemon=True)
        reporter.start()
        try:
            yield
        finally:
            ended.set()
            reporter.join()

    def _report(self, ended: threading.Event) -> None:
        while not ended.wait(self._report_sec):
            try:
                text = self._database.run(self._look)
            except DatabaseError:
                continue  # the statement itself finds out
            if text and not ended.is_set():
                self._tell(f"tidying {self._name}: {text}")

    def _look(self, cursor: Cursor) -> str:
        cursor.execute(BLOCKING, (self._pid,))
        if blocking := named(cursor.fetchall()):
            self.blocking = blocking
            return f"waits for {blocking}"
        cursor.execute(_PROGRESS, (self._pid,))
        rows = cursor.fetchall()
        if not rows:
            return ""
        ((phase, percent),) = rows
        return str(phase) if percent is None else f"{phase}, {percent:.0f} %"
