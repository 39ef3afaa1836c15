"""Tables as CSV files."""

import csv
import os
import tempfile
from pathlib import Path

from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.export import ExportForm
from tui.screens.page import Table
from tui.ui import UI

_FORMULA = ("=", "+", "-", "@", "\t")


async def export(ui: UI, context: ScreenContext, table: Table) -> None:
    """Ask for a path, write the table there, and say so."""
    name, heading, rows = table
    proposed = folder() / f"fleetsync-{name}-{context.wall().astimezone():%Y%m%d-%H%M%S}.csv"
    path = await ui.ask(ExportForm(f"Export {len(rows)} rows", proposed))
    if path is None:
        return
    try:
        await in_thread(lambda: write(path, heading, rows))
    except OSError as error:
        ui.say(f"{path} cannot be written: {error.strerror}", bad=True)
    else:
        ui.say(f"wrote {len(rows)} rows to {path}")


def folder() -> Path:
    """Return where a file can be written: at home, here, or, as in a container, for a while."""
    places = [Path.home(), Path.cwd()]
    writable = (place for place in places if place.is_dir() and os.access(place, os.W_OK))
    return next(writable, Path(tempfile.gettempdir()))


def write(path: Path, heading: list[str], rows: list[list[str]]) -> None:
    """Write a CSV file; raise OSError, FileExistsError if there is one."""
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        writer.writerows([list(map(_harmless, row)) for row in rows])


def _harmless(cell: str) -> str:
    """Keep a spreadsheet from taking what a vehicle said for a formula."""
    number = cell.lstrip("-").replace(".", "", 1).isdigit()
    return f"'{cell}" if cell.startswith(_FORMULA) and not number else cell
