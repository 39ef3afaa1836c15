"""The quiet after a storm: how long it takes until the damage is made good."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from fleetsyncd.database.pool import Cursor, Database
from fleetsyncd.demo import checker
from fleetsyncd.demo.checker import Expectation
from fleetsyncd.demo.lateness import PROMPT
from fleetsyncd.errors import DatabaseError
from fleetsyncd.times import utc_now

QUIET_SEC = 300.0
"""The longest that a storm's damage may take to be made good."""
LATE_SEC = 600.0
"""The longest that late rows may then take to be found."""
LOOK_SEC = 5.0
_SETTLED = """
SELECT count(*) FROM public.vehicles v WHERE
    EXISTS (SELECT FROM fleetsync.backfill b WHERE b.vehicle_id = v.id AND b.finished_at IS NULL)
    OR coalesce(v.last_sync_at < %(calm)s, true)
    OR NOT EXISTS (SELECT FROM public.sync_journal j WHERE j.vehicle_id = v.id
                   AND j.started_at > %(calm)s AND j.status = 'ok' AND j.error_msg IS NULL)
"""

Tend = Callable[[float], None]
"""Keeps the daemons running for so many seconds."""


def settle(database: Database, tend: Tend) -> float:
    """Wait for a good cycle of every vehicle and the end of every backfill; return how long."""
    began = time.monotonic()
    calm = utc_now()

    def unsettled(cursor: Cursor) -> int:
        cursor.execute(_SETTLED, {"calm": calm})
        return int(cursor.fetchall()[0][0])

    while time.monotonic() - began < QUIET_SEC:
        tend(1.0)
        try:
            if database.run(unsettled) == 0:
                break
        except DatabaseError:
            continue  # it may still be getting up
    return time.monotonic() - began


def await_late_rows(
    database: Database,
    tend: Tend,
    expectations: Iterable[Expectation],
    since: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """Wait until nothing stamped from `since` on is missing, or it is too late; return how long.

    The vehicles are silent, and their watermarks past what they had measured.
    """
    began = clock()
    # Also what is still to be committed must come, so nothing is let off for its lateness.
    waiting = [replace(e, lateness=PROMPT, start=max(e.start, since)) for e in expectations]
    while waiting and clock() - began < LATE_SEC:
        tend(LOOK_SEC)
        with suppress(DatabaseError):  # the next look is as good
            waiting = [e for e in waiting if checker.compare(database, [e]).lost]
    return clock() - began
