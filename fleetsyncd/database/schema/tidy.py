"""Tidy all closed months at once, as the tables' owner: `fleetsyncd migrate --tidy`."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleetsyncd.database import pooler
from fleetsyncd.database.maintenance import APPLICATION
from fleetsyncd.database.pool import Database
from fleetsyncd.database.schema.lock_waits import USUAL_PATIENCE, Patience
from fleetsyncd.database.tidying import Tidied, Tidying
from fleetsyncd.errors import MigrationFailed, NotTidied, OthersTidy
from fleetsyncd.settings import DatabaseSettings
from fleetsyncd.text import age
from fleetsyncd.time_limits import Deadline, no_deadline

log = logging.getLogger("sync.migrate")

AGAIN_SEC = 1.0
"""How often it is looked whether a daemon that tidies has finished its month."""


@dataclass(slots=True)
class TidyResult:
    """What was tidied, and what could not be, with the reasons."""

    tidied: list[Tidied] = field(default_factory=list)
    failed: list[NotTidied] = field(default_factory=list)


def tidy_all(
    settings: DatabaseSettings,
    now: Callable[[], datetime],
    deadline: Deadline = no_deadline,
    patience: Patience = USUAL_PATIENCE,
) -> TidyResult:
    """Tidy every closed month that is not, whatever TIDY_AFTER_DAYS says.

    Raises DatabaseError; MigrationFailed if a daemon tidies for longer than `patience`.
    """
    result, at_once = TidyResult(), timedelta(0)
    with closing(Database(settings, deadline=deadline, application=APPLICATION)) as database:
        pooler.require_own_backend(database)
        tidying = Tidying(
            database, at_once, tell=log.info, retry_after=at_once, lock_sec=patience.wait_sec
        )
        tidying.clean_up()
        ends = time.monotonic() + patience.wait_sec
        while True:
            try:
                tidied = tidying.run(now(), {each.table for each in result.failed})
            except OthersTidy:
                _wait(ends, patience)
                continue
            except NotTidied as error:
                result.failed.append(error)
                continue
            if tidied is None:
                return result
            result.tidied.append(tidied)
            ends = time.monotonic() + patience.wait_sec


def _wait(ends: float, patience: Patience) -> None:
    if time.monotonic() >= ends:
        text = f"a daemon has been tidying a month for longer than {age(patience.wait_sec)}"
        raise MigrationFailed(text, "wait for its end, then run this again")
    time.sleep(AGAIN_SEC)
