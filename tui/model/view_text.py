"""What the lines below the fleet table say about the view and the vehicle under the cursor."""

from collections.abc import Sequence

from rich.cells import cell_len

from fleetsyncd.cells import cut
from fleetsyncd.states import VehicleOverview
from fleetsyncd.text import sanitise
from tui.formatting import STATE_STYLES, progress_text
from tui.model.fleet_view import FleetView
from tui.model.sorting import SORT_TITLES

SEPARATOR = " · "
_FILTER_CELLS = 40
_TAG_CELLS, _TAGS_CELLS = 30, 50
"""Of one tag, and of several in a line."""


def view_line(view: FleetView, top: int, on_screen: int, width: int, *, wrong: bool = False) -> str:
    """Return what is shown in which order; `top` is the index of the first row on the screen.

    Vehicles that are gone are named where `width` cells have room for it, and the sort, which the
    heading shows too, gives way to them.
    `wrong` says that what the operator types is no filter: then the last one that was still holds.
    """
    chosen, counts = _chosen(view, wrong=wrong), _counts(view, top, on_screen)
    sort = f"sort {SORT_TITLES[view.sort]}{'▼' if view.descending else '▲'}"
    lost, briefly = view.lost_text(), view.lost_briefly()
    tries = [(lost, sort), (briefly, sort), (briefly, "")] if lost else [("", sort)]
    lines = [
        SEPARATOR.join(filter(None, [view.marks_text, gone, *chosen, order, counts]))
        for gone, order in tries
    ]
    return next((line for line in lines if cell_len(line) <= width), lines[-1])


def _chosen(view: FleetView, *, wrong: bool) -> list[str]:
    """Return which vehicles are shown."""
    parts = _kept(view)
    if view.problems_only:
        parts.append("problems only")
    if view.filter.text:
        word = "still filtered by" if wrong else "filter:"
        parts.append(f"{word} {cut(sanitise(view.filter.text), _FILTER_CELLS)}")
    elif wrong:
        parts.append("still no filter")
    return parts


def _counts(view: FleetView, top: int, on_screen: int) -> str:
    last = min(top + on_screen, len(view.shown))
    total = f" ({view.total})" if len(view.shown) != view.total else ""
    return f"{min(top + 1, last)}-{last} of {len(view.shown)}{total}"


def _kept(view: FleetView) -> list[str]:
    """Name the vehicles that are shown though they match no more."""
    if not view.kept:
        return []
    if len(view.kept) > 1:
        return [f"{len(view.kept)} kept"]
    (vehicle,) = view.kept
    return [f"{cut(vehicle.name, 20)} kept: {STATE_STYLES[vehicle.state].word}"]


def reason(vehicle: VehicleOverview) -> str:
    """Return why the vehicle is in its state, or how far it is; else its address and version.

    What is muted comes last: it does not tell what is wrong.
    """
    progress = progress_text(vehicle.catching_up or vehicle.backfill)
    whereabouts = f"{vehicle.address} · {vehicle.software_version or 'version unknown'}"
    return "; ".join(filter(None, [vehicle.reason or progress, vehicle.muted])) or whereabouts


def empty_text(
    view: FleetView,
    *,
    read_only: bool,
    tags: Sequence[str] = (),
    known_tags: Sequence[str] = (),
) -> str:
    """Return what an empty table says, and which key helps.

    With `tags` the dashboard shows only vehicles that have one of them; `known_tags` are in use.
    """
    if not view.total and tags:
        return no_such_tag(tags, known_tags, "q quits")
    if not view.total:
        return f"No vehicles yet{'' if read_only else ': press a to add one'}"
    if view.problems_only and not view.filter.text:
        return "No vehicle is in trouble: ! shows all"
    if tags := view.unknown_tags():
        return f"No vehicle has the tag {sanitise(tags[0], 30)}: Esc clears the filter"
    texts = "".join(f" · as text: {sanitise(text, 20)}" for text in view.filter.texts[:2])
    among = " in trouble" if view.problems_only else ""
    return f"No vehicle{among} matches the filter: Esc clears it{texts}"


def no_such_tag(tags: Sequence[str], known_tags: Sequence[str], way_out: str) -> str:
    """Return that no vehicle has one of the tags, the key that helps, and the tags in use."""
    return f"No vehicle has the tag {_some(tags, ' or ')}: {way_out}\n{_in_use(known_tags)}"


def _some(tags: Sequence[str], separator: str) -> str:
    """Return the first tags, as many as are legible in a line, and how many more there are."""
    names = [cut(sanitise(tag), _TAG_CELLS) for tag in tags]
    first = next(
        (most for most in range(len(names), 1, -1)
         if cell_len(separator.join(names[:most])) <= _TAGS_CELLS), 1
    )  # fmt: skip
    others = len(names) - first
    return separator.join(names[:first]) + (f" and {others:,} more" if others else "")


def _in_use(tags: Sequence[str]) -> str:
    return f"Tags in use: {_some(tags, ', ')}" if tags else "No vehicle has any tag"
