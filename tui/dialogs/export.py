"""The dialog that asks for the path of a CSV file."""

from pathlib import Path

from textual.app import ComposeResult
from textual.widgets import Input, Label

from tui.dialogs.dialog import Dialog


class ExportForm(Dialog[Path]):
    """Asks for the path of a new file; `proposed` is filled in."""

    def __init__(self, title: str, proposed: Path) -> None:
        super().__init__(title, "Write")
        self.proposed = proposed

    def body(self) -> ComposeResult:
        """Lay out the field."""
        yield Label("File (an existing file is not overwritten)")
        yield Input(str(self.proposed), id="path", compact=True)

    def submit(self) -> None:
        """Answer the path, or show why no file can be created there."""
        path = Path(self.query_one("#path", Input).value).expanduser()
        if path.exists():
            self.show_error("this file exists already")
        elif not path.parent.is_dir():
            self.show_error(f"there is no folder {path.parent}")
        else:
            self.finish(path)
