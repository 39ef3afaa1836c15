"""What the operations on vehicles share: their targets, and calls that may fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from fleetsyncd.errors import FleetsyncError
from fleetsyncd.states import VehicleOverview
from tui.background import in_thread
from tui.typing_order import opening
from tui.ui import UI

T = TypeVar("T")
_MAX_NAMES = 3
"""A notification about more vehicles gives their number only."""
Targets = Sequence[VehicleOverview]


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a successful call returned."""

    value: T


def names_text(targets: Targets) -> str:
    """Return the targets' names, or their number if there are many."""
    if len(targets) > _MAX_NAMES:
        return f"{len(targets)} vehicles"
    return ", ".join(vehicle.name for vehicle in targets)


def ids(targets: Targets) -> list[UUID]:
    """Return the targets' ids."""
    return [vehicle.id for vehicle in targets]


async def attempt(
    ui: UI, work: Callable[[], T], *, before_dialog: bool = False
) -> Result[T] | None:
    """Return the result of `work`, run in a thread; if it fails, show the error, return None.

    Keys that are typed meanwhile wait for the dialog, if one opens with what `work` has read.
    """
    if (begun := opening.get()) is not None:
        begun.expect_dialog() if before_dialog else begun.release()
    try:
        return Result(await in_thread(work))
    except FleetsyncError as error:
        ui.say(str(error), error=True)
        return None
