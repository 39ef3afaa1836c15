"""Writes tables as CSV files."""

import csv
import os
import tempfile
from datetime import UTC
from pathlib import Path

from fleetsyncd.text import counted
from tui.background import in_thread
from tui.context import ScreenContext
from tui.dialogs.export import ExportForm
from tui.model.export_table import ExportTable
from tui.ui import UI

_FORMULA_STARTS = ("=", "+", "-", "@", "\t")


async def export(ui: UI, context: ScreenContext, table: ExportTable) -> None:
    """Ask for a path, write the table there, and report the result."""
    timestamp = f"{context.wall().astimezone(UTC):%Y%m%dT%H%M%SZ}"
    proposed = default_folder() / f"fleetsync-{table.name}-{timestamp}.csv"
    rows = counted(len(table.rows), "row")
    path = await ui.ask(ExportForm(f"Export {rows}", proposed, notice=table.notice))
    if path is None:
        return
    try:
        await in_thread(lambda: write(path, table))
    except OSError as error:
        ui.say(f"{path} cannot be written: {error.strerror}", error=True)
    else:
        ui.say(f"wrote {rows} to {path}")


def default_folder() -> Path:
    """Return the first writable folder: the home, the working directory, else the temporary one.

    In a container, the temporary folder may be the only writable one.
    """
    folders = [Path.home(), Path.cwd()]
    writable = (folder for folder in folders if folder.is_dir() and os.access(folder, os.W_OK))
    return next(writable, Path(tempfile.gettempdir()))


def write(path: Path, table: ExportTable) -> None:
    """Write `table` to a new CSV file; raise OSError, FileExistsError if the file exists."""
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.heading)
        writer.writerows([list(map(_escape_formula, row)) for row in table.rows])


def _escape_formula(cell: str) -> str:
    """Put a quote before a cell that a spreadsheet would run as a formula; vehicles send text."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    """Tell whether a cell is a number, as Python writes it: -12.5, -1e-07, -inf."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
