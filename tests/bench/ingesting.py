"""Rows per second through the daemon's write path, and of COPY, in turns; prints one JSON line.

A process of its own, because it is green as the daemon is. The argument is the number of rounds;
the environment says which database, and `BENCH_SOCKET` where its superuser gets in.
"""

from fleetsyncd import green

green.patch()

# Nothing may be imported before the patch.
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import closing  # noqa: E402
from datetime import UTC, datetime, timedelta  # noqa: E402
from functools import partial  # noqa: E402
from uuid import UUID  # noqa: E402

import psycopg2  # noqa: E402
from psycopg2 import extensions  # noqa: E402

from fleetsyncd import settings  # noqa: E402
from fleetsyncd.database import loading, measurements, store  # noqa: E402
from fleetsyncd.database.pool import Cursor, Database  # noqa: E402
from fleetsyncd.demo.readings import CHANNELS  # noqa: E402
from fleetsyncd.telemetry import Measurements  # noqa: E402
from fleetsyncd.times import month_of, utc_now  # noqa: E402

WINDOW = timedelta(minutes=10)
"""What a dense gap is pulled in: 10,800 rows."""
WINDOWS = 20
NOTHING_SINCE = """
INSERT INTO fleetsync.vehicle_state (vehicle_id, newest_measurement_at)
VALUES (%s::uuid, %s - interval '1 s')
ON CONFLICT (vehicle_id) DO UPDATE SET newest_measurement_at = excluded.newest_measurement_at
"""
COPY = "COPY public.measurements (vehicle_id, channel_id, time, value) FROM STDIN"


class Windows:
    """A vehicle's windows, ready to be stored, and a database to store them in."""

    def __init__(self, database: Database, vehicle_id: UUID, start: datetime) -> None:
        self.database = database
        self.vehicle_id = vehicle_id
        self.start = start
        self.pages = [_page(start + at * WINDOW) for at in range(WINDOWS)]
        self.texts = [_text(vehicle_id, page) for page in self.pages]
        self.rows = sum(len(page) for page in self.pages)

    def replay(self) -> None:
        """Commit every window again."""
        self.commit(self.pages[-1].times[-1])

    def commit(self, newest: datetime | None = None) -> None:
        """Commit every window together with the watermark after it, as a cycle does.

        Nothing later than `newest` is stored.
        """
        newest = newest or self.start
        for at, page in enumerate(self.pages):
            step = store.WatermarkUpdate(
                vehicle_id=self.vehicle_id,
                known=self.start,
                watermark=self.start + (at + 1) * WINDOW,
                newest_measurement_at=page.times[-1],
                clock_skew=timedelta(0),
                software_version="1.1.0",
                known_asked_to=None,
                pulled_from=self.start,
                gap=None,
            )
            self.database.run(partial(self._save, page, newest, step))
            newest = max(newest, page.times[-1])

    def _save(
        self, page: Measurements, newest: datetime, step: store.WatermarkUpdate, cursor: Cursor
    ) -> None:
        measurements.add_measurements(cursor, self.vehicle_id, page, newest)
        store.advance_watermark(cursor, step)

    def copy(self, connection: extensions.connection) -> None:
        """Commit every window by COPY, its text made beforehand."""
        for text in self.texts:
            with connection, connection.cursor() as cursor:
                cursor.copy_expert(COPY, io.StringIO(text))

    def clear(self, connection: extensions.connection) -> None:
        """Empty the table, as before a gap."""
        with connection, connection.cursor() as cursor:
            cursor.execute("TRUNCATE public.measurements")
            cursor.execute("UPDATE public.vehicles SET last_sync_at = %s", (self.start,))
            cursor.execute(NOTHING_SINCE, (str(self.vehicle_id), self.start))


def _page(start: datetime) -> Measurements:
    seconds = range(round(WINDOW.total_seconds()))
    return Measurements.from_rows(
        (start + timedelta(seconds=second), channel.channel_id, float(second * channel.channel_id))
        for second in seconds
        for channel in CHANNELS
    )


def _text(vehicle_id: UUID, page: Measurements) -> str:
    lines = (f"{vehicle_id}\t{key}\t{at.isoformat()}\t{value}\n" for at, key, value in page.rows())
    return "".join(lines)


def _timed(work: Callable[[], None], rows: int) -> float:
    began = time.monotonic()
    work()
    return rows / (time.monotonic() - began)


def measure(rounds: int) -> dict[str, list[float]]:
    """Return rows per second by way and round."""
    target = settings.load().database
    database = Database(target, deadline=green.deadline)
    vehicle = database.run(loading.load_vehicles)[0]
    # The middle of the month before, so that all windows lie in one partition.
    start = month_of(utc_now() - timedelta(days=31)).replace(day=15, tzinfo=UTC)
    windows = Windows(database, vehicle.id, start)
    waiting = extensions.get_wait_callback()
    speeds: dict[str, list[float]] = {"copy": [], "fresh": [], "replay": []}
    extensions.set_wait_callback(None)  # COPY is impossible in a green process
    name = os.environ["DB_NAME"]
    with closing(
        psycopg2.connect(host=os.environ["BENCH_SOCKET"], user="postgres", dbname=name)
    ) as superuser:
        for _ in range(rounds):
            windows.clear(superuser)
            speeds["copy"].append(_timed(partial(windows.copy, superuser), windows.rows))
            windows.clear(superuser)
            extensions.set_wait_callback(waiting)
            speeds["fresh"].append(_timed(windows.commit, windows.rows))
            speeds["replay"].append(_timed(windows.replay, windows.rows))
            extensions.set_wait_callback(None)
    return speeds


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
