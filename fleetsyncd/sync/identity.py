"""Notice that another machine answers for a vehicle: by its name for itself, by its history.

The name (`vehicle_id_hint`) is only a hint: an update may change it for a whole fleet. So a new
name is told in every cycle until an operator accepts it, and the data are stored meanwhile. The
name of exactly one other vehicle is no update: its machine answers here, and nothing of it is
stored. It keeps its history meanwhile, so nothing is lost by waiting.
"""

from bisect import bisect_right
from datetime import datetime

from fleetsyncd.database import machines
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import OtherMachine
from fleetsyncd.models import DataPage, Vehicle, Window
from fleetsyncd.sync.window import HOURLY_ABOVE
from fleetsyncd.times import iso_ms


def check_machine(database: Database, vehicle: Vehicle, hint: str | None) -> str | None:
    """Return a remark if the vehicle calls itself otherwise than before, else None.

    Costs a query only then. Raises OtherMachine if the name is that of exactly one other vehicle,
    and DatabaseError.
    """
    if hint is None or vehicle.id_hint in (None, hint):
        return None
    told = f"calls itself {hint} instead of {vehicle.id_hint}"
    owner = database.run(lambda cursor: machines.owner_of_hint(cursor, vehicle.id, hint))
    if owner is None:
        return (
            f"{told}: another machine, or new software; `fleetsyncd vehicle accept` if it is right"
        )
    reason = f"{told}, which is the machine of [{owner}]: nothing of it is stored here"
    raise OtherMachine("/status", f"{reason}; `fleetsyncd vehicle swap`, or set the right address")


def history_remark(
    newest: datetime | None, pull: Window, window: Window, page: DataPage
) -> str | None:
    """Return a remark if the vehicle lacks the `newest` row that is stored of it, else None.

    A vehicle that was pulled once answers with that row again in the overlap, as long as it keeps
    its history. Without any row of before it may have dropped it with age, if the `pull` is long.
    """
    if newest is None or not window.start <= newest < window.end:
        return None
    times = page.measurements.times
    before = bisect_right(times, newest)
    if before and times[before - 1] == newest:
        return None
    if not before and pull.length > HOURLY_ABOVE:
        return None
    return (
        f"it lacks the newest stored row, of {iso_ms(newest)}: another machine, or a lost history"
    )
