"""What the operations on vehicles share: calls that may fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fleetsyncd.errors import FleetsyncError
from tui.background import in_thread
from tui.typing_order import opening
from tui.ui import UI

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a successful call returned."""

    value: T


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
