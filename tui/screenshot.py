"""Writes pictures of the screen, as SVG files."""

from pathlib import Path

from tui.background import in_thread
from tui.context import ScreenContext
from tui.export import default_folder
from tui.ui import UI


async def save(ui: UI, context: ScreenContext, svg: str) -> None:
    """Write a picture of the screen to a new file, and say where it is or why there is none."""
    path = default_folder() / f"fleetsync-{context.wall():%Y%m%d-%H%M%SZ}.svg"
    try:
        await in_thread(lambda: _write(path, svg))
    except OSError as error:
        ui.say(f"{path} cannot be written: {error.strerror}", error=True)
    else:
        ui.say(f"wrote a picture of the screen to {path}")


def _write(path: Path, svg: str) -> None:
    """Write a new file; raise OSError, FileExistsError if the file exists."""
    with path.open("x", encoding="utf-8") as file:
        file.write(svg)
