"""What the operations on vehicles share: calls that may fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fleetsyncd.errors import FleetsyncError
from tui.background import in_thread
from tui.typing_order import OPENING_SEC, opening
from tui.ui import UI

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What a successful call returned."""

    value: T


def hand_keys_on() -> None:
    """Let keys wait no longer: no dialog is going to open."""
    if (begun := opening.get()) is not None:
        begun.release()


async def attempt(
    ui: UI, work: Callable[[], T], *, before_dialog: bool = False
) -> Result[T] | None:
    """Return the result of `work`, run in a thread; if it fails, show the error, return None.

    Keys that are typed meanwhile wait for the dialog, if one opens with what `work` has read. What
    takes too long is given up then: a dialog must not open over what the operator does next.
    """
    limit_sec = None
    if not before_dialog:
        hand_keys_on()
    elif (begun := opening.get()) is not None:
        begun.expect_dialog()
        limit_sec = begun.left_sec
    try:
        return Result(await in_thread(work, limit_sec))
    except TimeoutError:
        ui.say(f"not read within {OPENING_SEC:g} s: nothing was done, try again", error=True)
        return None
    except FleetsyncError as error:
        ui.say(str(error), error=True)
        return None
