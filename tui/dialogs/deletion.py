"""The dialog that removes vehicles."""

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Label, Static

from fleetsyncd.database.vehicles import RegisteredVehicle
from fleetsyncd.database.views.estimates import RowCounts
from fleetsyncd.text import counted, listed
from tui.dialogs.dialog import Dialog
from tui.widgets.checkbox import PlainCheckbox

WAY_BACK = "fleetsyncd vehicle restore gives a vehicle back, purge deletes them"
DISK_SPACE = "the disk gets their space back when their month is dropped"
MAX_NAMES = 8
"""A deletion of more vehicles names only the first ones."""


class DeleteForm(Dialog[bool]):
    """Asks to type a vehicle's name; answers whether its measurements are deleted too."""

    def __init__(
        self, targets: list[RegisteredVehicle], rows: RowCounts, *, notice: str = ""
    ) -> None:
        self.rows = rows
        self.names = [vehicle.name.strip() or str(vehicle.id) for vehicle in targets]
        is_one = len(targets) == 1
        self.phrase = self.names[0] if is_one else f"delete {len(targets)} vehicles"
        title = f"Delete {self.phrase}" if is_one else self.phrase.capitalize()
        super().__init__(title, "Delete", notice=notice)

    def body(self) -> ComposeResult:
        """Show which rows are deleted, and ask for the name."""
        rows = self.rows
        if len(self.names) > 1:
            yield Static(Text(listed(self.names, MAX_NAMES)))
        parts = (
            counted(rows.journal, "journal entry", "journal entries"),
            counted(rows.alarms, "alarm"),
            counted(rows.channels, "channel"),
        )
        yield Static(Text(f"Deletes: {', '.join(parts)}"))
        yield Static("", id="measurements")
        yield PlainCheckbox("delete the measurements as well", id="with", compact=True)
        yield Label(Text(f"Type  {self.phrase}  to confirm"))
        yield Input(id="phrase", compact=True)

    def on_mount(self) -> None:
        """Show whether the measurements are deleted."""
        self._update_measurements_line()
        self.query_one("#phrase").focus()

    def on_checkbox_changed(self) -> None:
        """Show whether the measurements are deleted."""
        self._update_measurements_line()

    def on_input_changed(self) -> None:
        """Forget what was wrong with another text."""
        self.show_error("")

    @property
    def _with_measurements(self) -> bool:
        return self.query_one("#with", PlainCheckbox).value

    def _update_measurements_line(self) -> None:
        verb = "Deletes" if self._with_measurements else "Keeps"
        noun = "measurement" if self.rows.measurements.rows == 1 else "measurements"
        line = f"{verb}: {self.rows.measurements_text} {noun}"
        note = DISK_SPACE if self._with_measurements else WAY_BACK
        self.query_one("#measurements", Static).update(Text(f"{line}\n{note}"))

    def submit(self) -> None:
        """Confirm the deletion if the name is right."""
        if self.query_one("#phrase", Input).value.strip() != self.phrase:
            self.show_error(f"that is not {self.phrase}: nothing was deleted")
            return
        self.finish(self._with_measurements)
