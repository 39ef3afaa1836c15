"""The dialog that asks for the path of a CSV file."""

import os
from pathlib import Path

from textual.app import ComposeResult
from textual.widgets import Input, Label

from tui.dialogs.dialog import Dialog


class ExportForm(Dialog[Path]):
    """Asks for the path of a new file; `proposed` is filled in."""

    def __init__(self, title: str, proposed: Path, *, notice: str = "") -> None:
        super().__init__(title, "Write", notice=notice)
        self.proposed = proposed

    def body(self) -> ComposeResult:
        """Lay out the field."""
        yield Label("File (an existing file is not overwritten)")
        yield Input(str(self.proposed), id="path", compact=True)

    def on_input_changed(self) -> None:
        """Forget what was wrong with another path."""
        self.show_error("")

    def submit(self) -> None:
        """Answer the path, or show why no file can be created there."""
        try:
            path = Path(self.query_one("#path", Input).value).expanduser()
            fault = _fault(path)
        except (OSError, RuntimeError, ValueError) as error:
            # Too long, of an unknown user, or not in the encoding of file names.
            self.show_error(f"this cannot be a file: {error}")
            return
        if fault is None:
            self.finish(path)
        else:
            self.show_error(fault)


def _fault(path: Path) -> str | None:
    """Return why no file can be created there; raise OSError or ValueError if it is no path."""
    os.fsencode(path)  # exists() does not tell that a name cannot be encoded
    if path.exists():
        return "this file exists already"
    return None if path.parent.is_dir() else f"there is no folder {path.parent}"
