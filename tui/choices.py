"""What the palette offers in an app: the actions of its page, vehicles, themes, a screenshot."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode

from tui.context import ScreenContext
from tui.formatting import STATE_STYLES
from tui.model.palette import Choice, Kind

_BACK = "Back"
_NOT_OFFERED = frozenset({"palette"})


def choices(
    app: App[None],
    context: ScreenContext,
    open_vehicle: Callable[[UUID], object],
    screenshot: Callable[[], object],
) -> Iterator[Choice]:
    """Yield all that can be chosen on the topmost screen."""
    yield from _actions(app)
    help_text = "write a picture of the screen to a file"
    yield Choice(Kind.SCREENSHOT, "Screenshot", help_text, "", screenshot)
    for theme in sorted(app.available_themes):
        yield Choice(Kind.THEME, theme, "theme", "", partial(setattr, app, "theme", theme))
    snapshot = context.state.snapshot
    for vehicle in () if snapshot is None else snapshot.vehicles:
        state = f"vehicle, {STATE_STYLES[vehicle.state].word}, {vehicle.address}"
        run = partial(open_vehicle, vehicle.id)
        yield Choice(Kind.VEHICLE, vehicle.name, state, "", run)


def _actions(app: App[None]) -> Iterator[Choice]:
    """Yield each enabled action of the screen once, with its keys."""
    keys: dict[tuple[str, DOMNode], list[str]] = {}
    bindings: dict[tuple[str, DOMNode], Binding] = {}
    for active in app.screen.active_bindings.values():
        binding = active.binding
        described = active.enabled and binding.description and binding.id
        if described and binding.action not in _NOT_OFFERED:
            name = binding.action, active.node
            bindings.setdefault(name, binding)
            key = app.get_key_display(binding)
            known = keys.setdefault(name, [])
            known += [] if key in known else [key]
    back_is_offered = False
    # What the footer shows first, then what moves the cursor and the like.
    for (action, node), binding in sorted(bindings.items(), key=lambda each: not each[1].show):
        if binding.description == _BACK:
            # q leaves a page at once, Esc what it has opened first: one to choose is enough.
            if back_is_offered:
                continue
            back_is_offered = True
        run = partial(_run, app, action, node)
        key = " ".join(keys[action, node])
        yield Choice(Kind.ACTION, binding.description, binding.tooltip, key, run)


async def _run(app: App[None], action: str, node: Any) -> None:
    await app.run_action(action, node)
