"""Notice that another machine answers for a vehicle: by its name for itself, by its history.

The name (`vehicle_id_hint`) is only a hint: an update may change it for a whole fleet. So a new
name is told in every cycle until an operator accepts it, and the data are stored meanwhile. The
name of exactly one other vehicle is no update: its machine answers here, and nothing of it is
stored. It keeps its history meanwhile, so nothing is lost by waiting. Only if that vehicle goes on
to answer by the name as well, and this one has the history of before, both were renamed alike.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime

from fleetsyncd.database import machines
from fleetsyncd.database.machines import HintOwner
from fleetsyncd.database.pool import Database
from fleetsyncd.errors import OtherMachine
from fleetsyncd.models import Vehicle, Window
from fleetsyncd.remarks import ANOTHER
from fleetsyncd.sync.window import HOURLY_ABOVE
from fleetsyncd.telemetry import DataPage
from fleetsyncd.times import iso_ms
from fleetsyncd.vehicle import decode
from fleetsyncd.vehicle.client import VehicleClient

_VERSION = re.compile(r"[vV]?([0-9]{1,9}(?:\.[0-9]{1,9}){1,5})(?![0-9.])")


@dataclass(frozen=True, slots=True)
class NewName:
    """What a vehicle calls itself otherwise than before."""

    change: str
    owner: HintOwner | None
    """The one other vehicle that is known by this name."""

    @property
    def remark(self) -> str:
        """Tell it to operators."""
        alike = "" if self.owner is None else f", as [{self.owner.name}] does"
        why = "another machine, or new software; `fleetsyncd vehicle accept` if it is right"
        return f"{self.change}{alike}: {why}"

    @property
    def refusal(self) -> OtherMachine:
        """Say that the other vehicle's machine answers."""
        owner = "" if self.owner is None else self.owner.name
        reason = f"{self.change}, which is the machine of [{owner}]: nothing of it is stored here"
        return OtherMachine(
            "/status",
            f"{reason}; `fleetsyncd vehicle swap`, or set the right address; if it is no other"
            " machine but only its name is new, `fleetsyncd vehicle accept`",
        )

    def require_history(self, newest: datetime | None, window: Window, page: DataPage) -> None:
        """Raise OtherMachine unless the first answer shows that this is the machine of before.

        It must hold the `newest` stored row of the vehicle, if another is known by its name.
        """
        if self.owner is not None and (
            newest is None
            or not window.start <= newest < window.end
            or history_remark(newest, window, window, page)
        ):
            raise self.refusal


def new_name(database: Database, vehicle: Vehicle, hint: str | None) -> NewName | None:
    """Return what a vehicle calls itself, if that is not what it did before.

    Costs a query only then. Raises OtherMachine if the name is that of exactly one other vehicle
    which does not answer by it as well, and DatabaseError.
    """
    new = _judge(database, vehicle, hint)
    if new is not None and new.owner is not None and not new.owner.answers_too:
        raise new.refusal
    return new


def remark_on_name(database: Database, vehicle: Vehicle, hint: str | None) -> str | None:
    """Return what is to be said of a vehicle's name; raises as `new_name` does."""
    new = new_name(database, vehicle, hint)
    return None if new is None else new.remark


def check_machine(database: Database, vehicle: Vehicle, hint: str | None) -> None:
    """Raise OtherMachine if a vehicle calls itself as exactly one other does; or DatabaseError.

    For a pull that cannot tell by the vehicle's history which machine it is.
    """
    new = _judge(database, vehicle, hint)
    if new is not None and new.owner is not None:
        raise new.refusal


def ask_machine(client: VehicleClient, database: Database, vehicle: Vehicle) -> str | None:
    """Ask what the machine calls itself, and return it; None if neither it nor a cycle was told.

    For a pull beside the cycles: raises as `check_machine` does, and VehicleError.
    """
    # If it tells no name, this is the last one that a cycle was told.
    hint = decode.status(client.status().body).id_hint or vehicle.other_hint
    check_machine(database, vehicle, hint)
    return hint


def _judge(database: Database, vehicle: Vehicle, hint: str | None) -> NewName | None:
    if hint is None or vehicle.id_hint in (None, hint):
        return None
    owner = database.run(lambda cursor: machines.owner_of_hint(cursor, vehicle.id, hint))
    return NewName(f"calls itself {hint} instead of {vehicle.id_hint}", owner)


def software_remark(known: str | None, told: str | None) -> str | None:
    """Return a remark if a vehicle's software is older than before, as far as numbers tell."""
    if known == told or known is None or told is None:
        return None
    before, now = _VERSION.match(known), _VERSION.match(told)
    if before is None or now is None or _numbers(now[1]) >= _numbers(before[1]):
        return None
    return f"software {told}, was {known}: {ANOTHER}"


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


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
